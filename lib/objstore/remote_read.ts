/** Reads checked against what was asked for: a server that sends other bytes is caught here. */
import { contentLength, type HttpAnswer, type HttpTransport } from "./http_transport.ts";
import type { RemoteRead } from "./remote_bucket.ts";
import { RemoteError } from "./remote_error.ts";

/** Largest object that is read into memory as a whole. */
const MAX_IN_MEMORY = 4 * 1024 * 1024 * 1024;

/**
 * The read of an answer to a request for `length` bytes at `offset`; undefined behind the end.
 *
 * Throws: RemoteError when the answer is for another range.
 */
export function sizedRead(
  transport: HttpTransport,
  answer: HttpAnswer,
  asked: {
    readonly offset: number;
    readonly length: number;
    readonly contentRange: string | undefined;
    readonly etag: string | undefined;
  },
): RemoteRead | undefined {
  const { offset, length, contentRange, etag } = asked;
  const announced = contentLength(answer.headers);
  const refuse = (reason: string): never => {
    answer.body.destroy();
    throw new RemoteError("unavailable", reason);
  };
  if (offset > 0 || length >= 0) {
    const found = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(contentRange ?? "");
    if (found === null) {
      // Without ranges a server may send all of a small object; from its start that is as good.
      const fits = offset === 0 && announced !== undefined && announced <= length;
      if (!fits) refuse("the server does not answer range requests with a range");
    } else {
      const [first, last] = [Number(found[1]), Number(found[2])];
      const total = found[3] === "*" ? Infinity : Number(found[3]);
      if (total <= offset) {
        // Behind the object's end; most servers say 416.
        answer.body.destroy();
        return undefined;
      }
      const end = length < 0 ? total : Math.min(total, offset + length);
      if (first !== offset || (end !== Infinity && last !== end - 1)) {
        refuse(`the server sent bytes ${first}-${last} instead of ${offset}-${end - 1}`);
      }
      if (announced !== undefined && announced !== last - first + 1) {
        refuse(`the server announced ${announced} bytes for a range of ${last - first + 1}`);
      }
    }
  }
  return {
    length: announced,
    etag,
    all: (options) => transport.readAll(answer, { limit: MAX_IN_MEMORY, ...options }),
    pieces: (signal) => transport.pieces(answer, signal),
  };
}
