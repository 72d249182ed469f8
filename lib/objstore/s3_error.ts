/** Errors of the AWS SDK and of S3 servers in our own terms. */
import { type ErrorKind, MnemeError } from "../base/mod.ts";
import { isRetryableStatus, RemoteError, retryAfter, statusKind } from "./remote_error.ts";

/** What the SDK throws, as far as it is used. */
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly Code?: string;
  /** Told by servers that expect a signature for another region. */
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/** Codes after which the same request may succeed, whatever their status. */
const RETRYABLE_CODES: ReadonlySet<string> = new Set([
  "RequestError",
  "RequestTimeout",
  "Throttling",
  "ThrottlingException",
  "RequestLimitExceeded",
  "RequestThrottled",
  "InternalError",
  "ExpiredToken",
  "ExpiredTokenException",
  "SlowDown",
  "SlowDownWrite",
  "SlowDownRead",
  "ServiceUnavailable",
  // The SDK learns the difference of the clocks from it and signs anew.
  "RequestTimeTooSkewed",
  "ConditionalRequestConflict",
  "BadDigest",
]);

const KINDS: Readonly<Record<string, ErrorKind>> = {
  NoSuchKey: "not_found",
  NotFound: "not_found",
  // No object is missing here: a bucket that is not there must not look like an empty one.
  NoSuchBucket: "unavailable",
  AccessDenied: "permission",
  InvalidAccessKeyId: "permission",
  SignatureDoesNotMatch: "permission",
  PreconditionFailed: "conflict",
};

/** Turns what the SDK threw into a RemoteError; errors of ours stay as they are. */
export function s3Error(error: unknown, anonymous: boolean): unknown {
  if (error instanceof MnemeError) return error;
  const sdk = error as SdkError;
  const status = sdk.$metadata?.httpStatusCode ?? 0;
  const code = sdk.Code ?? (sdk.name === "Error" ? undefined : sdk.name) ?? "";
  const headers = sdk.$response?.headers ?? {};
  const retryable = RETRYABLE_CODES.has(code) || isRetryableStatus(status);
  const kind: ErrorKind = retryable ? "unavailable" : KINDS[code] ?? statusKind(status);
  const region = regionOf(sdk, code, headers);
  return new RemoteError(kind, reasonOf(sdk, code, status, anonymous && kind === "permission"), {
    retryable,
    retryAfter: retryAfter(headers["retry-after"]),
    attrs: { status, code, ...(region === undefined ? {} : { region }) },
  });
}

function regionOf(
  error: SdkError,
  code: string,
  headers: Readonly<Record<string, string>>,
): string | undefined {
  const moved = code === "AuthorizationHeaderMalformed" || code === "PermanentRedirect" ||
    code === "IllegalLocationConstraintException" || error.$metadata?.httpStatusCode === 301 ||
    error.$metadata?.httpStatusCode === 307 || error.$metadata?.httpStatusCode === 400;
  const told = error.Region ?? headers["x-amz-bucket-region"];
  return moved && told !== undefined && /^[a-z0-9-]{1,40}$/.test(told) ? told : undefined;
}

function reasonOf(error: SdkError, code: string, status: number, unsigned: boolean): string {
  const message = error.message === undefined || error.message === "UnknownError"
    ? ""
    : error.message;
  const told = [message, code !== "" && code !== message ? `(${code})` : ""].filter((t) =>
    t !== ""
  );
  const what = told.length === 0 || (message === "" && status > 0)
    ? `the server answered ${status}${code === "" ? "" : ` ${code}`}`
    : told.join(" ");
  return unsigned
    ? `${what}; the request was not signed because no credentials were found: ` +
      "set access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    : what;
}
