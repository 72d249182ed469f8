/** The AWS SDK's requests over our own transport, with bounds on what answers may hold. */
import type { HttpTransport } from "./http_transport.ts";
import { RemoteError } from "./remote_error.ts";

/** The SDK's form of a request. */
export interface SdkRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Options of a call as the SDK passes them on. */
export interface SdkCallOptions {
  readonly abortSignal?: AbortSignal;
  /** The caller reads the body of a good answer itself. */
  readonly streaming?: boolean;
}

/** Writes down a request and its answer. */
export type S3Trace = (line: { readonly request: string; readonly answer: string }) => void;

/** Largest answer that is not an object: a page of a listing has 1000 names of at most 1 KiB. */
const MAX_ANSWER = 16 * 1024 * 1024;
/** Headers that hold credentials. */
const SECRET_HEADERS =
  /^(?:authorization|proxy-authorization|x-amz-security-token|.*-customer-key.*)$/i;

/** A `requestHandler` of the SDK. */
export class SdkHandler {
  readonly metadata = { handlerProtocol: "http/1.1" };
  readonly #transport: HttpTransport;
  readonly #trace: S3Trace | undefined;

  constructor(transport: HttpTransport, trace?: S3Trace) {
    this.#transport = transport;
    this.#trace = trace;
  }

  async handle(request: SdkRequest, options: SdkCallOptions = {}): Promise<{
    response: { statusCode: number; headers: Record<string, string>; body: unknown };
  }> {
    const query = queryText(request.query ?? {});
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(request.headers)) {
      // Bodies are small or in memory: asking first costs a round trip for nothing.
      if (name.toLowerCase() !== "expect") headers[name] = value;
    }
    const body = bodyBytes(request.body);
    const call = {
      method: request.method,
      protocol: request.protocol === "http:" ? "http:" as const : "https:" as const,
      hostname: request.hostname,
      port: request.port,
      path: request.path + (query === "" ? "" : `?${query}`),
      headers,
      ...(body === undefined ? {} : { body }),
    };
    const answer = await this.#transport.send(call, options.abortSignal);
    this.#trace?.({
      request: `${call.method} ${call.path} ${headerText(headers)}`,
      answer: `${answer.status} ${headerText(answer.headers)}`,
    });
    const { status: statusCode, headers: answerHeaders } = answer;
    if (options.streaming === true && statusCode < 300) {
      return { response: { statusCode, headers: { ...answerHeaders }, body: answer.body } };
    }
    const { abortSignal: signal } = options;
    const bytes = request.method === "HEAD"
      ? (answer.body.resume(), new Uint8Array(0))
      : await this.#transport.readAll(answer, { limit: MAX_ANSWER, ...(signal && { signal }) });
    let told = bytes;
    if (hasDeclarations(bytes)) {
      if (statusCode < 300) {
        throw new RemoteError("unavailable", DECLARATIONS, { retryable: false });
      }
      // A page of a proxy or balancer on the way: the status says all there is to know.
      told = new Uint8Array(0);
    }
    return { response: { statusCode, headers: { ...answerHeaders }, body: told } };
  }

  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): Record<string, never> {
    return {};
  }

  destroy(): void {
    this.#transport.close();
  }
}

const DECLARATIONS = "the answer is XML with a document type, which no S3 sends";

/** Entities are the way to make a small document large; no S3 server needs them. */
function hasDeclarations(bytes: Uint8Array): boolean {
  if (bytes.length === 0 || bytes[0] !== 0x3c) return false;
  return /<!(?:DOCTYPE|ENTITY)/i.test(new TextDecoder().decode(bytes.subarray(0, 4096)));
}

function bodyBytes(body: unknown): Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (body instanceof Uint8Array) return body;
  if (typeof body === "string") return new TextEncoder().encode(body);
  throw new TypeError("Cannot send a body of this type");
}

/** A query in the order and the escapes that signatures are computed over. */
function queryText(query: NonNullable<SdkRequest["query"]>): string {
  const parts: string[] = [];
  for (const name of Object.keys(query).sort()) {
    const value = query[name];
    const key = escapeQuery(name);
    if (value === null || value === undefined) parts.push(key);
    else if (typeof value === "string") parts.push(`${key}=${escapeQuery(value)}`);
    else for (const one of value) parts.push(`${key}=${escapeQuery(one)}`);
  }
  return parts.join("&");
}

function escapeQuery(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function headerText(headers: Readonly<Record<string, string>>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${SECRET_HEADERS.test(name) ? "<secret>" : value}`)
    .join("; ");
}
