/**
 * config: text to typed settings. Layer 1.
 *
 * Flags as tables with parser, help and documentation; YAML documents read strictly with line and
 * path in every error. Touches no file and no environment itself: both come in as a FlagHost.
 * Main types: Flag, CommandNode, CommandLine, PathOrContent, YamlNode, Schema.
 */
export * from "./completion.ts";
export * from "./did_you_mean.ts";
export * from "./duration_flag.ts";
export * from "./flag.ts";
export * from "./flag_help.ts";
export * from "./flag_kind.ts";
export * from "./flag_man.ts";
export * from "./flag_parse.ts";
export * from "./go_string.ts";
export * from "./path_or_content.ts";
export * from "./request_logging.ts";
export * from "./schema.ts";
export * from "./size.ts";
export * from "./yaml.ts";
