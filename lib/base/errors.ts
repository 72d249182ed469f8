/**
 * The closed list of error kinds and the classes that carry them. Layer 0.
 *
 * Errors are made low and shown high: library code throws one of these and never logs what it
 * throws; `lib/api`, `lib/rpc` and `cmd` are the only places that turn an error into text for people.
 */

/** What went wrong, in the terms a caller can act on. See ARCHITECTURE.md for HTTP and gRPC codes. */
export type ErrorKind =
  | "bad_data"
  | "execution"
  | "limit"
  | "canceled"
  | "timeout"
  | "unavailable"
  | "not_found"
  | "permission"
  | "corruption"
  | "conflict"
  | "internal";

/** Details of an error that a program may read: names and numbers, never secrets. */
export type ErrorAttrs = Readonly<Record<string, string | number>>;

/** The base of every error that Mneme throws on purpose. */
export class MnemeError extends Error {
  readonly kind: ErrorKind;
  readonly attrs: ErrorAttrs;
  constructor(
    kind: ErrorKind,
    message: string,
    options: { cause?: unknown; attrs?: ErrorAttrs } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MnemeError";
    this.kind = kind;
    this.attrs = options.attrs ?? {};
  }
}

/** Bytes that do not follow their format: what was read, where, and what was expected. */
export class CorruptionError extends MnemeError {
  /** File or object the bytes came from, "" when the reader does not know it. */
  readonly file: string;
  /** Byte offset inside `file` at which reading failed. */
  readonly offset: number;
  /** What was wrong, without file and offset. */
  readonly reason: string;
  constructor(reason: string, at: { file?: string; offset?: number; cause?: unknown } = {}) {
    const file = at.file ?? "";
    const offset = at.offset ?? 0;
    const where = file === "" ? `offset ${offset}` : `${file} at offset ${offset}`;
    super("corruption", `Corrupt data in ${where}: ${reason}`, {
      cause: at.cause,
      attrs: { file, offset },
    });
    this.name = "CorruptionError";
    this.file = file;
    this.offset = offset;
    this.reason = reason;
  }
  /** The same error with the file named and the offset moved by `base`; for callers that know them. */
  in(file: string, base = 0): CorruptionError {
    if (this.file !== "") return this;
    return new CorruptionError(this.reason, {
      file,
      offset: this.offset + base,
      cause: this.cause,
    });
  }
}

/** A configured limit was passed. */
export class LimitError extends MnemeError {
  readonly limit: number;
  readonly seen: number;
  constructor(message: string, limit: number, seen: number) {
    super("limit", message, { attrs: { limit, seen } });
    this.name = "LimitError";
    this.limit = limit;
    this.seen = seen;
  }
}

/** The kind of any thrown value: `canceled` for aborts, `internal` for what nobody foresaw. */
export function errorKind(error: unknown): ErrorKind {
  if (error instanceof MnemeError) return error.kind;
  if (error instanceof DOMException && error.name === "AbortError") return "canceled";
  if (error instanceof DOMException && error.name === "TimeoutError") return "timeout";
  return "internal";
}

/** The message of any thrown value. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Throws the reason of an aborted signal as a `canceled` (or `timeout`) error. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal === undefined || !signal.aborted) return;
  const reason: unknown = signal.reason;
  if (reason instanceof MnemeError) throw reason;
  throw new MnemeError(
    errorKind(reason) === "timeout" ? "timeout" : "canceled",
    "context canceled",
    {
      cause: reason,
    },
  );
}
