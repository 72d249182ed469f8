/**
 * Levelled logs as logfmt or JSON lines, or as lines for systemd's journal: `ts`, `level`, bound fields, `msg`, then the line's fields.
 *
 * Messages are constants, values go into fields; control characters are escaped, so that input from
 * outside cannot forge a line.
 */
import { errorMessage } from "../base/mod.ts";

/** Levels from the least to the most important. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = typeof LOG_LEVELS[number];
/** `journald` is logfmt behind the priority that systemd's journal reads from a line's start. */
export type LogFormat = "logfmt" | "json" | "journald";

/** Values of a line; an Error shows as its message, undefined is left out. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes log lines; `with()` binds fields to every line of the result. */
export interface Logger {
  debug(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
  with(fields: LogFields): Logger;
  /** True when lines of this level are written: guards the making of costly fields. */
  enabled(level: LogLevel): boolean;
}

/** How to make a logger. */
export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Receives each line without its end; the default writes to standard error. */
  readonly sink?: (line: string) => void;
  /** Ms since the epoch. */
  readonly now?: () => number;
  /** Fields of every line. */
  readonly fields?: LogFields;
}

/** Syslog's numbers of the levels. */
const PRIORITIES: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 };

/** Makes a logger. */
export function createLogger(options: LoggerOptions): Logger {
  return new LineLogger(options, options.fields ?? {});
}

/** A logger that writes nothing, for tests and libraries. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLogger,
  enabled: () => false,
};

class LineLogger implements Logger {
  readonly #options: LoggerOptions;
  readonly #fields: LogFields;
  readonly #level: number;

  constructor(options: LoggerOptions, fields: LogFields) {
    this.#options = options;
    this.#fields = fields;
    this.#level = LOG_LEVELS.indexOf(options.level);
  }
  debug(msg: string, fields?: LogFields): void {
    this.#write("debug", msg, fields);
  }
  info(msg: string, fields?: LogFields): void {
    this.#write("info", msg, fields);
  }
  warn(msg: string, fields?: LogFields): void {
    this.#write("warn", msg, fields);
  }
  error(msg: string, fields?: LogFields): void {
    this.#write("error", msg, fields);
  }
  with(fields: LogFields): Logger {
    return new LineLogger(this.#options, { ...this.#fields, ...fields });
  }
  enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= this.#level;
  }

  #write(level: LogLevel, msg: string, fields: LogFields = {}): void {
    if (!this.enabled(level)) return;
    const { now, format, sink } = this.#options;
    const line = {
      ts: new Date(now?.() ?? Date.now()).toISOString(),
      level,
      ...this.#fields,
      msg,
      ...fields,
    };
    const text = format === "json"
      ? printJson(line)
      : format === "journald"
      ? `<${PRIORITIES[level]}>${printLogfmt(line)}`
      : printLogfmt(line);
    if (sink === undefined) console.error(text);
    else sink(text);
  }
}

/** A field as text or, where JSON has a type for it, as that type. */
function simplify(value: unknown): string | number | boolean | null {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (value instanceof Error) return errorMessage(value);
  if (typeof value === "object") {
    try {
      return JSON.stringify(value);
    } catch {
      // Circular or with a BigInt inside: its plain text is better than no log line.
      return String(value);
    }
  }
  return String(value);
}

function entries(line: LogFields): [string, string | number | boolean | null][] {
  return Object.entries(line)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, simplify(value)]);
}

function printJson(line: LogFields): string {
  return JSON.stringify(Object.fromEntries(entries(line)));
}

function printLogfmt(line: LogFields): string {
  return entries(line)
    .map(([key, value]) => `${key.replace(/[\s="]/g, "_")}=${quote(String(value))}`)
    .join(" ");
}

// deno-lint-ignore no-control-regex
const NEEDS_QUOTES = /[\s="\\\x00-\x1f\x7f-\x9f\u2028\u2029]|^$/;

function quote(text: string): string {
  if (!NEEDS_QUOTES.test(text)) return text;
  // JSON leaves these unescaped, terminals and log readers may not.
  return JSON.stringify(text).replace(
    /[\x7f-\x9f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
