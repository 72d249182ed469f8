/** The types a flag's value may have: how each is read from text, printed back and shown in help. */
import {
  formatDuration,
  formatFloatGeneral,
  formatGoDuration,
  MnemeError,
  parseDuration,
  parseGoDuration,
} from "../base/mod.ts";
import { parseTimeOrDuration, type TimeOrDuration } from "./duration_flag.ts";
import { unquoteGo } from "./go_string.ts";
import { formatSize, parseSize } from "./size.ts";

/** One type of value. */
export interface FlagKind<T> {
  /** Short word for the documentation, such as `duration`. */
  readonly word: string;
  /** Reads one value; throws bad_data with a one-line cause. */
  parse(text: string): T;
  /** Canonical text, as the flags API shows it. */
  print(value: T): string;
  /** Shown in help in place of a value when there is no default. */
  readonly placeholder?: string;
  /** Defaults are shown in quotes. */
  readonly quoted?: boolean;
}

/** A host and a port to listen on. */
export interface ListenAddress {
  /** "0.0.0.0" when the flag leaves it out, which means all interfaces. */
  readonly hostname: string;
  readonly port: number;
}

/** An external label given as `name="value"`. */
export interface LabelFlag {
  readonly name: string;
  readonly value: string;
}

function bad(message: string): MnemeError {
  return new MnemeError("bad_data", message);
}

function number(text: string, what: string, pattern: RegExp): number {
  if (!pattern.test(text)) throw bad(`expected ${what}, got '${text}'`);
  return Number(text);
}

function integer(text: string, what: string, min: number): number {
  const value = number(text, what, /^[+-]?\d+$/);
  if (!Number.isSafeInteger(value) || value < min) throw bad(`expected ${what}, got '${text}'`);
  return value;
}

const string: FlagKind<string> = {
  word: "string",
  parse: (text) => text,
  print: (value) => value,
  quoted: true,
};

const path: FlagKind<string> = { ...string, word: "path", placeholder: "<path>" };

const url: FlagKind<string> = {
  ...string,
  word: "url",
  placeholder: "<url>",
  parse(text) {
    if (text !== "" && !URL.canParse(text)) throw bad(`expected a URL, got '${text}'`);
    return text;
  },
  // A password in a URL is a secret: the flags page shows it as Go's URL printer does.
  print: (value) => value.replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:?#]*):[^/?#]*@/i, "$1:xxxxx@"),
};

/** A web address in which `{name}` stands for a label, such as an ID of a trace. */
const linkTemplate: FlagKind<string> = {
  ...url,
  parse(text) {
    if (text === "") return text;
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
      throw bad(`expected an address that begins with http:// or https://, got '${text}'`);
    }
    if (/[{}]/.test(url.host) || url.username !== "" || !/\{\w+\}/.test(text)) {
      throw bad(`expected {trace_id} after the host, where the ID belongs, got '${text}'`);
    }
    return text;
  },
};

const int: FlagKind<number> = {
  word: "int",
  parse: (text) => integer(text, "an integer", -Number.MAX_SAFE_INTEGER),
  print: String,
  placeholder: "<int>",
};

const uint: FlagKind<number> = {
  word: "uint",
  parse: (text) => integer(text, "an integer of at least 0", 0),
  print: String,
  placeholder: "<int>",
};

const float: FlagKind<number> = {
  word: "float",
  parse(text) {
    return number(text, "a number", /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/);
  },
  print: formatFloatGeneral,
  placeholder: "<float>",
};

const size: FlagKind<number> = {
  word: "size",
  parse: parseSize,
  print: formatSize,
  placeholder: "<size>",
};

const duration: FlagKind<number> = {
  word: "duration",
  parse: parseDuration,
  print: formatDuration,
  placeholder: "<duration>",
};

const goDuration: FlagKind<number> = {
  word: "duration",
  parse: parseGoDuration,
  print: formatGoDuration,
  placeholder: "<duration>",
};

const timeOrDuration: FlagKind<TimeOrDuration> = {
  word: "time",
  parse: (text) => parseTimeOrDuration(text),
  print: (value) => value.text,
  placeholder: "<time>",
};

const pastTime: FlagKind<TimeOrDuration> = {
  ...timeOrDuration,
  parse: (text) => parseTimeOrDuration(text, { bareIsPast: true }),
};

const address: FlagKind<string> = {
  word: "address",
  parse(text) {
    if (text === "") throw bad("static address cannot be empty");
    if (!text.includes("+") && !text.includes(":")) {
      throw bad(`Address ${text} is not of <host>:<port> format or a valid DNS query.`);
    }
    return text;
  },
  print: (value) => value,
  placeholder: "<address>",
  quoted: true,
};

const listen: FlagKind<ListenAddress> = {
  word: "address",
  parse(text) {
    const m = /^(\[[0-9a-fA-F:.%]+\]|[^:[\]/]*):(\d{1,5})$/.exec(text);
    if (m === null || Number(m[2]) > 65_535) {
      throw bad(`'${text}' is not <host>:<port> to listen on`);
    }
    const host = m[1]!.startsWith("[") ? m[1]!.slice(1, -1) : m[1]!;
    return { hostname: host === "" ? "0.0.0.0" : host, port: Number(m[2]) };
  },
  print: formatListenAddress,
  placeholder: "<host>:<port>",
  quoted: true,
};

const label: FlagKind<LabelFlag> = {
  word: "label",
  parse(text) {
    const at = text.indexOf("=");
    if (at < 0) throw bad(`unrecognized label '${text}', expected name="value"`);
    const name = text.slice(0, at);
    if (name === "") throw bad(`unsupported format for label '${text}': the name is empty`);
    let value: string;
    try {
      value = unquoteGo(text.slice(at + 1));
    } catch (cause) {
      throw new MnemeError(
        "bad_data",
        `label '${text}': the value must be a quoted string, as in ${name}="value"`,
        { cause },
      );
    }
    return { name, value };
  },
  print: ({ name, value }) => `${name}=${JSON.stringify(value)}`,
  placeholder: '<name>="<value>"',
};

/** A kind whose values are one of a fixed list. */
export function enumKind<const V extends string>(values: readonly V[]): FlagKind<V> {
  return {
    word: values.join("|"),
    parse(text) {
      const found = values.find((value) => value === text);
      if (found === undefined) {
        throw bad(`enum value must be one of ${values.join(",")}, got '${text}'`);
      }
      return found;
    },
    print: (value) => value,
    placeholder: `<${values.join("|")}>`,
  };
}

/** Prints `host:port`, with brackets around an IPv6 host. */
export function formatListenAddress({ hostname, port }: ListenAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** Every kind but enums, by name. */
export const flagKinds = {
  string,
  path,
  url,
  linkTemplate,
  int,
  uint,
  float,
  size,
  duration,
  goDuration,
  timeOrDuration,
  pastTime,
  address,
  listen,
  label,
} as const;
