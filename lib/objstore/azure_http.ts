/** Azure's requests over our own transport: TLS, proxies and time limits of the configuration hold. */
import type { IHttpClient } from "@azure/storage-blob";
import { type HttpTransport } from "./http_transport.ts";
import { RemoteError } from "./remote_error.ts";

type WebResource = Parameters<IHttpClient["sendRequest"]>[0];
type Answer = Awaited<ReturnType<IHttpClient["sendRequest"]>>;

/** Largest answer that is not an object. */
const MAX_ANSWER = 32 * 1024 * 1024;

/** A client of the packages' older interface, which is what their pipeline takes. */
export function azureHttpClient(transport: HttpTransport): IHttpClient {
  return { sendRequest: (request) => send(transport, request) };
}

async function send(transport: HttpTransport, request: WebResource): Promise<Answer> {
  const url = new URL(request.url);
  const body = bodyBytes(request.body);
  const signal = request.abortSignal as AbortSignal | undefined;
  const answer = await transport.send({
    method: request.method,
    protocol: url.protocol === "http:" ? "http:" : "https:",
    hostname: url.hostname,
    port: url.port === "" ? undefined : Number(url.port),
    path: url.pathname + url.search,
    headers: { ...request.headers.toJson({ preserveCase: true }), host: url.host },
    ...(body === undefined ? {} : { body }),
  }, signal);
  const headers = { toJson: () => ({ ...answer.headers }) } as Answer["headers"];
  const { status } = answer;
  if (request.streamResponseStatusCodes?.has(status) === true) {
    return { request, status, headers, readableStreamBody: answer.body };
  }
  if (request.method === "HEAD") {
    answer.body.resume();
    return { request, status, headers, bodyAsText: "" };
  }
  const bytes = await transport.readAll(answer, { limit: MAX_ANSWER, ...(signal && { signal }) });
  const bodyAsText = new TextDecoder().decode(bytes);
  if (/<!(?:DOCTYPE|ENTITY)/i.test(bodyAsText.slice(0, 4096))) {
    // A page of a proxy or balancer on the way: the status says all there is to know.
    if (status >= 300) return { request, status, headers, bodyAsText: "" };
    throw new RemoteError("unavailable", "the answer is XML with a document type", {
      retryable: false,
    });
  }
  return { request, status, headers, bodyAsText };
}

function bodyBytes(body: unknown): Uint8Array | undefined {
  const plain: unknown = typeof body === "function" ? body() : body;
  if (plain === undefined || plain === null) return undefined;
  if (plain instanceof Uint8Array) return plain;
  if (plain instanceof ArrayBuffer) return new Uint8Array(plain);
  if (typeof plain === "string") return new TextEncoder().encode(plain);
  throw new TypeError("Cannot send a body of this type");
}
