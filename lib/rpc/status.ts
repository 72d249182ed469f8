/** gRPC status codes, and how error kinds become codes and codes become errors. */
import { type ErrorKind, errorKind, errorMessage, MnemeError } from "../base/mod.ts";

export const STATUS_OK = 0;
export const STATUS_CANCELLED = 1;
export const STATUS_UNKNOWN = 2;
export const STATUS_INVALID_ARGUMENT = 3;
export const STATUS_DEADLINE_EXCEEDED = 4;
export const STATUS_NOT_FOUND = 5;
export const STATUS_ALREADY_EXISTS = 6;
export const STATUS_PERMISSION_DENIED = 7;
export const STATUS_RESOURCE_EXHAUSTED = 8;
export const STATUS_FAILED_PRECONDITION = 9;
export const STATUS_ABORTED = 10;
export const STATUS_OUT_OF_RANGE = 11;
export const STATUS_UNIMPLEMENTED = 12;
export const STATUS_INTERNAL = 13;
export const STATUS_UNAVAILABLE = 14;
export const STATUS_DATA_LOSS = 15;
export const STATUS_UNAUTHENTICATED = 16;

/** Names of the codes as gRPC programs print them. */
const NAMES: readonly string[] = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
];

/** Name of a status code. */
export function statusName(code: number): string {
  return NAMES[code] ?? `Code(${code})`;
}

/**
 * The failure of a call to another program; also thrown by servers that want a certain code.
 *
 * The message is `rpc error: code = NAME desc = DETAILS`, the form operators know from logs.
 */
export class RpcError extends MnemeError {
  readonly code: number;
  /** What the peer said, without the code. */
  readonly details: string;
  constructor(code: number, details: string, options: { kind?: ErrorKind; cause?: unknown } = {}) {
    super(
      options.kind ?? kindOfStatus(code),
      `rpc error: code = ${statusName(code)} desc = ${details}`,
      { cause: options.cause, attrs: { code } },
    );
    this.name = "RpcError";
    this.code = code;
    this.details = details;
  }
}

/** Error kind of a status code. */
export function kindOfStatus(code: number): ErrorKind {
  switch (code) {
    case STATUS_CANCELLED:
      return "canceled";
    case STATUS_INVALID_ARGUMENT:
    case STATUS_OUT_OF_RANGE:
      return "bad_data";
    case STATUS_DEADLINE_EXCEEDED:
      return "timeout";
    case STATUS_NOT_FOUND:
      return "not_found";
    case STATUS_ALREADY_EXISTS:
      return "conflict";
    case STATUS_PERMISSION_DENIED:
    case STATUS_UNAUTHENTICATED:
      return "permission";
    case STATUS_RESOURCE_EXHAUSTED:
      return "limit";
    case STATUS_UNAVAILABLE:
      return "unavailable";
    case STATUS_DATA_LOSS:
      return "corruption";
    case STATUS_INTERNAL:
      return "internal";
    default:
      return "execution";
  }
}

const CODES: Readonly<Record<ErrorKind, number>> = {
  bad_data: STATUS_INVALID_ARGUMENT,
  execution: STATUS_FAILED_PRECONDITION,
  limit: STATUS_RESOURCE_EXHAUSTED,
  canceled: STATUS_CANCELLED,
  timeout: STATUS_DEADLINE_EXCEEDED,
  unavailable: STATUS_UNAVAILABLE,
  not_found: STATUS_NOT_FOUND,
  permission: STATUS_PERMISSION_DENIED,
  corruption: STATUS_DATA_LOSS,
  conflict: STATUS_ALREADY_EXISTS,
  internal: STATUS_INTERNAL,
};

/** Details travel in a header, whose size peers limit (8 KiB and more). */
const MAX_DETAILS = 4096;

/** What a server answers for a thrown value. */
export function statusOf(error: unknown): { code: number; details: string } {
  const code = error instanceof RpcError
    // A passed-on CANCELLED of a peer would look to our client like its own wish.
    ? error.kind === "unavailable" ? STATUS_UNAVAILABLE : error.code
    : CODES[errorKind(error)];
  const text = error instanceof RpcError ? error.details : errorMessage(error);
  const details = text.length > MAX_DETAILS ? `${text.slice(0, MAX_DETAILS)}…` : text;
  // A lone surrogate cannot be encoded for the header.
  return { code, details: details.toWellFormed() };
}
