/** gzip for answers of 1024 bytes and more, when the client accepts it. */
import type { MiddlewareHandler } from "hono";
import { Duplex } from "node:stream";
import { createGzip } from "node:zlib";

const THRESHOLD = 1024;
/** Series in JSON: a sixth of the usual level's time for an eighth more bytes. */
const LEVEL = 2;
const PIECE = 64 * 1024;

/**
 * Compresses bodies; always says `Vary: Accept-Encoding`.
 *
 * A streamed body is looked at until it has the threshold's size, so that small ones stay plain.
 */
export function compress(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    const { res } = c;
    if (res.body === null || res.headers.has("content-encoding") || res.status === 204) return;
    const accepted = acceptsGzip(c.req.header("accept-encoding") ?? "");
    const known = Number(res.headers.get("content-length") ?? NaN);
    const headers = new Headers(res.headers);
    headers.append("vary", "Accept-Encoding");
    const answer = (body: BodyInit | null) =>
      new Response(body, { status: res.status, statusText: res.statusText, headers });
    if (!accepted || known < THRESHOLD || c.req.raw.method === "HEAD") {
      c.res = undefined;
      c.res = answer(res.body);
      return;
    }
    const reader = res.body.getReader();
    const head: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    let ended = false;
    while (size < THRESHOLD && !ended) {
      const { done, value } = await reader.read();
      if (done) ended = true;
      else {
        head.push(value);
        size += value.length;
      }
    }
    const rest = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        const first = head.shift();
        if (first !== undefined) {
          controller.enqueue(first);
          return;
        }
        const { done, value } = ended ? { done: true, value: undefined } : await reader.read();
        if (done || value === undefined) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
    c.res = undefined;
    if (size < THRESHOLD) {
      c.res = answer(rest);
      return;
    }
    headers.delete("content-length");
    headers.set("content-encoding", "gzip");
    c.res = answer(rest.pipeThrough(gzip()));
  };
}

function gzip(): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  const { readable, writable } = Duplex.toWeb(createGzip({ level: LEVEL, chunkSize: PIECE }));
  return { readable, writable } as TransformStream<Uint8Array<ArrayBuffer>>;
}

/** True when gzip is named and not refused by `q=0`; `*` does not count, as in Go's handlers. */
export function acceptsGzip(header: string): boolean {
  return header.split(",").some((part) => {
    const [name, ...params] = part.trim().toLowerCase().split(/\s*;\s*/);
    return name === "gzip" && !params.some((p) => /^q=0(?:\.0*)?$/.test(p));
  });
}
