/** What a sidecar asks of its Prometheus over HTTP: remote read and the JSON API. */
import { errorMessage, MnemeError } from "../base/mod.ts";
import type { Matcher } from "../model/mod.ts";
import { formatMatcher } from "../model/mod.ts";

/** How to reach a Prometheus. */
export interface PrometheusClientOptions {
  /** Base URL; a path prefix in it is kept. */
  readonly url: string;
  readonly userAgent: string;
  /** Headers of every request, such as authorization; read for each request. */
  readonly headers?: () => Promise<Readonly<Record<string, string>>>;
  /** TLS and proxy settings of the runtime. */
  readonly fetch?: typeof fetch;
}

/** A failed answer of Prometheus' HTTP API. */
export class PrometheusError extends MnemeError {
  readonly status: number;
  constructor(status: number, message: string) {
    super(
      status === 400
        ? "bad_data"
        : status === 404
        ? "not_found"
        : status === 503
        ? "unavailable"
        : "internal",
      message,
      {
        attrs: { status },
      },
    );
    this.status = status;
  }
}

/** Largest JSON answer that is read, bytes. */
const MAX_JSON = 512 * 1024 * 1024;

/** Calls to one Prometheus. */
export class PrometheusClient {
  readonly #options: PrometheusClientOptions;
  readonly #base: string;
  readonly #basicAuth: string | undefined;

  constructor(options: PrometheusClientOptions) {
    this.#options = options;
    let url: URL;
    try {
      url = new URL(options.url);
    } catch {
      throw new MnemeError("bad_data", `--prometheus.url: '${options.url}' is not a URL`);
    }
    if (url.username !== "") {
      const user = decodeURIComponent(url.username);
      this.#basicAuth = `Basic ${btoa(`${user}:${decodeURIComponent(url.password)}`)}`;
      url.username = "";
      url.password = "";
    }
    this.#base = url.toString().replace(/[?#].*$/, "").replace(/\/+$/, "");
  }

  /** Base URL without credentials, for messages. */
  get base(): string {
    return this.#base;
  }

  /** Sends a request; network failures are `unavailable` errors that name the server. */
  async request(path: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("user-agent", this.#options.userAgent);
    if (this.#basicAuth !== undefined) headers.set("authorization", this.#basicAuth);
    for (const [name, value] of Object.entries(await this.#options.headers?.() ?? {})) {
      headers.set(name, value);
    }
    try {
      return await (this.#options.fetch ?? fetch)(`${this.#base}${path}`, {
        ...init,
        headers,
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new MnemeError(
        "unavailable",
        `Cannot reach Prometheus at ${this.#base}: ${reasonOf(error)}`,
        {
          cause: error,
        },
      );
    }
  }

  /** GET of a JSON API path; returns `data`. 204 is undefined. */
  async get(
    path: string,
    params: URLSearchParams | undefined,
    signal: AbortSignal,
  ): Promise<unknown> {
    const query = params === undefined || params.size === 0 ? "" : `?${params}`;
    const answer = await this.request(`${path}${query}`, { method: "GET" }, signal);
    if (answer.status === 204) {
      await answer.body?.cancel();
      return undefined;
    }
    const text = await readText(answer, MAX_JSON);
    if (!answer.ok) {
      throw new PrometheusError(
        answer.status,
        `expected 2xx response, got ${answer.status}. Body: ${text.slice(0, 1000)}`,
      );
    }
    let body: { status?: unknown; data?: unknown; error?: unknown };
    try {
      body = JSON.parse(text);
    } catch (error) {
      throw new MnemeError(
        "internal",
        `${this.#base}${path} answered no JSON: ${errorMessage(error)}`,
      );
    }
    if (body === null || typeof body !== "object") {
      throw new MnemeError("internal", `${this.#base}${path} answered no JSON object`);
    }
    if (body.status === "error") throw new MnemeError("internal", String(body.error));
    return body.data;
  }

  /** Text of a page such as `/metrics`. */
  async text(path: string, signal: AbortSignal): Promise<string> {
    const answer = await this.request(path, { method: "GET" }, signal);
    const text = await readText(answer, MAX_JSON);
    if (!answer.ok) {
      throw new PrometheusError(
        answer.status,
        `expected 2xx response, got ${answer.status}. Body: ${text.slice(0, 1000)}`,
      );
    }
    return text;
  }
}

/** Why a request failed: the runtime's own words are in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof Error)) return errorMessage(error);
  return cause.message
    .replace(/^error sending request for url \([^)]*\): /, "")
    .replace(/^client error \(\w+\): /, "")
    .replace(/ \(os error \d+\)$/, "");
}

async function readText(answer: Response, maxBytes: number): Promise<string> {
  if (answer.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const part of answer.body) {
    size += part.length;
    if (size > maxBytes) {
      throw new MnemeError("limit", `answer of ${answer.url} is larger than ${maxBytes} bytes`);
    }
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

/** A selector as Prometheus parses it: `{a="b", c=~"d"}`. */
export function formatSelector(matchers: readonly Matcher[]): string {
  return `{${matchers.map(formatMatcher).join(", ")}}`;
}

/** A time in ms as decimal seconds without an exponent. */
export function formatSeconds(ms: number): string {
  const sign = ms < 0 ? "-" : "";
  const t = Math.abs(Math.trunc(ms));
  const rest = t % 1000;
  const fraction = rest === 0 ? "" : `.${String(rest).padStart(3, "0").replace(/0+$/, "")}`;
  return `${sign}${Math.floor(t / 1000)}${fraction}`;
}
