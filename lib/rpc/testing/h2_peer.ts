/** The other end of an HTTP/2 connection, in memory: keeps what was written, sends what it is told. */
import assert from "node:assert/strict";
import { encodeHeaders, type HeaderList } from "../h2/hpack.ts";
import type { Socket } from "../h2/socket.ts";

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

/** A frame as it was written. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

/** The socket of the connection under test; the test is at its other end. */
export class Peer implements Socket {
  readonly frames: Frame[] = [];
  closed = false;
  #in: Uint8Array[] = [];
  #ended = false;
  #wake: (() => void) | undefined;
  #written = new Uint8Array(0);
  #sawPreface: boolean;
  #watchers: (() => void)[] = [];
  /** While set, writes do not complete. */
  blocked = false;

  /** A client under test writes a preface first, a server does not. */
  constructor(under: "client" | "server" = "client") {
    this.#sawPreface = under === "server";
  }

  async read(target: Uint8Array): Promise<number | null> {
    while (this.#in.length === 0) {
      if (this.#ended || this.closed) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const part = this.#in[0]!;
    const n = Math.min(part.length, target.length);
    target.set(part.subarray(0, n));
    if (n === part.length) this.#in.shift();
    else this.#in[0] = part.subarray(n);
    return n;
  }
  async write(bytes: Uint8Array): Promise<void> {
    if (this.closed) throw new Error("broken pipe");
    if (this.blocked) await new Promise(() => {});
    this.#written = concat([this.#written, bytes]);
    if (!this.#sawPreface && this.#written.length >= 24) {
      assert.equal(
        new TextDecoder().decode(this.#written.subarray(0, 24)),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      );
      this.#written = this.#written.slice(24);
      this.#sawPreface = true;
    }
    while (this.#sawPreface && this.#written.length >= 9) {
      const w = this.#written;
      const size = (w[0]! << 16) | (w[1]! << 8) | w[2]!;
      if (w.length < 9 + size) break;
      this.frames.push({
        type: w[3]!,
        flags: w[4]!,
        id: new DataView(w.buffer, w.byteOffset).getUint32(5),
        payload: w.slice(9, 9 + size),
      });
      this.#written = w.slice(9 + size);
    }
    for (const wake of this.#watchers.splice(0)) wake();
  }
  close(): void {
    this.closed = true;
    this.#notify();
    for (const wake of this.#watchers.splice(0)) wake();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
  /** Sends bytes in pieces of at most `piece`. */
  raw(bytes: Uint8Array, piece = Infinity): void {
    for (let at = 0; at < bytes.length; at += piece) this.#in.push(bytes.slice(at, at + piece));
    this.#notify();
  }
  end(): void {
    this.#ended = true;
    this.#notify();
  }
  send(type: number, flags: number, id: number, payload: Uint8Array | number[] = []): void {
    this.raw(frame(type, flags, id, Uint8Array.from(payload)));
  }
  headers(id: number, list: HeaderList, last = false): void {
    this.send(HEADERS, 4 | (last ? 1 : 0), id, encodeHeaders(list));
  }
  ok(id: number): void {
    this.headers(id, [[":status", "200"], ["content-type", "application/grpc"]]);
  }
  trailers(id: number, code = 0, message = ""): void {
    this.headers(id, [["grpc-status", String(code)], ["grpc-message", message]], true);
  }
  message(id: number, bytes: Uint8Array | number[]): void {
    this.send(DATA, 0, id, prefixed(Uint8Array.from(bytes)));
  }
  /** Waits until a written frame passes the test. */
  async saw(test: (f: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(test);
      if (found !== undefined) return found;
      assert.ok(!this.closed, "the connection was closed before the frame came");
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }
  async untilClosed(): Promise<void> {
    while (!this.closed) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }
}

/** All parts in one array. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The bytes of a frame. */
export function frame(type: number, flags: number, id: number, payload: Uint8Array): Uint8Array {
  const n = payload.length;
  const head = Uint8Array.of(n >>> 16, n >>> 8, n, type, flags, id >>> 24, id >>> 16, id >>> 8, id);
  return concat([head, payload]);
}

/** A gRPC message with its prefix. */
export function prefixed(message: Uint8Array, compressed = 0): Uint8Array {
  const head = new Uint8Array(5);
  head[0] = compressed;
  new DataView(head.buffer).setUint32(1, message.length);
  return concat([head, message]);
}

/** A number as four bytes. */
export function u32(x: number): number[] {
  return [x >>> 24, (x >>> 16) & 255, (x >>> 8) & 255, x & 255];
}
