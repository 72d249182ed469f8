/**
 * Flags as a table: one entry per setting, from which the parser, the typed config, the help, the
 * documentation and the flags API are all made.
 *
 *   const flags = { dataDir: flag.path("data-dir", "./data", "Where to keep files."), … };
 *   type Config = ConfigOf<typeof flags>;   // { dataDir: string; … }
 */
import { errorMessage, MnemeError } from "../base/mod.ts";
import { enumKind, type FlagKind, flagKinds } from "./flag_kind.ts";
import { type FlagHost, PathOrContent } from "./path_or_content.ts";

/** One `--name` on the command line. */
export interface FlagOption {
  /** Long name without dashes. */
  readonly name: string;
  /** One-letter name without dash. */
  readonly short?: string;
  /** Other accepted names, not shown. */
  readonly aliases: readonly string[];
  readonly help: string;
  /** Word for the type of value in the documentation. */
  readonly word: string;
  /** What help shows after `=`; "" for switches. */
  readonly placeholder: string;
  /** Default as text; "" when there is none. */
  readonly defaultText: string;
  /** A switch takes no value: `--x` and `--no-x`. */
  readonly isSwitch: boolean;
  readonly isRepeated: boolean;
  readonly isHidden: boolean;
  readonly isRequired: boolean;
  /** The flags API shows `<REDACTED>` in place of its value. */
  readonly isSecret: boolean;
  /** Why the flag is accepted but does nothing; a warning is printed when it is given. */
  readonly noEffect?: string;
}

/** One entry of a flag table: one or two options that together give a value of type T. */
export interface Flag<T> {
  readonly options: readonly FlagOption[];
  /** The value, from the texts given to each option in command-line order. */
  read(given: readonly (readonly string[])[], host: FlagHost): T;
  /** Canonical text of the value for each option. */
  print(value: T): readonly string[];
}

// deno-lint-ignore no-explicit-any
type AnyFlag = Flag<any>;

/** Flags of a command by the name of the config field they fill. */
export type FlagTable = Readonly<Record<string, AnyFlag>>;

/** The config that a flag table is read into. */
export type ConfigOf<F extends FlagTable> = {
  readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never;
};

/** Rarely needed properties of a flag. */
export interface FlagMore {
  readonly short?: string;
  readonly aliases?: readonly string[];
  readonly placeholder?: string;
  readonly hidden?: boolean;
  readonly secret?: boolean;
  readonly noEffect?: string;
}

/** Undefined in the value only where the default is. */
type Value<T, D extends string | undefined> = D extends string ? T : T | undefined;

function option(
  name: string,
  help: string,
  kind: { readonly word: string; readonly placeholder?: string; readonly quoted?: boolean },
  defaultText: string | undefined,
  more: FlagMore & { readonly repeated?: boolean; readonly required?: boolean },
): FlagOption {
  const shown = defaultText === undefined || defaultText === ""
    ? kind.placeholder ?? `<${name.split(".").at(-1)}>`
    : kind.quoted === true
    ? JSON.stringify(defaultText)
    : defaultText;
  return {
    name,
    help,
    word: kind.word,
    aliases: more.aliases ?? [],
    placeholder: more.placeholder ?? shown,
    defaultText: defaultText ?? "",
    isSwitch: false,
    isRepeated: more.repeated ?? false,
    isHidden: more.hidden ?? false,
    isRequired: more.required ?? false,
    isSecret: more.secret ?? false,
    ...(more.short === undefined ? {} : { short: more.short }),
    ...(more.noEffect === undefined ? {} : { noEffect: more.noEffect }),
  };
}

function parseNamed<T>(kind: FlagKind<T>, name: string, text: string): T {
  try {
    return kind.parse(text);
  } catch (cause) {
    throw new MnemeError("bad_data", `--${name}: ${errorMessage(cause)}`, { cause });
  }
}

function scalar<T, D extends string | undefined>(
  kind: FlagKind<T>,
  name: string,
  defaultText: D,
  help: string,
  more: FlagMore & { readonly required?: boolean },
): Flag<Value<T, D>> {
  const fallback = defaultText === undefined ? undefined : parseNamed(kind, name, defaultText);
  return {
    options: [option(name, help, kind, defaultText, more)],
    read([texts = []]) {
      const text = texts.at(-1);
      return (text === undefined ? fallback : parseNamed(kind, name, text)) as Value<T, D>;
    },
    print: (value) => [value === undefined ? "" : kind.print(value as T)],
  };
}

/** A flag of any kind that may be given once; `defaultText` undefined leaves the value undefined. */
function one<T>(kind: FlagKind<T>) {
  return <D extends string | undefined>(
    name: string,
    defaultText: D,
    help: string,
    more: FlagMore = {},
  ): Flag<Value<T, D>> => scalar(kind, name, defaultText, help, more);
}

/** A flag that must be given. */
function required<T>(
  kind: FlagKind<T>,
  name: string,
  help: string,
  more: FlagMore = {},
): Flag<T> {
  return scalar(kind, name, undefined, help, { ...more, required: true }) as Flag<T>;
}

/** A flag that may be given several times; its value is the list in the order given. */
function repeated<T>(
  kind: FlagKind<T>,
  name: string,
  help: string,
  more: FlagMore & { readonly defaults?: readonly string[] } = {},
): Flag<readonly T[]> {
  const defaults = more.defaults ?? [];
  const parse = (texts: readonly string[]) => texts.map((text) => parseNamed(kind, name, text));
  const fallback = parse(defaults);
  return {
    options: [option(name, help, kind, defaults.join(","), { ...more, repeated: true })],
    read: ([texts = []]) => texts.length === 0 ? fallback : parse(texts),
    print: (values) => [values.map((value) => kind.print(value)).join(",")],
  };
}

/** A switch: `--name` turns it on, `--no-name` off. */
function bool(
  name: string,
  defaultValue: boolean,
  help: string,
  more: FlagMore = {},
): Flag<boolean> {
  return {
    options: [{
      ...option(name, help, { word: "bool" }, String(defaultValue), more),
      placeholder: "",
      isSwitch: true,
    }],
    read: ([texts = []]) => (texts.at(-1) ?? String(defaultValue)) === "true",
    print: (value) => [String(value)],
  };
}

/** A configuration document: `--name-file=<file-path>` or `--name=<content>`. */
function pathOrContent(
  name: string,
  help: string,
  more: FlagMore & {
    /** Empty content is an error when the document is loaded. */
    readonly required?: boolean;
    /** Replace `$(NAME)` by environment variables; on unless switched off. */
    readonly expand?: boolean;
  } = {},
): Flag<PathOrContent> {
  const options = { required: more.required ?? false, expand: more.expand ?? true };
  // The options themselves are never required: one of the two suffices.
  const shared = { ...more, required: false };
  return {
    options: [
      option(`${name}-file`, `Path to ${help}`, { word: "path" }, undefined, {
        ...shared,
        aliases: (more.aliases ?? []).map((alias) => `${alias}-file`),
        placeholder: "<file-path>",
      }),
      option(
        name,
        `Alternative to '${name}-file' flag (mutually exclusive). Content of ${help}`,
        { word: "content" },
        undefined,
        { ...shared, placeholder: "<content>" },
      ),
    ],
    read: ([paths = [], contents = []], host) =>
      new PathOrContent(
        name,
        { path: paths.at(-1) ?? "", content: contents.at(-1) ?? "" },
        options,
        host,
      ),
    print: (value) => [value.path, value.content],
  };
}

function oneOf<const V extends string, D extends V | undefined>(
  values: readonly V[],
  name: string,
  defaultText: D,
  help: string,
  more: FlagMore = {},
): Flag<Value<V, D>> {
  return scalar(enumKind(values), name, defaultText, help, more);
}

/** Makers of flags, one per kind; `required`, `repeated` and `one` take any kind. */
export const flag = {
  string: one(flagKinds.string),
  path: one(flagKinds.path),
  url: one(flagKinds.url),
  /** An http or https address with `{name}` where a value belongs. */
  linkTemplate: one(flagKinds.linkTemplate),
  int: one(flagKinds.int),
  uint: one(flagKinds.uint),
  float: one(flagKinds.float),
  size: one(flagKinds.size),
  /** Prometheus' durations, `1h30m`; ms. */
  duration: one(flagKinds.duration),
  /** Go's durations with d and w, `1.5h`; ms. */
  goDuration: one(flagKinds.goDuration),
  /** RFC 3339 or a duration relative to now at each evaluation. */
  timeOrDuration: one(flagKinds.timeOrDuration),
  /** The same, but a duration without sign lies in the past. */
  pastTime: one(flagKinds.pastTime),
  address: one(flagKinds.address),
  listen: one(flagKinds.listen),
  label: one(flagKinds.label),
  kinds: flagKinds,
  enumKind,
  oneOf,
  bool,
  pathOrContent,
  one,
  required,
  repeated,
} as const;

/** The config as the flags API shows it: every option of the table, secrets redacted. */
export function printFlags<F extends FlagTable>(
  table: F,
  config: ConfigOf<F>,
): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const [key, entry] of Object.entries(table)) {
    const texts = entry.print(config[key]);
    entry.options.forEach((option, i) => {
      shown[option.name] = option.isSecret ? "<REDACTED>" : texts[i] ?? "";
    });
  }
  return shown;
}
