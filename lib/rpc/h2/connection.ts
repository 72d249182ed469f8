/**
 * One HTTP/2 connection to a gRPC server: streams, flow control, statuses.
 *
 * A stream's window is refilled as its messages are taken, so a slow reader holds back its own
 * stream and nothing else; the connection's window is refilled as bytes arrive.
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
import {
  CANCEL,
  DATA,
  DEFAULT_MAX_FRAME,
  DEFAULT_WINDOW,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  type FrameHandler,
  FrameIo,
  MAX_FRAME,
  NO_ERROR,
  PREFACE,
  REFUSED_STREAM,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_INITIAL_WINDOW,
  SETTINGS_MAX_CONCURRENT,
  SETTINGS_MAX_FRAME,
} from "./frames.ts";
import { encodeHeaders, type HeaderList, HpackDecoder } from "./hpack.ts";
import { compress, decompress } from "./compression.ts";
import { KEEPALIVE, Keepalive } from "./keepalive.ts";
import { decodeDetails, MessageAssembler } from "./messages.ts";
import type { Socket } from "./socket.ts";

/** Window of each stream: what a server may send ahead of a slow reader, bytes. */
const STREAM_WINDOW = 8 * 1024 * 1024;
/** Window of the connection; it never holds anything back. */
const CONNECTION_WINDOW = 1024 * 1024 * 1024;
const LAST_STREAM_ID = 0x7ffffffe;
const PLAIN: HeaderList = [["grpc-accept-encoding", "identity"]];
const SNAPPY: HeaderList = [["grpc-encoding", "snappy"], [
  "grpc-accept-encoding",
  "identity,snappy",
]];

/** One call: a request and the messages that answer it. */
export interface H2Call {
  readonly path: string;
  readonly scheme: "http" | "https";
  readonly authority: string;
  readonly headers: HeaderList;
  readonly request: Uint8Array;
  readonly maxReceiveBytes: number;
  /** The request is compressed, and the server may compress its answers. */
  readonly compression?: "snappy";
  /** Memory for messages of at least this size; fresh memory when absent. */
  readonly allocate?: (size: number) => Uint8Array;
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
  readonly began = performance.now();
  /** Bytes the peer lets us send on this stream. */
  sendWindow: number;
  /** Request bytes that wait for a window. */
  unsent: Uint8Array;
  sawHeaders = false;
  done = false;
  /** How the peer compresses, as its headers say. */
  #encoding = "identity";
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** Bytes of finished and taken messages that the peer's window was not yet given back for. */
  #owed = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;
  readonly #messages: MessageAssembler;

  constructor(connection: Connection, id: number, sendWindow: number, call: H2Call) {
    this.#connection = connection;
    this.id = id;
    this.sendWindow = sendWindow;
    const { compression, maxReceiveBytes } = call;
    this.#messages = new MessageAssembler(maxReceiveBytes, (message, compressed) => {
      if (compressed && compression === undefined) {
        throw new RpcError(
          STATUS_INTERNAL,
          "peer sent a compressed message without being asked to",
        );
      }
      this.#queue.push(
        compressed ? decompress(this.#encoding, message, maxReceiveBytes) : message,
      );
    }, call.allocate);
    const request = compression === undefined
      ? call.request
      : compress(compression, new Uint8Array(call.request));
    this.unsent = new Uint8Array(5 + request.length);
    this.unsent[0] = compression === undefined ? 0 : 1;
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
    this.#connection.giveUp(this);
    this.settle(failure);
  }

  /** Ends the stream; `failure` undefined is a success. */
  settle(failure: unknown): void {
    if (this.done) return;
    this.done = true;
    this.#failure = failure;
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
    this.#connection.io.windowUpdate(this.id, this.#owed);
    this.#owed = 0;
  }

  /** Takes in bytes [at, end) of a DATA frame whose flow-controlled size is `charged`. */
  data(bytes: Uint8Array, at: number, end: number, charged: number): void {
    const before = this.#queue.length;
    try {
      this.#messages.push(bytes, at, end);
    } catch (error) {
      this.#connection.io.reset(this.id, CANCEL);
      this.settle(error);
      return;
    }
    // What waits in the queue holds the window; what is still incomplete must not, or a message
    // larger than the window would never arrive.
    if (this.#queue.length > 0) this.#queuedBytes += charged;
    else this.#owed += charged;
    this.#giveBack();
    if (this.#queue.length > before) this.#notify();
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
      } else if (name === "grpc-message") details = decodeDetails(value);
      else if (name === "grpc-encoding") this.#encoding = value;
      else if (name === ":status") http = value;
    }
    // Informational headers come before the real ones.
    if (http.startsWith("1") && !last) return;
    if (!this.sawHeaders && http !== "200") {
      if (!last) this.#connection.io.reset(this.id, CANCEL);
      this.settle(new RpcError(codeOfHttp(http), details || `unexpected HTTP status code ${http}`));
      return;
    }
    this.sawHeaders = true;
    if (!last) return;
    if (code === undefined || !Number.isInteger(code)) {
      const shown = JSON.stringify(status);
      this.settle(new RpcError(STATUS_INTERNAL, `server ended the stream with status ${shown}`));
    } else if (code !== STATUS_OK) this.settle(new RpcError(code, details));
    else if (this.#messages.partial) {
      this.settle(new RpcError(STATUS_INTERNAL, "server ended the stream inside a message"));
    } else this.settle(undefined);
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

/** A connection and its streams. */
export class Connection implements FrameHandler {
  readonly io: FrameIo;
  readonly #decoder = new HpackDecoder();
  readonly #streams = new Map<number, Stream>();
  #nextId = 1;
  #sendWindow = DEFAULT_WINDOW;
  #peerWindow = DEFAULT_WINDOW;
  #peerMaxFrame = DEFAULT_MAX_FRAME;
  #peerMaxStreams = 100;
  #owed = 0;
  /** Calls that wait because the peer allows no further stream. */
  #waiting: (() => void)[] = [];
  /** No new streams: the peer is going away, or the connection is broken. */
  closed = false;
  #broken: RpcError | undefined;
  readonly #onClosed: () => void;
  readonly #keepalive: Keepalive;

  constructor(socket: Socket, onClosed: () => void, keepalive = KEEPALIVE) {
    this.#onClosed = onClosed;
    this.io = new FrameIo(socket, this);
    this.#keepalive = new Keepalive(
      keepalive,
      () => this.io.ping(),
      () => {
        this.lost(new MnemeError("unavailable", "no answer to a ping"));
        this.io.close();
      },
    );
    this.io.raw(PREFACE);
    this.io.settings([
      [SETTINGS_ENABLE_PUSH, 0],
      [SETTINGS_INITIAL_WINDOW, STREAM_WINDOW],
      [SETTINGS_MAX_FRAME, MAX_FRAME],
    ]);
    this.io.windowUpdate(0, CONNECTION_WINDOW - DEFAULT_WINDOW);
    void this.io.run();
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
    this.#keepalive.watch(true);
    const block = encodeHeaders([
      [":method", "POST"],
      [":scheme", call.scheme],
      [":path", call.path],
      [":authority", call.authority],
      ["content-type", "application/grpc+proto"],
      ["te", "trailers"],
      ...(call.compression === undefined ? PLAIN : SNAPPY),
      ["user-agent", "grpc-mneme"],
      ...call.headers,
    ]);
    this.io.headers(id, block, false, this.#peerMaxFrame);
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
      const last = n === stream.unsent.length;
      this.io.frame(DATA, last ? END_STREAM : 0, stream.id, stream.unsent, 0, n);
      stream.unsent = stream.unsent.subarray(n);
      stream.sendWindow -= n;
      this.#sendWindow -= n;
    }
  }

  /** Ends a call that is still open. */
  giveUp(stream: Stream): void {
    this.io.reset(stream.id, CANCEL);
    // A peer that said nothing all the while may be gone.
    this.#keepalive.probe(stream.began);
  }

  forget(stream: Stream): void {
    this.#streams.delete(stream.id);
    if (this.#streams.size === 0) this.#keepalive.watch(false);
    this.#waiting.shift()?.();
    if (this.closed && this.#streams.size === 0) this.#close(undefined);
  }

  /** Ends all calls and closes. */
  close(): void {
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
    this.#keepalive.end();
    this.#retire();
    for (const stream of [...this.#streams.values()]) stream.settle(failure ?? goingAway());
    this.io.close();
  }

  // ---- what the peer sends ------------------------------------------------------------------

  heard(): void {
    this.#keepalive.heard();
  }
  writable(): void {
    // Requests are small and never wait for the write buffer.
  }
  lost(cause: unknown): void {
    if (this.#broken !== undefined) return;
    const text = `connection error: ${errorMessage(cause)}`;
    this.#broken = new RpcError(STATUS_UNAVAILABLE, text, { cause });
    this.#keepalive.end();
    this.#retire();
    for (const stream of [...this.#streams.values()]) stream.settle(this.#broken);
  }
  data(id: number, b: Uint8Array, at: number, end: number, charged: number, last: boolean): void {
    this.#owed += charged;
    if (this.#owed >= CONNECTION_WINDOW / 4) {
      this.io.windowUpdate(0, this.#owed);
      this.#owed = 0;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.data(b, at, end, charged);
    if (last) {
      stream.settle(new RpcError(STATUS_INTERNAL, "server closed the stream without a status"));
    }
  }
  headers(id: number, block: Uint8Array, last: boolean): void {
    // Decoded even when nobody waits for it: the table must follow the peer's.
    const list = this.#decoder.decode(block);
    this.#streams.get(id)?.headers(list, last);
  }
  reset(id: number, code: number): void {
    this.#streams.get(id)?.settle(resetError(code));
  }
  setting(id: number, value: number): void {
    if (id === SETTINGS_INITIAL_WINDOW) {
      // Streams that are open move by the difference.
      for (const stream of this.#streams.values()) stream.sendWindow += value - this.#peerWindow;
      this.#peerWindow = value;
    } else if (id === SETTINGS_MAX_FRAME) this.#peerMaxFrame = value;
    else if (id === SETTINGS_MAX_CONCURRENT) this.#peerMaxStreams = Math.max(1, value);
  }
  settingsDone(): void {
    for (const stream of this.#streams.values()) this.#sendData(stream);
    for (const wake of this.#waiting.splice(0)) wake();
  }
  windowUpdate(id: number, increment: number): void {
    if (id === 0) {
      this.#sendWindow += increment;
      for (const stream of this.#streams.values()) this.#sendData(stream);
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.sendWindow += increment;
    this.#sendData(stream);
  }
  goAway(lastId: number, code: number, reason: string): void {
    this.#retire();
    const failure = code === NO_ERROR ? goingAway() : new RpcError(
      STATUS_UNAVAILABLE,
      `connection error: server went away with error code ${code}${reason && `: ${reason}`}`,
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
