/** What was built: shown by `--version`, `status/buildinfo` and `thanos_build_info`. */

/** Version of Mneme; equals the one in `deno.json` (checked by `tests/tidy`). */
export const VERSION = "0.1.0";

/** Facts about the build; a packager sets what a source checkout does not know. */
export interface BuildInfo {
  readonly version: string;
  readonly revision: string;
  readonly branch: string;
  readonly buildUser: string;
  readonly buildDate: string;
  /** The runtime, where Go programs show their Go version. */
  readonly runtime: string;
  /** Operating system and architecture, such as `linux/x86_64`. */
  readonly platform: string;
}

/** The text of `--version`. */
export function printVersion(info: BuildInfo): string {
  return [
    `mneme, version ${info.version} (branch: ${info.branch}, revision: ${info.revision})`,
    `  build user:       ${info.buildUser}`,
    `  build date:       ${info.buildDate}`,
    `  runtime:          ${info.runtime}`,
    `  platform:         ${info.platform}`,
  ].map((line) => line.trimEnd()).join("\n");
}
