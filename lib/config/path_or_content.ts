/** Configuration given as a file or inline: `--x-file=<path>` or `--x=<content>`. */
import { errorMessage, MnemeError } from "../base/mod.ts";

/** What reading flags needs from the process; `lib/config` itself touches no system. */
export interface FlagHost {
  /** Content of a text file; throws when it cannot be read. */
  readText(path: string): string;
  /** An environment variable, undefined when unset. */
  env(name: string): string | undefined;
}

const REFERENCE = /\$\(([a-zA-Z_0-9]+)\)/g;

/** Replaces each `$(NAME)` by the environment variable; `$NAME` and `${NAME}` stay as they are. */
export function expandEnv(text: string, env: (name: string) => string | undefined): string {
  return text.replace(REFERENCE, (_, name: string) => {
    const value = env(name);
    if (value === undefined) {
      throw new MnemeError("bad_data", `found reference to unset environment variable "${name}"`);
    }
    return value;
  });
}

/** A configuration that is read when asked for, so that a file may change between two loads. */
export class PathOrContent {
  /** Name of the content flag without dashes, such as `objstore.config`. */
  readonly flag: string;
  /** The file, "" when none was given. */
  readonly path: string;
  /** Text given inline, before expansion; "" when none was given. */
  readonly content: string;
  readonly #options: { readonly required: boolean; readonly expand: boolean };
  readonly #host: FlagHost;

  constructor(
    flag: string,
    given: { readonly path: string; readonly content: string },
    options: { readonly required: boolean; readonly expand: boolean },
    host: FlagHost,
  ) {
    this.flag = flag;
    this.path = given.path;
    this.content = given.content;
    this.#options = options;
    this.#host = host;
  }

  /** True when either flag was given a value. */
  get given(): boolean {
    return this.path !== "" || this.content !== "";
  }

  /** Where the text comes from, for messages: the file, or the flag. */
  get source(): string {
    return this.path !== "" ? this.path : `--${this.flag}`;
  }

  /**
   * The text, environment references replaced; "" when not given.
   *
   * Throws: bad_data when both flags were given, the file cannot be read, or it is required and empty.
   */
  load(): string {
    const { flag } = this;
    if (this.path !== "" && this.content !== "") {
      throw new MnemeError("bad_data", `both ${flag}-file and ${flag} flags set.`);
    }
    let text = this.content;
    if (this.path !== "") {
      try {
        text = this.#host.readText(this.path);
      } catch (cause) {
        throw new MnemeError(
          "bad_data",
          `loading file ${this.path} for ${flag}-file: ${errorMessage(cause)}`,
          { cause },
        );
      }
    }
    if (text === "" && this.#options.required) {
      throw new MnemeError(
        "bad_data",
        `flag ${flag}-file or ${flag} is required for running this command and content cannot be empty.`,
      );
    }
    if (!this.#options.expand) return text;
    try {
      return expandEnv(text, (name) => this.#host.env(name));
    } catch (cause) {
      throw new MnemeError("bad_data", `${this.source}: ${errorMessage(cause)}`, { cause });
    }
  }
}
