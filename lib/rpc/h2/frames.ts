/**
 * HTTP/2 frames over a byte stream (RFC 9113, section 4), for both ends of a connection: reads
 * them, checks what can be checked without knowing streams, and writes them in large pieces.
 */
import { MnemeError } from "../../base/mod.ts";
import type { Socket } from "./socket.ts";

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
const PADDED = 8;
const PRIORITY = 0x20;

export const SETTINGS_ENABLE_PUSH = 2;
export const SETTINGS_MAX_CONCURRENT = 3;
export const SETTINGS_INITIAL_WINDOW = 4;
export const SETTINGS_MAX_FRAME = 5;
export const SETTINGS_MAX_HEADER_LIST = 6;

export const NO_ERROR = 0;
export const PROTOCOL_ERROR = 1;
export const INTERNAL_ERROR = 2;
export const FLOW_CONTROL_ERROR = 3;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const ENHANCE_YOUR_CALM = 11;

/** What a client sends first. */
export const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** Window of streams and connections before anything is agreed, bytes. */
export const DEFAULT_WINDOW = 65535;
/** Largest frame that a peer must accept, bytes. */
export const DEFAULT_MAX_FRAME = 16384;
/** Largest frame we accept, bytes. */
export const MAX_FRAME = 1024 * 1024;
/** Bytes of a goodbye that are read. */
const MAX_REASON = 200;
const decoder = new TextDecoder();
/** Largest block of headers we put together, bytes. */
const MAX_HEADER_BLOCK = 256 * 1024;
/** Bytes that may wait to be written apart from DATA: more are only caused by a peer that does not read. */
const MAX_UNWRITTEN = 1024 * 1024;
/** Buffer of written bytes; DATA waits while it is full. */
const WRITE_BUFFER = 256 * 1024;
const READ_BUFFER = 256 * 1024;

/** What the owner of a connection is told; a thrown `bad_data` error is a violation by the peer. */
export interface FrameHandler {
  /** DATA for a stream: payload is bytes [at, end) of `b` (a view that dies with the call). */
  data(id: number, b: Uint8Array, at: number, end: number, charged: number, last: boolean): void;
  /** A complete header block. */
  headers(id: number, block: Uint8Array, last: boolean): void;
  reset(id: number, code: number): void;
  setting(id: number, value: number): void;
  /** All settings of a frame were told. */
  settingsDone(): void;
  /** `reason` is what the peer says about it, often nothing. */
  goAway(lastId: number, code: number, reason: string): void;
  windowUpdate(id: number, increment: number): void;
  /** Bytes arrived. */
  heard(): void;
  /** The write buffer has room again. */
  writable(): void;
  /** The connection is over; called once. `violation` is set when the peer broke the protocol. */
  lost(cause: unknown, violation: boolean): void;
}

/** Frames in and out of one socket. */
export class FrameIo {
  readonly #socket: Socket;
  readonly #handler: FrameHandler;
  /** Bytes to be written next, and the other buffer of the pair. */
  #out = new Uint8Array(4096);
  #spare: Uint8Array<ArrayBuffer> | undefined;
  #outLength = 0;
  #view = new DataView(this.#out.buffer);
  #flushing = false;
  #over = false;
  #closing = false;
  /** The header block that is being put together from several frames. */
  #block: { id: number; last: boolean; parts: Uint8Array[]; size: number } | undefined;

  constructor(socket: Socket, handler: FrameHandler) {
    this.#socket = socket;
    this.#handler = handler;
  }

  /** The write buffer is full: DATA should wait for writable(). */
  get full(): boolean {
    return this.#outLength >= WRITE_BUFFER;
  }

  /** Reads until the connection is over; the first bytes are those of `expect`. */
  async run(expect: Uint8Array = new Uint8Array(0)): Promise<void> {
    try {
      await this.#read(expect);
    } catch (error) {
      this.#fail(error, error instanceof MnemeError && error.kind === "bad_data");
    }
  }

  /** Writes what is still to be written, then closes. */
  close(): void {
    this.#over = true;
    if (this.#flushing) this.#closing = true;
    else this.#socket.close();
  }

  #fail(cause: unknown, violation: boolean): void {
    if (this.#over) return;
    if (violation) this.goAway(0, PROTOCOL_ERROR);
    this.#over = true;
    this.#handler.lost(cause, violation);
    if (violation) this.close();
    else this.#socket.close();
  }

  // ---- writing ------------------------------------------------------------------------------

  #reserve(n: number): void {
    const need = this.#outLength + n;
    if (need <= this.#out.length) return;
    let size = this.#out.length * 2;
    while (size < need) size *= 2;
    const next = new Uint8Array(size);
    next.set(this.#out.subarray(0, this.#outLength));
    this.#out = next;
    this.#view = new DataView(next.buffer);
  }

  /** Writes bytes that are no frame. */
  raw(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#reserve(bytes.length);
    this.#out.set(bytes, this.#outLength);
    this.#outLength += bytes.length;
    this.#start();
  }

  /** Writes one frame whose payload is bytes [from, to). */
  frame(
    type: number,
    flags: number,
    id: number,
    payload: Uint8Array,
    from = 0,
    to = payload.length,
  ): void {
    if (this.#over) return;
    const n = to - from;
    if (type !== DATA && this.#outLength > WRITE_BUFFER + MAX_UNWRITTEN) {
      this.#fail(new MnemeError("unavailable", "the peer does not read"), false);
      return;
    }
    this.#reserve(9 + n);
    const at = this.#outLength;
    this.#view.setUint32(at, (n << 8) | type);
    this.#out[at + 4] = flags;
    this.#view.setUint32(at + 5, id);
    if (n > 0) {
      this.#out.set(
        from === 0 && to === payload.length ? payload : payload.subarray(from, to),
        at + 9,
      );
    }
    this.#outLength = at + 9 + n;
    this.#start();
  }
  /**
   * Writes a DATA frame with `n` bytes of a gRPC message, whose five bytes of prefix are counted as
   * offsets -5 to -1.
   */
  message(id: number, message: Uint8Array, from: number, n: number, compressed = false): void {
    if (this.#over) return;
    this.#reserve(9 + n);
    const out = this.#out;
    let at = this.#outLength;
    this.#view.setUint32(at, (n << 8) | DATA);
    out[at + 4] = 0;
    this.#view.setUint32(at + 5, id);
    at += 9;
    const end = from + n;
    const length = message.length;
    for (; from < 0 && from < end; from++) {
      // Compressed or not, then the length.
      out[at++] = from === -5 ? Number(compressed) : length >>> ((-1 - from) * 8);
    }
    if (from < end) out.set(message.subarray(from, end), at);
    this.#outLength = at + (end - from);
    this.#start();
  }
  /** Writes a header block as one frame and continuations. */
  headers(id: number, block: Uint8Array, last: boolean, maxFrame: number): void {
    let at = 0;
    do {
      const end = Math.min(block.length, at + maxFrame);
      const flags = (end === block.length ? END_HEADERS : 0) | (at === 0 && last ? END_STREAM : 0);
      this.frame(at === 0 ? HEADERS : CONTINUATION, flags, id, block, at, end);
      at = end;
    } while (at < block.length);
  }
  settings(values: readonly (readonly [number, number])[]): void {
    const payload = new Uint8Array(values.length * 6);
    const view = new DataView(payload.buffer);
    values.forEach(([id, value], i) => {
      view.setUint16(i * 6, id);
      view.setUint32(i * 6 + 2, value);
    });
    this.frame(SETTINGS, 0, 0, payload);
  }
  windowUpdate(id: number, increment: number): void {
    this.frame(WINDOW_UPDATE, 0, id, fourBytes(increment));
  }
  reset(id: number, code: number): void {
    this.frame(RST_STREAM, 0, id, fourBytes(code));
  }
  ping(): void {
    this.frame(PING, 0, 0, new Uint8Array(8));
  }
  /** `reason` is for people who look at the client's log. */
  goAway(lastId: number, code: number, reason = ""): void {
    const debug = new TextEncoder().encode(reason);
    const payload = new Uint8Array(8 + debug.length);
    payload.set(fourBytes(lastId));
    payload.set(fourBytes(code), 4);
    payload.set(debug, 8);
    this.frame(GOAWAY, 0, 0, payload);
  }

  #start(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    void this.#flush();
  }

  async #flush(): Promise<void> {
    try {
      // One turn later: frames written together leave together.
      await Promise.resolve();
      while (this.#outLength > 0) {
        const bytes = this.#out;
        const length = this.#outLength;
        this.#out = this.#spare ?? new Uint8Array(bytes.length);
        this.#spare = undefined;
        this.#view = new DataView(this.#out.buffer);
        this.#outLength = 0;
        if (length >= WRITE_BUFFER && !this.#over) queueMicrotask(() => this.#handler.writable());
        await this.#socket.write(bytes.subarray(0, length));
        // A buffer that grew for one large burst is not kept.
        if (bytes.length <= 4 * WRITE_BUFFER) this.#spare = bytes;
      }
    } catch (error) {
      this.#outLength = 0;
      this.#fail(error, false);
    } finally {
      this.#flushing = false;
      if (this.#closing) this.#socket.close();
    }
  }

  // ---- reading ------------------------------------------------------------------------------

  async #read(expect: Uint8Array): Promise<void> {
    let buffer = new Uint8Array(16 * 1024);
    let start = 0;
    let end = 0;
    let expected = 0;
    for (;;) {
      while (expected < expect.length && start < end) {
        if (buffer[start++] !== expect[expected++]) {
          throw new MnemeError("bad_data", "the peer does not speak HTTP/2");
        }
      }
      while (end - start >= 9) {
        const size = (buffer[start]! << 16) | (buffer[start + 1]! << 8) | buffer[start + 2]!;
        if (size > MAX_FRAME) throw new MnemeError("bad_data", `frame of ${size} bytes`);
        if (end - start < 9 + size) break;
        this.#receive(buffer, start, size);
        start += 9 + size;
        if (this.#over) return;
      }
      if (start === end) {
        start = 0;
        end = 0;
      } else if (buffer.length - end < 16 * 1024) {
        // Room for what is announced; a buffer that is filled at once may be a large one.
        const live = end - start;
        const next = live + 64 * 1024 > buffer.length
          ? new Uint8Array(Math.max(READ_BUFFER, live * 2))
          : buffer;
        next.set(buffer.subarray(start, end));
        buffer = next;
        start = 0;
        end = live;
      }
      const n = await this.#socket.read(buffer.subarray(end));
      if (this.#over) return;
      if (n === null) throw new MnemeError("unavailable", "the peer closed the connection");
      end += n;
      this.#handler.heard();
      if (end === buffer.length && buffer.length < READ_BUFFER) {
        const next = new Uint8Array(READ_BUFFER);
        next.set(buffer);
        buffer = next;
      }
    }
  }

  #receive(b: Uint8Array, start: number, size: number): void {
    const type = b[start + 3]!;
    const flags = b[start + 4]!;
    const id = u32(b, start + 5) & 0x7fffffff;
    let at = start + 9;
    let end = at + size;
    if (this.#block !== undefined && type !== CONTINUATION) {
      throw new MnemeError("bad_data", "a header block was interrupted");
    }
    if ((flags & PADDED) !== 0 && (type === DATA || type === HEADERS)) {
      const padding = size > 0 ? b[at]! : 1;
      at++;
      end -= padding;
      if (end < at) throw new MnemeError("bad_data", "padding longer than its frame");
    }
    const handler = this.#handler;
    switch (type) {
      case DATA:
        if (id === 0) throw new MnemeError("bad_data", "data without a stream");
        return handler.data(id, b, at, end, size, (flags & END_STREAM) !== 0);
      case HEADERS:
        if (id === 0) throw new MnemeError("bad_data", "headers without a stream");
        if ((flags & PRIORITY) !== 0) at += 5;
        if (at > end) throw new MnemeError("bad_data", "header frame too short");
        this.#block = { id, last: (flags & END_STREAM) !== 0, parts: [], size: 0 };
        return this.#headerPart(b.subarray(at, end), (flags & END_HEADERS) !== 0);
      case CONTINUATION:
        if (this.#block?.id !== id) throw new MnemeError("bad_data", "stray continuation frame");
        return this.#headerPart(b.subarray(at, end), (flags & END_HEADERS) !== 0);
      case RST_STREAM:
        if (size !== 4) throw new MnemeError("bad_data", "reset frame of wrong size");
        return handler.reset(id, u32(b, at));
      case SETTINGS:
        return this.#settings(b, at, end, flags);
      case PING:
        if (size !== 8) throw new MnemeError("bad_data", "ping frame of wrong size");
        if ((flags & ACK) === 0) this.frame(PING, ACK, 0, b, at, end);
        return;
      case GOAWAY:
        if (size < 8) throw new MnemeError("bad_data", "goaway frame too short");
        return handler.goAway(
          u32(b, at) & 0x7fffffff,
          u32(b, at + 4),
          decoder.decode(b.subarray(at + 8, Math.min(end, at + 8 + MAX_REASON))),
        );
      case WINDOW_UPDATE:
        if (size !== 4) throw new MnemeError("bad_data", "window frame of wrong size");
        return handler.windowUpdate(id, u32(b, at) & 0x7fffffff);
      case PUSH_PROMISE:
        throw new MnemeError("bad_data", "push was not allowed");
      default:
        // Unknown frame types (and PRIORITY) are to be ignored.
    }
  }

  #headerPart(part: Uint8Array, complete: boolean): void {
    const block = this.#block!;
    if (part.length > 0) {
      block.parts.push(complete && block.parts.length === 0 ? part : part.slice());
    }
    block.size += part.length;
    if (block.size > MAX_HEADER_BLOCK) throw new MnemeError("bad_data", "header block too large");
    if (!complete) return;
    this.#block = undefined;
    const bytes = block.parts.length === 1 ? block.parts[0]! : concat(block.parts);
    this.#handler.headers(block.id, bytes, block.last);
  }

  #settings(b: Uint8Array, at: number, end: number, flags: number): void {
    if ((flags & ACK) !== 0) return;
    if ((end - at) % 6 !== 0) throw new MnemeError("bad_data", "settings frame of wrong size");
    for (; at < end; at += 6) {
      const id = (b[at]! << 8) | b[at + 1]!;
      const value = u32(b, at + 2);
      if (id === SETTINGS_INITIAL_WINDOW && value > 0x7fffffff) {
        throw new MnemeError("bad_data", "window larger than 2^31 - 1");
      }
      if (id === SETTINGS_MAX_FRAME && (value < DEFAULT_MAX_FRAME || value > 0xffffff)) {
        throw new MnemeError("bad_data", "frame size out of range");
      }
      this.#handler.setting(id, value);
    }
    this.frame(SETTINGS, ACK, 0, NOTHING);
    this.#handler.settingsDone();
  }
}

const NOTHING = new Uint8Array(0);

function fourBytes(x: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, x);
  return bytes;
}

function u32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
