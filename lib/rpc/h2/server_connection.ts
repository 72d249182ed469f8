/**
 * One HTTP/2 connection from a gRPC client: calls come in, responses go out as the client's windows
 * and the write buffer allow.
 *
 * Bounded against hostile clients: streams whose handler still runs, header sizes, message sizes,
 * what waits to be written, and how often streams may be opened and reset for nothing.
 */
import { errorMessage, MnemeError } from "../../base/mod.ts";
import {
  RpcError,
  STATUS_CANCELLED,
  STATUS_DEADLINE_EXCEEDED,
  STATUS_INTERNAL,
  STATUS_OK,
  STATUS_UNAVAILABLE,
  STATUS_UNIMPLEMENTED,
} from "../status.ts";
import { ACCEPTED_ENCODINGS, compress, decompress } from "./compression.ts";
import {
  DEFAULT_MAX_FRAME,
  DEFAULT_WINDOW,
  ENHANCE_YOUR_CALM,
  type FrameHandler,
  FrameIo,
  MAX_FRAME,
  NO_ERROR,
  PREFACE,
  REFUSED_STREAM,
  SETTINGS_INITIAL_WINDOW,
  SETTINGS_MAX_CONCURRENT,
  SETTINGS_MAX_FRAME,
  SETTINGS_MAX_HEADER_LIST,
} from "./frames.ts";
import { encodeHeaders, type HeaderList, HpackDecoder } from "./hpack.ts";
import { Keepalive, type KeepaliveTimes, SERVER_KEEPALIVE } from "./keepalive.ts";
import { encodeDetails, MessageAssembler } from "./messages.ts";
import type { Socket } from "./socket.ts";

/** Calls of one connection that may run at a time. */
const MAX_STREAMS = 1000;
/** Streams refused beyond that before the connection is ended. */
const MAX_REFUSED = 1000;
/** Window of each request stream and of the connection, bytes. */
const STREAM_WINDOW = 1024 * 1024;
const CONNECTION_WINDOW = 16 * 1024 * 1024;
/** Responses of one stream that may wait, in bytes and messages; its handler pauses meanwhile. */
const WAITING_BYTES = 512 * 1024;
const WAITING_MESSAGES = 64;
const MAX_HEADER_LIST = 64 * 1024;
/** Larger frames would only make the write buffer grow. */
const MAX_SENT_FRAME = 64 * 1024;
/** Bytes in front of a message. */
const PREFIX = 5;
/** Streams that a client may reset before it must let some end well. */
const MAX_RESETS = 1000;
/** Time for a client to begin to speak HTTP/2, ms. */
const GREETING = 10_000;
/** Longest timer of the runtime, ms. */
const MAX_TIMER = 0x7fffffff;

/** A call as its handler sees it. */
export interface H2ServerStream {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly headers: HeaderList;
  /** Aborts when the client goes away, the deadline passes or the server stops for good. */
  readonly signal: AbortSignal;
  /** The next request message; undefined at the end. Throws when the call has failed. */
  next(): Promise<Uint8Array | undefined>;
  /** Sends a message; resolves when there is room for another one. */
  send(message: Uint8Array): Promise<void>;
  /** Called with each message that was copied out and is not read any more. */
  onSent: ((message: Uint8Array) => void) | undefined;
  /** Ends the call after what was sent. Never throws. */
  finish(code: number, details: string): void;
}

/** Settings of the connections of one server. */
export interface H2ServerOptions {
  readonly maxReceiveBytes: number;
  /** Runs a call; must not reject, and must call finish(). */
  readonly handle: (stream: H2ServerStream, peer: string) => Promise<void>;
  readonly keepalive?: KeepaliveTimes;
  /** Time for a client to begin to speak HTTP/2, ms; default 10 s. */
  readonly greeting?: number;
}

const RESPONSE_HEADERS: HeaderList = [
  [":status", "200"],
  ["content-type", "application/grpc"],
  ["grpc-accept-encoding", ACCEPTED_ENCODINGS],
];
const PLAIN_RESPONSE = encodeHeaders(RESPONSE_HEADERS);
const SNAPPY_RESPONSE = encodeHeaders([...RESPONSE_HEADERS, ["grpc-encoding", "snappy"]]);

class ServerStream implements H2ServerStream {
  readonly #connection: ServerConnection;
  readonly id: number;
  readonly path: string;
  readonly headers: HeaderList;
  readonly #abort = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  /** Bytes the client lets us send on this stream. */
  sendWindow: number;
  /** The client has sent everything. */
  #halfClosed = false;
  /** Nothing is sent any more: the status is out, or the stream was reset. */
  over = false;
  #failure: unknown;

  // Requests.
  #requests: Uint8Array[] = [];
  #requestBytes = 0;
  #owed = 0;
  #wakeReader: (() => void) | undefined;
  readonly #messages: MessageAssembler;

  // Responses that wait; of the first one, bytes up to `#sent` are out (-5 = not even its prefix).
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #sent = -PREFIX;
  #sentHeaders = false;
  /** A client that compresses its request with snappy gets its answers so, as from Go's servers. */
  readonly #compressed: boolean;
  #trailers: Uint8Array | undefined;
  onSent: ((message: Uint8Array) => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(
    connection: ServerConnection,
    id: number,
    sendWindow: number,
    headers: HeaderList,
    maxReceiveBytes: number,
  ) {
    this.#connection = connection;
    this.id = id;
    this.sendWindow = sendWindow;
    this.headers = headers;
    this.path = valueOf(headers, ":path");
    const encoding = valueOf(headers, "grpc-encoding");
    this.#compressed = encoding === "snappy";
    this.#messages = new MessageAssembler(maxReceiveBytes, (message, compressed) => {
      const plain = compressed ? decompress(encoding, message, maxReceiveBytes) : message;
      this.#requests.push(plain);
      this.#requestBytes += plain.length;
    });
    const timeout = timeoutOf(headers);
    if (timeout !== undefined && timeout < MAX_TIMER) {
      this.#timer = setTimeout(
        () => this.abort(new RpcError(STATUS_DEADLINE_EXCEEDED, "context deadline exceeded")),
        timeout,
      );
    }
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const request = this.#requests.shift();
      if (request !== undefined) {
        this.#requestBytes -= request.length;
        if (this.#requests.length === 0) this.#giveBack();
        return request;
      }
      if (this.#halfClosed) return undefined;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
  }

  async send(message: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    let out = message;
    if (this.#compressed) {
      out = compress("snappy", message as Uint8Array<ArrayBuffer>);
      this.onSent?.(message);
    }
    this.#waiting.push(out);
    this.#waitingBytes += PREFIX + out.length;
    this.pump();
    while (!this.#hasRoom && this.#failure === undefined) {
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  finish(code: number, details: string): void {
    if (this.over || this.#trailers !== undefined) return;
    const trailers: [string, string][] = [["grpc-status", String(code)]];
    if (details !== "") trailers.push(["grpc-message", encodeDetails(details)]);
    if (code !== STATUS_OK && this.#failure !== undefined) this.dropWaiting();
    this.#trailers = encodeHeaders(
      this.#sentHeaders || this.#waiting.length > 0
        ? trailers
        : [[":status", "200"], ["content-type", "application/grpc"], ...trailers],
    );
    this.pump();
  }

  /** Sends what windows and the write buffer allow. */
  pump(): void {
    if (this.over) return;
    const { io } = this.#connection;
    if (!this.#sentHeaders && this.#waiting.length > 0) {
      this.#sentHeaders = true;
      const headers = this.#compressed ? SNAPPY_RESPONSE : PLAIN_RESPONSE;
      io.headers(this.id, headers, false, this.#connection.peerMaxFrame);
    }
    while (this.#waiting.length > 0 && !io.full) {
      const first = this.#waiting[0]!;
      const n = Math.min(
        first.length - this.#sent,
        this.sendWindow,
        this.#connection.sendWindow,
        this.#connection.peerMaxFrame,
      );
      if (n <= 0) break;
      io.message(this.id, first, this.#sent, n, this.#compressed);
      this.sendWindow -= n;
      this.#connection.sendWindow -= n;
      this.#waitingBytes -= n;
      this.#sent += n;
      if (this.#sent === first.length) {
        this.#waiting.shift();
        this.#sent = -PREFIX;
        if (!this.#compressed) this.onSent?.(first);
      }
    }
    if (this.#hasRoom) this.#notifyWriter();
    if (this.#waiting.length === 0 && this.#trailers !== undefined) {
      io.headers(this.id, this.#trailers, true, this.#connection.peerMaxFrame);
      // The client may still be sending: it is told that nobody listens.
      if (!this.#halfClosed) io.reset(this.id, NO_ERROR);
      this.end();
    }
  }

  get #hasRoom(): boolean {
    return this.#waitingBytes <= WAITING_BYTES && this.#waiting.length <= WAITING_MESSAGES;
  }

  /** Forgets responses that have not begun to go out. */
  dropWaiting(): void {
    // A message that has begun must be whole, or the client could not read the status.
    this.#waiting.length = this.#sent > -PREFIX ? 1 : 0;
    this.#waitingBytes = this.#waiting.length === 0 ? 0 : this.#waiting[0]!.length - this.#sent;
  }

  #notifyReader(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
  #notifyWriter(): void {
    const wake = this.#wakeWriter;
    this.#wakeWriter = undefined;
    wake?.();
  }

  #giveBack(): void {
    if (this.#halfClosed || this.over || this.#owed < STREAM_WINDOW / 4) return;
    this.#connection.io.windowUpdate(this.id, this.#owed);
    this.#owed = 0;
  }

  /** Takes in bytes of the request. */
  data(b: Uint8Array, at: number, end: number, charged: number, last: boolean): void {
    if (this.over || this.#failure !== undefined) return;
    try {
      this.#messages.push(b, at, end);
      if (last && this.#messages.partial) {
        throw new RpcError(STATUS_INTERNAL, "request ended inside a message");
      }
    } catch (error) {
      this.abort(error);
      return;
    }
    this.#owed += charged;
    if (last) this.#halfClosed = true;
    // Requests that nobody has taken yet hold the window; one that is incomplete must not.
    if (this.#requestBytes === 0 || this.#messages.partial) this.#giveBack();
    this.#notifyReader();
  }

  endOfRequest(): void {
    this.#halfClosed = true;
    this.#notifyReader();
  }

  /** Fails the call from outside its handler: the handler is told and sends the status. */
  abort(reason: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    this.#abort.abort(reason);
    this.#notifyReader();
    this.#notifyWriter();
  }

  /** The client reset the stream, or the connection is gone: nothing can be sent any more. */
  gone(reason: unknown): void {
    this.end();
    this.abort(reason);
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    clearTimeout(this.#timer);
    this.#connection.forget(this);
    this.#notifyWriter();
  }
}

function valueOf(headers: HeaderList, name: string): string {
  for (const [n, value] of headers) if (n === name) return value;
  return "";
}

const UNITS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000001,
};

/** The deadline of the request in ms; undefined when it has none (or one that is no time). */
function timeoutOf(headers: HeaderList): number | undefined {
  const m = /^(\d{1,8})([HMSmun])$/.exec(valueOf(headers, "grpc-timeout"));
  return m === null ? undefined : Number(m[1]) * UNITS[m[2]!]!;
}

/** A connection; runs until it is over. */
export class ServerConnection implements FrameHandler {
  readonly io: FrameIo;
  sendWindow = DEFAULT_WINDOW;
  peerMaxFrame = DEFAULT_MAX_FRAME;
  readonly #options: H2ServerOptions;
  readonly #peer: string;
  readonly #decoder = new HpackDecoder();
  /** Streams that are open on the wire. */
  readonly #streams = new Map<number, ServerStream>();
  /** Handlers that run, also for streams that are gone. */
  #running = 0;
  #refused = 0;
  #resets = 0;
  #completed = 0;
  #lastId = 0;
  #peerWindow = DEFAULT_WINDOW;
  #owed = 0;
  #draining = false;
  #over = false;
  readonly #keepalive: Keepalive;
  /** Cuts off whoever connects and says nothing, or says something else. */
  readonly #greeting: ReturnType<typeof setTimeout>;
  readonly #ended = Promise.withResolvers<void>();

  constructor(socket: Socket, peer: string, options: H2ServerOptions) {
    this.#options = options;
    this.#peer = peer;
    this.io = new FrameIo(socket, this);
    this.#keepalive = new Keepalive(
      options.keepalive ?? SERVER_KEEPALIVE,
      () => this.io.ping(),
      () => {
        this.lost(new MnemeError("unavailable", "no answer to a ping"));
        this.io.close();
      },
    );
    this.io.settings([
      [SETTINGS_MAX_CONCURRENT, MAX_STREAMS],
      [SETTINGS_INITIAL_WINDOW, STREAM_WINDOW],
      [SETTINGS_MAX_FRAME, MAX_FRAME],
      [SETTINGS_MAX_HEADER_LIST, MAX_HEADER_LIST],
    ]);
    this.io.windowUpdate(0, CONNECTION_WINDOW - DEFAULT_WINDOW);
    this.#greeting = setTimeout(
      () => this.#end(new MnemeError("canceled", "the client did not begin to speak HTTP/2")),
      options.greeting ?? GREETING,
    );
    void this.io.run(PREFACE);
  }

  /** Resolves when the connection is over and no handler runs any more. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Takes no further calls; the connection ends with the last one. */
  drain(): void {
    if (this.#draining || this.#over) return;
    this.#draining = true;
    this.io.goAway(this.#lastId, NO_ERROR);
    this.#endWhenIdle();
  }

  /** Ends the connection before its first call, with a reason that the client may show. */
  refuse(reason: string): void {
    if (this.#over) return;
    this.io.goAway(0, ENHANCE_YOUR_CALM, reason);
    this.#end(new MnemeError("unavailable", reason));
  }

  /** Fails all calls as unavailable, then closes once their statuses are out. */
  cutOff(): void {
    this.drain();
    const reason = new MnemeError("unavailable", "the server is shutting down");
    for (const stream of [...this.#streams.values()]) {
      // What windows hold back would never get out.
      stream.dropWaiting();
      stream.finish(STATUS_UNAVAILABLE, reason.message);
      stream.gone(reason);
    }
    this.#end(reason);
  }

  #endWhenIdle(): void {
    if (this.#draining && this.#streams.size === 0) {
      this.#end(new MnemeError("unavailable", "the server is shutting down"));
    }
  }

  #end(reason: unknown): void {
    if (!this.#over) {
      this.#over = true;
      clearTimeout(this.#greeting);
      this.#keepalive.end();
      for (const stream of [...this.#streams.values()]) stream.gone(reason);
      this.io.close();
    }
    if (this.#running === 0) this.#ended.resolve();
  }

  forget(stream: ServerStream): void {
    this.#streams.delete(stream.id);
    if (this.#streams.size === 0) this.#keepalive.watch(false);
    this.#endWhenIdle();
  }

  // ---- what the client sends ----------------------------------------------------------------

  heard(): void {
    this.#keepalive.heard();
  }
  writable(): void {
    this.#pumpAll();
  }
  /** Every stream gets its turn: the one that was served first goes to the back. */
  #pumpAll(): void {
    for (const [id, stream] of [...this.#streams]) {
      if (this.io.full || this.sendWindow <= 0) break;
      this.#streams.delete(id);
      this.#streams.set(id, stream);
      stream.pump();
    }
  }
  lost(cause: unknown): void {
    this.#end(new MnemeError("canceled", `context canceled: ${errorMessage(cause)}`));
  }

  headers(id: number, block: Uint8Array, last: boolean): void {
    const list = this.#decoder.decode(block);
    const known = this.#streams.get(id);
    if (known !== undefined) {
      // Trailers of a request mean nothing in gRPC.
      if (last) known.endOfRequest();
      return;
    }
    if (id <= this.#lastId) return;
    if (id % 2 === 0) throw new MnemeError("bad_data", "even stream number from a client");
    this.#lastId = id;
    if (this.#draining || this.#running >= MAX_STREAMS) {
      this.io.reset(id, REFUSED_STREAM);
      if (++this.#refused >= MAX_REFUSED && !this.#draining) this.#calm("too many streams");
      return;
    }
    this.#start(id, list, last);
  }

  #start(id: number, list: HeaderList, last: boolean): void {
    if (valueOf(list, ":method") !== "POST") {
      this.io.headers(id, encodeHeaders([[":status", "405"]]), true, this.peerMaxFrame);
      return;
    }
    if (!valueOf(list, "content-type").startsWith("application/grpc")) {
      this.io.headers(id, encodeHeaders([[":status", "415"]]), true, this.peerMaxFrame);
      return;
    }
    const stream = new ServerStream(
      this,
      id,
      this.#peerWindow,
      list,
      this.#options.maxReceiveBytes,
    );
    this.#streams.set(id, stream);
    this.#keepalive.watch(true);
    clearTimeout(this.#greeting);
    if (last) stream.endOfRequest();
    this.#running++;
    const ended = () => {
      // A handler that ended without a status would leave its client waiting.
      stream.finish(STATUS_INTERNAL, "the handler ended without a status");
      if (!stream.signal.aborted) this.#completed++;
      this.#running--;
      if (this.#over && this.#running === 0) this.#ended.resolve();
    };
    this.#options.handle(stream, this.#peer).then(ended, ended);
  }

  data(id: number, b: Uint8Array, at: number, end: number, charged: number, last: boolean): void {
    this.#owed += charged;
    if (this.#owed >= CONNECTION_WINDOW / 4) {
      this.io.windowUpdate(0, this.#owed);
      this.#owed = 0;
    }
    if (id > this.#lastId) throw new MnemeError("bad_data", "data before headers");
    this.#streams.get(id)?.data(b, at, end, charged, last);
  }
  reset(id: number): void {
    if (id > this.#lastId) throw new MnemeError("bad_data", "reset of a stream that never was");
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.gone(new RpcError(STATUS_CANCELLED, "context canceled"));
    // Opening and resetting costs a client nothing, but us a handler each time.
    if (++this.#resets >= MAX_RESETS && this.#resets > 10 * this.#completed) {
      this.#calm("too many resets");
    }
  }
  #calm(reason: string): void {
    this.io.goAway(this.#lastId, ENHANCE_YOUR_CALM);
    this.#end(new MnemeError("canceled", reason));
  }
  setting(id: number, value: number): void {
    if (id === SETTINGS_INITIAL_WINDOW) {
      // Streams that are open move by the difference.
      for (const stream of this.#streams.values()) stream.sendWindow += value - this.#peerWindow;
      this.#peerWindow = value;
    } else if (id === SETTINGS_MAX_FRAME) this.peerMaxFrame = Math.min(value, MAX_SENT_FRAME);
  }
  settingsDone(): void {
    clearTimeout(this.#greeting);
    this.#pumpAll();
  }
  windowUpdate(id: number, increment: number): void {
    if (increment === 0) throw new MnemeError("bad_data", "window update of 0");
    if (id === 0) {
      this.sendWindow += increment;
      if (this.sendWindow > 0x7fffffff) throw new MnemeError("bad_data", "window too large");
      this.#pumpAll();
      return;
    }
    if (id > this.#lastId) throw new MnemeError("bad_data", "window of a stream that never was");
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.sendWindow += increment;
    stream.pump();
  }
  goAway(): void {
    // The client opens no further streams; those that are open go on.
  }
}

/** The status of a path that nobody serves, in the words of gRPC's Go library. */
export function unknownMethod(path: string, services: ReadonlySet<string>): RpcError {
  const slash = path.lastIndexOf("/");
  const service = path.slice(path.startsWith("/") ? 1 : 0, Math.max(slash, 0));
  const method = path.slice(slash + 1);
  return new RpcError(
    STATUS_UNIMPLEMENTED,
    services.has(service)
      ? `unknown method ${method} for service ${service}`
      : `unknown service ${service}`,
  );
}
