/** Requests and responses of `node:http` in the web's own terms, at the pace of the client. */
import type { IncomingMessage, ServerResponse } from "node:http";

/** Longest wait for a client that does not take its answer, ms. */
export const WRITE_STALL = 120_000;

/**
 * A request as the web has it, undefined when its address makes no URL. Its signal aborts when the
 * client goes away before the answer is out.
 */
export function webRequest(
  incoming: IncomingMessage,
  response: ServerResponse,
  scheme: "http" | "https",
): Request | undefined {
  const { method = "GET", url = "/" } = incoming;
  const host = incoming.headers.host ?? "localhost";
  // Proxies ask for whole URLs; everybody else for a path.
  const text = url.startsWith("/") ? `${scheme}://${host}${url}` : url;
  const parsed = URL.parse(text);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined;
  const headers = new Headers();
  const { rawHeaders } = incoming;
  try {
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
    }
  } catch {
    return undefined;
  }
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort(new DOMException("client is gone", "AbortError"));
  });
  const hasBody = method !== "GET" && method !== "HEAD" &&
    (headers.has("transfer-encoding") || Number(headers.get("content-length") ?? 0) > 0);
  try {
    return new Request(text, {
      method,
      headers,
      signal: gone.signal,
      ...(hasBody ? { body: bodyOf(incoming) } : {}),
    });
  } catch {
    return undefined; // A method that the web forbids, such as TRACE.
  }
}

function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      incoming.on("data", (piece: Uint8Array) => {
        controller.enqueue(new Uint8Array(piece));
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
      });
      incoming.once("end", () => controller.close());
      const fail = (error?: Error) => {
        try {
          controller.error(error ?? new Error("the request was cut off"));
        } catch {
          // It has ended already.
        }
      };
      incoming.once("error", fail);
      incoming.once("aborted", fail);
      incoming.pause();
    },
    pull() {
      incoming.resume();
    },
    cancel() {
      incoming.resume();
    },
  }, { highWaterMark: 256 * 1024, size: (piece) => piece.length });
}

/** Sends an answer; a body that fails cuts the connection, so that nobody takes it for whole. */
export async function sendResponse(
  answer: Response,
  response: ServerResponse,
  more: readonly (readonly [string, string])[],
  stall: number,
): Promise<void> {
  const headers = [...answer.headers, ...more].flat();
  response.writeHead(answer.status, headers);
  const { body } = answer;
  if (body === null || response.req.method === "HEAD") {
    await body?.cancel();
    response.end();
    return;
  }
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (response.destroyed) throw new Error("the client is gone");
      if (!response.write(value)) await drained(response, stall);
    }
    response.end();
  } catch (error) {
    await reader.cancel(error).catch(() => {
      // The body failed itself, or does not care.
    });
    response.destroy();
  }
}

/** Resolves when there is room; a client that takes nothing for too long is cut off. */
function drained(response: ServerResponse, stall: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: Error) => {
      clearTimeout(timer);
      response.off("drain", onDrain);
      response.off("close", onClose);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onDrain = () => end();
    const onClose = () => end(new Error("the client is gone"));
    const timer = setTimeout(() => end(new Error("the client does not read")), stall);
    response.once("drain", onDrain);
    response.once("close", onClose);
  });
}
