/** Errors as the HTTP API shows them: kind to status code and `errorType`, in the JSON envelope. */
import { type ErrorKind, errorKind, errorMessage, MnemeError } from "../base/mod.ts";
import { envelopeJson } from "./encode_result.ts";

/** How one kind of error looks on HTTP. */
export interface HttpError {
  readonly status: 400 | 404 | 409 | 413 | 422 | 500 | 503;
  readonly errorType: string;
}

const BY_KIND: Readonly<Record<ErrorKind, HttpError>> = {
  bad_data: { status: 400, errorType: "bad_data" },
  execution: { status: 422, errorType: "execution" },
  limit: { status: 422, errorType: "execution" },
  canceled: { status: 503, errorType: "canceled" },
  timeout: { status: 503, errorType: "timeout" },
  unavailable: { status: 422, errorType: "execution" },
  not_found: { status: 404, errorType: "not_found" },
  permission: { status: 500, errorType: "internal" },
  corruption: { status: 422, errorType: "execution" },
  conflict: { status: 409, errorType: "conflict" },
  internal: { status: 500, errorType: "internal" },
};

/** Status code and error type of any thrown value. */
export function httpError(error: unknown): HttpError {
  const { status, errorType } = BY_KIND[errorKind(error)];
  // HTTP has a status of its own for a body that is too large.
  const isBody = error instanceof MnemeError && error.attrs.status === 413;
  return { status: isBody ? 413 : status, errorType };
}

/** The answer to a request that failed; never stored by caches. */
export function errorResponse(error: unknown): Response {
  const { status, errorType } = httpError(error);
  const text = envelopeJson({ status: "error", errorType, error: errorMessage(error) });
  return new Response(`${text}\n`, {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
  });
}

/** The answer to a request that succeeded with data that is JSON already or small enough for it. */
export function dataResponse(data: unknown, warnings: readonly string[] = []): Response {
  const body = { status: "success", data, ...(warnings.length === 0 ? {} : { warnings }) };
  return new Response(`${envelopeJson(body)}\n`, {
    headers: {
      "content-type": "application/json",
      ...(warnings.length === 0 ? {} : { "cache-control": "no-store" }),
    },
  });
}
