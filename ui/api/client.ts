/** The server's HTTP API: envelope, errors in words, cancellation. */
import { type Body, readRange, readText } from "./bodies.ts";
import type { RangeData } from "./types.ts";

/** What came back. */
export interface Answer<T> {
  readonly data: T;
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
  /** From request to the last byte read and parsed, ms. */
  readonly elapsed: number;
  /** The JSON text, where `data` is not all of it. */
  readonly text?: () => string;
  readonly traceId: string;
}

/** Parameters in order; names may repeat. */
export type Form = readonly (readonly [string, string])[];

/** An error answer, or none at all. */
export class ApiError extends Error {
  /** HTTP status, 0 when the server was not reached. */
  readonly status: number;
  /** `bad_data`, `execution`, `timeout`, …; `unreachable` for no answer. */
  readonly type: string;
  constructor(status: number, type: string, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.type = type;
  }
}

/** Options of one call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Calls below `<prefix>/api/v1`. */
export class Api {
  readonly base: string;
  readonly #fetch: typeof fetch;
  constructor(prefix: string, doFetch: typeof fetch = (...args) => fetch(...args)) {
    this.base = `${prefix}/api/v1`;
    this.#fetch = doFetch;
  }

  get<T>(path: string, form: Form = [], options: CallOptions = {}): Promise<Answer<T>> {
    const query = new URLSearchParams(form.map((pair) => [...pair])).toString();
    return this.#call<T>(`${path}${query === "" ? "" : `?${query}`}`, { method: "GET" }, options);
  }

  post<T>(path: string, form: Form, options: CallOptions = {}): Promise<Answer<T>> {
    return this.#call<T>(path, {
      method: "POST",
      body: new URLSearchParams(form.map((pair) => [...pair])),
    }, options);
  }

  /** A range query: its series come as columns, read while the answer arrives. */
  postRange(path: string, form: Form, options: CallOptions = {}): Promise<Answer<RangeData>> {
    return this.#call<RangeData>(
      path,
      { method: "POST", body: new URLSearchParams(form.map((pair) => [...pair])) },
      options,
      readRange,
    );
  }

  delete<T>(path: string, options: CallOptions = {}): Promise<Answer<T>> {
    return this.#call<T>(path, { method: "DELETE" }, options);
  }

  async #call<T>(
    path: string,
    init: RequestInit,
    options: CallOptions,
    read: (response: Response) => Promise<Body> = readText,
  ): Promise<Answer<T>> {
    const began = performance.now();
    let response: Response;
    let body: Body;
    try {
      response = await this.#fetch(`${this.base}${path}`, {
        ...init,
        headers: { accept: "application/json", ...options.headers },
        cache: "no-store",
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      body = await read(response);
    } catch (error) {
      if (options.signal?.aborted) throw new ApiError(0, "canceled", "The request was cancelled.");
      const why = error instanceof Error ? error.message : String(error);
      throw new ApiError(0, "unreachable", `The server did not answer (${why}).`);
    }
    const { envelope } = body;
    if (envelope === undefined) {
      const text = body.text();
      if (response.ok && text === "") {
        return { data: undefined as T, warnings: [], infos: [], elapsed: 0, traceId: "" };
      }
      throw new ApiError(
        response.status,
        response.status === 404 ? "not_found" : "no_json",
        text.trim().slice(0, 500) || `HTTP status ${response.status} without a text`,
      );
    }
    if (envelope.status !== "success") {
      throw new ApiError(
        response.status,
        String(envelope.errorType ?? "unknown"),
        String(envelope.error ?? `HTTP status ${response.status}`),
      );
    }
    return {
      data: envelope.data as T,
      warnings: texts(envelope.warnings),
      infos: texts(envelope.infos),
      elapsed: performance.now() - began,
      ...(read === readRange ? { text: body.text } : {}),
      traceId: response.headers.get("x-thanos-trace-id") ?? "",
    };
  }
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** True for an error that means: this component has no such API. */
export function isAbsent(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 404 || error.status === 405);
}

/** True when somebody here gave the request up. */
export function isCanceled(error: unknown): boolean {
  return error instanceof ApiError && error.type === "canceled" && error.status === 0;
}

/** Any thrown value as text. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
