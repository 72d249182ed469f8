/**
 * One HTTP/2 connection to a gRPC server (RFC 9113): frames, flow control, streams.
 *
 * A stream's window is refilled as its messages are taken, so a slow reader holds back its own
 * stream and nothing else; the connection's window is refilled as bytes arrive. A message is
 * allocated as its bytes come in, never by its announced length alone.
 */
import { errorMessage, MnemeError } from "../../base/mod.ts";
import {
  RpcError,
  STATUS_CANCELLED,
  STATUS_INTERNAL,
  STATUS_OK,
  STATUS_RESOURCE_EXHAUSTED,
  STATUS_UNAVAILABLE,
  STATUS_UNIMPLEMENTED,
  STATUS_UNKNOWN,
} from "../status.ts";
import { encodeHeaders, type HeaderList, HpackDecoder } from "./hpack.ts";
import type { Socket } from "./socket.ts";

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PUSH_PROMISE = 5;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const CONTINUATION = 9;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const PADDED = 8;
const PRIORITY = 0x20;

const SETTINGS_ENABLE_PUSH = 2;
const SETTINGS_MAX_CONCURRENT = 3;
const SETTINGS_INITIAL_WINDOW = 4;
const SETTINGS_MAX_FRAME = 5;

const NO_ERROR = 0;
const PROTOCOL_ERROR = 1;
const REFUSED_STREAM = 7;
const CANCEL = 8;
const ENHANCE_YOUR_CALM = 11;

/** Largest frame we accept, bytes. */
const MAX_FRAME = 1024 * 1024;
/** Largest block of headers we put together, bytes. */
const MAX_HEADER_BLOCK = 256 * 1024;
/** Window of each stream: what a server may send ahead of a slow reader, bytes. */
const STREAM_WINDOW = 8 * 1024 * 1024;
/** Window of the connection; it never holds anything back. */
const CONNECTION_WINDOW = 1024 * 1024 * 1024;
const DEFAULT_WINDOW = 65535;
/** First allocation for a message, bytes. */
const FIRST_ALLOCATION = 4 * 1024 * 1024;
const LAST_STREAM_ID = 0x7ffffffe;
/** Frames that may wait to be written: more are only asked for by a peer that does not read. */
const MAX_UNWRITTEN = 10_000;

/**
 * When a silent peer is asked for a sign of life, ms. A ping goes out after `silence` without any
 * byte while calls are open, then every `repeat` (servers resent more), and when a call was given up
 * without an answer; a peer that says nothing for `patience` after it is lost.
 */
export interface Keepalive {
  readonly silence: number;
  readonly repeat: number;
  readonly patience: number;
}

const KEEPALIVE: Keepalive = { silence: 20_000, repeat: 60_000, patience: 5_000 };

/** One call: a request and the messages that answer it. */
export interface H2Call {
  readonly path: string;
  readonly scheme: "http" | "https";
  readonly authority: string;
  readonly headers: HeaderList;
  readonly request: Uint8Array;
  readonly maxReceiveBytes: number;
}

/** Messages of a call in order. */
export interface H2Stream {
  /** All messages that have arrived, waiting for the first; undefined at the end. */
  take(): Promise<Uint8Array[] | undefined>;
  /** Ends the call from our side; take() then throws `failure`. */
  cancel(failure: unknown): void;
}

class Stream implements H2Stream {
  readonly #connection: Connection;
  readonly id: number;
  readonly maxReceiveBytes: number;
  readonly began = performance.now();
  /** Bytes the peer lets us send on this stream. */
  sendWindow: number;
  /** Request bytes that wait for a window. */
  unsent: Uint8Array;
  sawHeaders = false;
  done = false;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** Bytes of finished and taken messages that the peer's window was not yet given back for. */
  #owed = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;
  // The message that is arriving.
  readonly #prefix = new Uint8Array(5);
  #prefixLength = 0;
  #message: Uint8Array | undefined;
  #filled = 0;
  #expected = 0;

  constructor(connection: Connection, id: number, sendWindow: number, call: H2Call) {
    this.#connection = connection;
    this.id = id;
    this.sendWindow = sendWindow;
    this.maxReceiveBytes = call.maxReceiveBytes;
    const { request } = call;
    this.unsent = new Uint8Array(5 + request.length);
    new DataView(this.unsent.buffer).setUint32(1, request.length);
    this.unsent.set(request, 5);
  }

  async take(): Promise<Uint8Array[] | undefined> {
    while (this.#queue.length === 0) {
      if (this.done) {
        if (this.#failure !== undefined) throw this.#failure;
        return undefined;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const messages = this.#queue;
    this.#queue = [];
    this.#owed += this.#queuedBytes;
    this.#queuedBytes = 0;
    this.#giveBack();
    return messages;
  }

  cancel(failure: unknown): void {
    this.#queue = [];
    if (this.done) {
      this.#failure ??= failure;
      return;
    }
    this.#connection.reset(this, CANCEL);
    this.#connection.gaveUp(this);
    this.settle(failure);
  }

  /** Ends the stream; `failure` undefined is a success. */
  settle(failure: unknown): void {
    if (this.done) return;
    this.done = true;
    this.#failure = failure;
    this.#message = undefined;
    this.#connection.forget(this);
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #giveBack(): void {
    if (this.done || this.#owed < STREAM_WINDOW / 8) return;
    this.#connection.windowUpdate(this.id, this.#owed);
    this.#owed = 0;
  }

  /** Takes in bytes [at, end) of a DATA frame whose flow-controlled size is `charged`. */
  data(bytes: Uint8Array, at: number, end: number, charged: number): void {
    let complete = 0;
    while (at < end && !this.done) {
      if (this.#message === undefined) {
        const n = Math.min(5 - this.#prefixLength, end - at);
        this.#prefix.set(bytes.subarray(at, at + n), this.#prefixLength);
        this.#prefixLength += n;
        at += n;
        if (this.#prefixLength < 5) break;
        if (!this.#begin()) return;
        if (this.#expected > 0) continue;
      } else {
        const n = Math.min(this.#expected - this.#filled, end - at);
        this.#room(this.#filled + n);
        this.#message.set(bytes.subarray(at, at + n), this.#filled);
        this.#filled += n;
        at += n;
      }
      if (this.#filled === this.#expected) {
        this.#queue.push(this.#message!.subarray(0, this.#filled));
        this.#message = undefined;
        this.#prefixLength = 0;
        complete++;
      }
    }
    // What waits in the queue holds the window; what is still incomplete must not, or a message
    // larger than the window would never arrive.
    if (this.#queue.length > 0) this.#queuedBytes += charged;
    else this.#owed += charged;
    this.#giveBack();
    if (complete > 0) this.#notify();
  }

  #begin(): boolean {
    const compressed = this.#prefix[0]!;
    const length = new DataView(this.#prefix.buffer).getUint32(1);
    if (compressed !== 0) {
      this.#fail(
        new RpcError(STATUS_INTERNAL, "peer sent a compressed message without being asked to"),
      );
      return false;
    }
    if (length > this.maxReceiveBytes) {
      this.#fail(
        new RpcError(
          STATUS_RESOURCE_EXHAUSTED,
          `received message larger than max (${length} vs. ${this.maxReceiveBytes})`,
        ),
      );
      return false;
    }
    this.#expected = length;
    this.#filled = 0;
    this.#message = new Uint8Array(Math.min(length, FIRST_ALLOCATION));
    return true;
  }

  #room(size: number): void {
    const message = this.#message!;
    if (size <= message.length) return;
    const next = new Uint8Array(Math.min(this.#expected, Math.max(size, message.length * 4)));
    next.set(message.subarray(0, this.#filled));
    this.#message = next;
  }

  #fail(error: RpcError): void {
    this.#connection.reset(this, CANCEL);
    this.settle(error);
  }

  /** Takes in a block of headers: the first ones, or the trailers. */
  headers(list: HeaderList, last: boolean): void {
    let status: string | undefined;
    let code: number | undefined;
    let details = "";
    let http = "";
    for (const [name, value] of list) {
      if (name === "grpc-status") {
        status = value;
        code = Number(value);
      } else if (name === "grpc-message") details = decodeMessage(value);
      else if (name === ":status") http = value;
    }
    // Informational headers come before the real ones.
    if (http.startsWith("1") && !last) return;
    if (!this.sawHeaders && http !== "200") {
      if (!last) this.#connection.reset(this, CANCEL);
      this.settle(new RpcError(codeOfHttp(http), details || `unexpected HTTP status code ${http}`));
      return;
    }
    this.sawHeaders = true;
    if (!last) return;
    if (code === undefined || !Number.isInteger(code)) {
      this.settle(
        new RpcError(
          STATUS_INTERNAL,
          `server ended the stream with status ${JSON.stringify(status)}`,
        ),
      );
    } else if (code !== STATUS_OK) this.settle(new RpcError(code, details));
    else if (this.#message !== undefined || this.#prefixLength > 0) {
      this.settle(new RpcError(STATUS_INTERNAL, "server ended the stream inside a message"));
    } else this.settle(undefined);
  }

  /** The peer reset the stream. */
  wasReset(code: number): void {
    this.settle(resetError(code));
  }
}

function codeOfHttp(status: string): number {
  switch (status) {
    case "400":
      return STATUS_INTERNAL;
    case "404":
      return STATUS_UNIMPLEMENTED;
    case "429":
    case "502":
    case "503":
    case "504":
      return STATUS_UNAVAILABLE;
    default:
      return STATUS_UNKNOWN;
  }
}

function resetError(code: number): RpcError {
  const text = `stream terminated by RST_STREAM with error code ${code}`;
  if (code === ENHANCE_YOUR_CALM) return new RpcError(STATUS_RESOURCE_EXHAUSTED, text);
  if (code === REFUSED_STREAM) return new RpcError(STATUS_UNAVAILABLE, text);
  // A peer that goes away shows as CANCEL or an internal error: nobody here wished it.
  const status = code === CANCEL ? STATUS_CANCELLED : STATUS_INTERNAL;
  return new RpcError(status, text, { kind: "unavailable" });
}

/** grpc-message is UTF-8 with percent escapes. */
function decodeMessage(value: string): string {
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value.replace(/%(?![0-9a-fA-F]{2})/g, "%25"));
  } catch {
    // Not UTF-8: shown as it came.
    return value;
  }
}

/** A connection and its streams. */
export class Connection {
  readonly #socket: Socket;
  readonly #decoder = new HpackDecoder();
  readonly #streams = new Map<number, Stream>();
  #nextId = 1;
  #out: Uint8Array[] = [];
  #flushing = false;
  #sendWindow = DEFAULT_WINDOW;
  #peerWindow = DEFAULT_WINDOW;
  #peerMaxFrame = 16384;
  #peerMaxStreams = 100;
  #owed = 0;
  /** Calls that wait because the peer allows no further stream. */
  #waiting: (() => void)[] = [];
  /** The header block that is being put together from several frames. */
  #block: { id: number; last: boolean; parts: Uint8Array[]; size: number } | undefined;
  /** No new streams: the peer is going away, or the connection is broken. */
  closed = false;
  #broken: RpcError | undefined;
  readonly #onClosed: () => void;
  readonly #keepalive: Keepalive;
  #lastReceived = performance.now();
  /** Runs while calls are open. */
  #watch: ReturnType<typeof setTimeout> | undefined;
  /** Runs while an answer to a ping is awaited. */
  #patience: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Socket, onClosed: () => void, keepalive = KEEPALIVE) {
    this.#socket = socket;
    this.#onClosed = onClosed;
    this.#keepalive = keepalive;
    this.#send(PREFACE);
    const settings = new Uint8Array(18);
    const view = new DataView(settings.buffer);
    [[SETTINGS_ENABLE_PUSH, 0], [SETTINGS_INITIAL_WINDOW, STREAM_WINDOW], [
      SETTINGS_MAX_FRAME,
      MAX_FRAME,
    ]].forEach(([id, value], i) => {
      view.setUint16(i * 6, id!);
      view.setUint32(i * 6 + 2, value!);
    });
    this.#frame(SETTINGS, 0, 0, settings);
    this.windowUpdate(0, CONNECTION_WINDOW - DEFAULT_WINDOW);
    this.#read();
  }

  /** Streams that are open. */
  get open(): number {
    return this.#streams.size;
  }

  /** Starts a call; waits when the peer allows no further stream. Throws: `unavailable`. */
  async call(call: H2Call): Promise<H2Stream> {
    while (!this.closed && this.#streams.size >= this.#peerMaxStreams) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.closed) throw this.#broken ?? goingAway();
    const id = this.#nextId;
    this.#nextId += 2;
    if (this.#nextId > LAST_STREAM_ID) this.#retire();
    const stream = new Stream(this, id, this.#peerWindow, call);
    this.#streams.set(id, stream);
    this.#watch ??= setTimeout(() => this.#listen(), this.#keepalive.silence);
    const block = encodeHeaders([
      [":method", "POST"],
      [":scheme", call.scheme],
      [":path", call.path],
      [":authority", call.authority],
      ["content-type", "application/grpc+proto"],
      ["te", "trailers"],
      ["grpc-accept-encoding", "identity"],
      ["user-agent", "grpc-mneme"],
      ...call.headers,
    ]);
    for (let at = 0; at === 0 || at < block.length; at += this.#peerMaxFrame) {
      const part = block.subarray(at, at + this.#peerMaxFrame);
      const end = at + part.length === block.length ? END_HEADERS : 0;
      this.#frame(at === 0 ? HEADERS : CONTINUATION, end, id, part);
    }
    this.#sendData(stream);
    return stream;
  }

  #sendData(stream: Stream): void {
    while (stream.unsent.length > 0) {
      const n = Math.min(
        stream.unsent.length,
        stream.sendWindow,
        this.#sendWindow,
        this.#peerMaxFrame,
      );
      if (n <= 0) return;
      const part = stream.unsent.subarray(0, n);
      stream.unsent = stream.unsent.subarray(n);
      stream.sendWindow -= n;
      this.#sendWindow -= n;
      this.#frame(DATA, stream.unsent.length === 0 ? END_STREAM : 0, stream.id, part);
    }
  }

  windowUpdate(id: number, increment: number): void {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, increment);
    this.#frame(WINDOW_UPDATE, 0, id, payload);
  }

  reset(stream: Stream, code: number): void {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, code);
    this.#frame(RST_STREAM, 0, stream.id, payload);
  }

  /** A call was given up: a peer that said nothing all the while may be gone. */
  gaveUp(stream: Stream): void {
    if (this.#lastReceived < stream.began) this.#ping();
  }

  #listen(): void {
    const { silence, repeat } = this.#keepalive;
    const quiet = performance.now() - this.#lastReceived;
    if (quiet >= silence) this.#ping();
    const next = quiet >= silence ? repeat : silence - quiet;
    this.#watch = setTimeout(() => this.#listen(), next);
  }

  #ping(): void {
    if (this.#patience !== undefined || this.#broken !== undefined) return;
    this.#frame(PING, 0, 0, new Uint8Array(8));
    this.#patience = setTimeout(
      () => this.#lost(new MnemeError("unavailable", "no answer to a ping")),
      this.#keepalive.patience,
    );
  }

  #quietTimers(): void {
    clearTimeout(this.#watch);
    this.#watch = undefined;
  }

  forget(stream: Stream): void {
    this.#streams.delete(stream.id);
    if (this.#streams.size === 0) this.#quietTimers();
    this.#waiting.shift()?.();
    if (this.closed && this.#streams.size === 0) this.#close(undefined);
  }

  /** Ends all calls and closes. */
  close(): void {
    this.#retire();
    this.#close(new RpcError(STATUS_CANCELLED, "the connection was closed"));
  }

  #retire(): void {
    if (this.closed) return;
    this.closed = true;
    this.#onClosed();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #close(failure: RpcError | undefined): void {
    this.#broken ??= failure;
    clearTimeout(this.#patience);
    this.#retire();
    for (const stream of [...this.#streams.values()]) stream.settle(failure ?? goingAway());
    // Whatever is still queued is written before the socket goes.
    if (!this.#flushing) this.#socket.close();
    else this.#closing = true;
  }
  #closing = false;

  #frame(type: number, flags: number, id: number, payload: Uint8Array): void {
    const bytes = new Uint8Array(9 + payload.length);
    const n = payload.length;
    bytes[0] = n >>> 16;
    bytes[1] = n >>> 8;
    bytes[2] = n;
    bytes[3] = type;
    bytes[4] = flags;
    new DataView(bytes.buffer).setUint32(5, id);
    bytes.set(payload, 9);
    this.#send(bytes);
  }

  #send(bytes: Uint8Array): void {
    if (this.#out.length >= MAX_UNWRITTEN) {
      this.#lost(new MnemeError("unavailable", "the peer does not read"));
      return;
    }
    this.#out.push(bytes);
    if (!this.#flushing) this.#flush();
  }

  async #flush(): Promise<void> {
    this.#flushing = true;
    try {
      // One turn later: frames written together leave together.
      await Promise.resolve();
      while (this.#out.length > 0) {
        const parts = this.#out;
        this.#out = [];
        await this.#socket.write(parts.length === 1 ? parts[0]! : concat(parts));
      }
    } catch (error) {
      this.#lost(error);
    } finally {
      this.#flushing = false;
      if (this.#closing) this.#socket.close();
    }
  }

  #lost(cause: unknown): void {
    if (this.#broken !== undefined) return;
    this.#out = [];
    this.#close(
      new RpcError(STATUS_UNAVAILABLE, `connection error: ${errorMessage(cause)}`, { cause }),
    );
    this.#socket.close();
  }

  /** The peer broke the protocol. */
  #violation(reason: string): void {
    const payload = new Uint8Array(8);
    new DataView(payload.buffer).setUint32(4, PROTOCOL_ERROR);
    this.#frame(GOAWAY, 0, 0, payload);
    this.#close(new RpcError(STATUS_UNAVAILABLE, `connection error: ${reason}`));
  }

  async #read(): Promise<void> {
    let buffer = new Uint8Array(256 * 1024);
    let start = 0;
    let end = 0;
    try {
      for (;;) {
        while (end - start >= 9) {
          const size = (buffer[start]! << 16) | (buffer[start + 1]! << 8) | buffer[start + 2]!;
          if (size > MAX_FRAME) return this.#violation(`frame of ${size} bytes`);
          if (end - start < 9 + size) break;
          this.#receive(buffer, start, size);
          start += 9 + size;
          if (this.#broken !== undefined) return;
        }
        if (start === end) {
          start = 0;
          end = 0;
        } else if (buffer.length - end < 16 * 1024) {
          const live = end - start;
          const next = live + 64 * 1024 > buffer.length
            ? new Uint8Array(Math.max(buffer.length * 2, live * 2))
            : buffer;
          next.set(buffer.subarray(start, end));
          buffer = next;
          start = 0;
          end = live;
        }
        const n = await this.#socket.read(buffer.subarray(end));
        if (n === null) {
          return this.#lost(new MnemeError("unavailable", "the peer closed the connection"));
        }
        end += n;
        this.#lastReceived = performance.now();
        if (this.#patience !== undefined) {
          clearTimeout(this.#patience);
          this.#patience = undefined;
        }
      }
    } catch (error) {
      if (error instanceof MnemeError && error.kind === "bad_data") this.#violation(error.message);
      else this.#lost(error);
    }
  }

  #receive(b: Uint8Array, start: number, size: number): void {
    const type = b[start + 3]!;
    const flags = b[start + 4]!;
    const id = ((b[start + 5]! & 0x7f) << 24) | (b[start + 6]! << 16) | (b[start + 7]! << 8) |
      b[start + 8]!;
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
    switch (type) {
      case DATA: {
        this.#owed += size;
        if (this.#owed >= CONNECTION_WINDOW / 4) {
          this.windowUpdate(0, this.#owed);
          this.#owed = 0;
        }
        const stream = this.#streams.get(id);
        if (stream === undefined) return;
        stream.data(b, at, end, size);
        if ((flags & END_STREAM) !== 0) {
          stream.settle(new RpcError(STATUS_INTERNAL, "server closed the stream without a status"));
        }
        return;
      }
      case HEADERS:
        if ((flags & PRIORITY) !== 0) at += 5;
        if (at > end) throw new MnemeError("bad_data", "header frame too short");
        this.#block = { id, last: (flags & END_STREAM) !== 0, parts: [], size: 0 };
        return this.#headerPart(b.subarray(at, end), (flags & END_HEADERS) !== 0);
      case CONTINUATION:
        if (this.#block?.id !== id) throw new MnemeError("bad_data", "stray continuation frame");
        return this.#headerPart(b.subarray(at, end), (flags & END_HEADERS) !== 0);
      case RST_STREAM:
        if (size !== 4) throw new MnemeError("bad_data", "reset frame of wrong size");
        return this.#streams.get(id)?.wasReset(u32(b, at));
      case SETTINGS:
        return this.#settings(b, at, end, flags);
      case PING:
        if (size !== 8) throw new MnemeError("bad_data", "ping frame of wrong size");
        if ((flags & ACK) === 0) this.#frame(PING, ACK, 0, b.slice(at, end));
        return;
      case GOAWAY:
        if (size < 8) throw new MnemeError("bad_data", "goaway frame too short");
        return this.#goAway(u32(b, at) & 0x7fffffff, u32(b, at + 4));
      case WINDOW_UPDATE: {
        if (size !== 4) throw new MnemeError("bad_data", "window frame of wrong size");
        const increment = u32(b, at) & 0x7fffffff;
        if (id === 0) {
          this.#sendWindow += increment;
          for (const stream of this.#streams.values()) this.#sendData(stream);
        } else {
          const stream = this.#streams.get(id);
          if (stream === undefined) return;
          stream.sendWindow += increment;
          this.#sendData(stream);
        }
        return;
      }
      case PUSH_PROMISE:
        throw new MnemeError("bad_data", "server push was not allowed");
      default:
        // Unknown frame types are to be ignored.
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
    // Decoded even when nobody waits for it: the table must follow the peer's.
    const list = this.#decoder.decode(
      block.parts.length === 1 ? block.parts[0]! : concat(block.parts),
    );
    this.#streams.get(block.id)?.headers(list, block.last);
  }

  #settings(b: Uint8Array, at: number, end: number, flags: number): void {
    if ((flags & ACK) !== 0) return;
    if ((end - at) % 6 !== 0) throw new MnemeError("bad_data", "settings frame of wrong size");
    for (; at < end; at += 6) {
      const id = (b[at]! << 8) | b[at + 1]!;
      const value = u32(b, at + 2);
      if (id === SETTINGS_INITIAL_WINDOW) {
        if (value > 0x7fffffff) throw new MnemeError("bad_data", "window larger than 2^31 - 1");
        // Streams that are open move by the difference.
        for (const stream of this.#streams.values()) stream.sendWindow += value - this.#peerWindow;
        this.#peerWindow = value;
      } else if (id === SETTINGS_MAX_FRAME) {
        if (value < 16384 || value > 16777215) {
          throw new MnemeError("bad_data", "frame size out of range");
        }
        this.#peerMaxFrame = value;
      } else if (id === SETTINGS_MAX_CONCURRENT) this.#peerMaxStreams = Math.max(1, value);
    }
    this.#frame(SETTINGS, ACK, 0, new Uint8Array(0));
    for (const stream of this.#streams.values()) this.#sendData(stream);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #goAway(lastId: number, code: number): void {
    this.#retire();
    const failure = code === NO_ERROR ? goingAway() : new RpcError(
      STATUS_UNAVAILABLE,
      `connection error: server went away with error code ${code}`,
    );
    for (const stream of [...this.#streams.values()]) {
      if (stream.id > lastId) stream.settle(failure);
    }
    if (this.#streams.size === 0) this.#close(undefined);
  }
}

function goingAway(): RpcError {
  return new RpcError(STATUS_UNAVAILABLE, "connection error: the server is going away");
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
