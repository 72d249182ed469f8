/**
 * Calls to other programs over gRPC: one connection an address, opened on first use.
 *
 * A call that failed as "unavailable" before anything was received is tried again, since a server
 * that renews its connections would otherwise fail queries. Streams are read only as fast as their
 * reader takes messages.
 *
 * HTTP/2 is spoken by h2/: the runtime's own client can end the process when a server says good-bye,
 * and takes several times as long for large answers.
 */
import { type Clock, MnemeError, systemClock, throwIfAborted } from "../base/mod.ts";
import { Connection, type H2Stream } from "./h2/connection.ts";
import { openSocket, parseAddress, type SocketTls } from "./h2/socket.ts";
import type { ClientObserver } from "./service.ts";
import {
  RpcError,
  STATUS_CANCELLED,
  STATUS_DEADLINE_EXCEEDED,
  STATUS_INTERNAL,
  STATUS_OK,
  statusOf,
} from "./status.ts";

/** Certificates of a client (PEM). */
export type ClientTls = SocketTls;

/** Settings of a connection. */
export interface RpcClientOptions {
  /** Absent: clear text. A function is asked at each connect, so that files may change. */
  readonly tls?: ClientTls | (() => ClientTls);
  /** Compresses requests, and lets the server compress its answers. */
  readonly compression?: "snappy";
  /** Largest message accepted, bytes; the default is the largest that gRPC programs send. */
  readonly maxReceiveBytes?: number;
  /** Attempts of a call that gets UNAVAILABLE and nothing else. */
  readonly attempts?: number;
  readonly clock?: Clock;
  readonly observer?: ClientObserver;
}

/** Settings of one call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Text metadata to send. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Deadline from now, ms; also told to the server. */
  readonly timeoutMs?: number;
  /** Memory for received messages, at least as large as asked for; absent: the runtime's. */
  readonly allocate?: (size: number) => Uint8Array;
  /** Wait until the server can be reached instead of failing at once. */
  readonly waitForReady?: boolean;
}

/** A connection to one address; what other modules use instead of a gRPC library. */
export interface RpcClient {
  readonly address: string;
  /** `path` is `/package.Service/Method`. */
  unary(path: string, request: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** Messages in order; each step brings all that have arrived, at least one. */
  stream(
    path: string,
    request: Uint8Array,
    options?: CallOptions,
  ): AsyncIterable<readonly Uint8Array[]>;
  close(): void;
}

const RETRY_BASE_MS = 50;
const CONNECT_RETRY_MS = 250;
const CONNECT_RETRY_MAX_MS = 5000;
const MAX_MESSAGE = 0x7fffffff;
/** Why streams of calls that are over end: one error for all, they are not free to make. */
const READER_GONE = new MnemeError("canceled", "the reader has gone");

/** Connects to `address` (`host:port`) on the first call. */
export function connectRpc(address: string, options: RpcClientOptions = {}): RpcClient {
  return new H2Client(address, options);
}

class H2Client implements RpcClient {
  readonly address: string;
  readonly #options: RpcClientOptions;
  readonly #attempts: number;
  readonly #clock: Clock;
  #connection: Connection | undefined;
  #connecting: Promise<Connection> | undefined;
  #closed = false;
  /** Name in the certificate of the server, when it is not that of the address. */
  #serverName: string | undefined;

  constructor(address: string, options: RpcClientOptions) {
    this.address = address;
    this.#options = options;
    this.#attempts = options.attempts ?? 3;
    this.#clock = options.clock ?? systemClock;
  }

  async unary(path: string, request: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    let answer: Uint8Array | undefined;
    // Read to the end: the status comes last and may be a failure.
    for await (const messages of this.#observed("unary", path, request, options)) {
      if (answer !== undefined || messages.length > 1) {
        throw new RpcError(STATUS_INTERNAL, "more than one answer to a unary call");
      }
      answer = messages[0];
    }
    if (answer === undefined) throw new RpcError(STATUS_INTERNAL, "no answer to a unary call");
    return answer;
  }

  stream(
    path: string,
    request: Uint8Array,
    options: CallOptions = {},
  ): AsyncIterable<readonly Uint8Array[]> {
    return this.#observed("server_stream", path, request, options);
  }

  /** A call with its observer around it. */
  async *#observed(
    kind: "unary" | "server_stream",
    path: string,
    request: Uint8Array,
    options: CallOptions,
  ): AsyncIterable<readonly Uint8Array[]> {
    const { observer } = this.#options;
    if (observer === undefined) return yield* this.#call(path, request, options);
    const [, service = "", method = ""] = path.split("/");
    const began = performance.now();
    const call = observer.started({ service, method, kind, address: this.address });
    let code = STATUS_CANCELLED;
    let failure: unknown;
    try {
      const metadata = { ...call.metadata, ...options.metadata };
      for await (const messages of this.#call(path, request, { ...options, metadata })) {
        call.received?.(messages.length);
        yield messages;
      }
      code = STATUS_OK;
    } catch (error) {
      code = statusOf(error).code;
      failure = error;
      throw error;
    } finally {
      call.ended?.(code, (performance.now() - began) / 1000, failure);
    }
  }

  async *#call(
    path: string,
    request: Uint8Array,
    options: CallOptions,
  ): AsyncIterable<readonly Uint8Array[]> {
    const limit = new CallLimit(options);
    try {
      for (let attempt = 1;; attempt++) {
        let received = false;
        let stream: H2Stream | undefined;
        try {
          stream = await this.#start(path, request, options, limit);
          limit.bind(stream);
          for (;;) {
            const messages = await stream.take();
            limit.check();
            if (messages === undefined) return;
            received = true;
            yield messages;
          }
        } catch (error) {
          limit.check();
          if (received || attempt >= this.#attempts || !isRetryable(error)) throw error;
        } finally {
          limit.bind(undefined);
          stream?.cancel(READER_GONE);
        }
        // The first retry follows at once (a renewed connection), the next ones after a pause.
        if (attempt > 1) {
          await this.#clock.sleep(RETRY_BASE_MS * 2 ** (attempt - 2), limit.signal).catch(() => {});
        }
        limit.check();
      }
    } finally {
      limit.close();
    }
  }

  async #start(
    path: string,
    request: Uint8Array,
    options: CallOptions,
    limit: CallLimit,
  ): Promise<H2Stream> {
    const connection = await limit.race(this.#connected(options.waitForReady === true, limit));
    const headers: [string, string][] = [];
    for (const [name, value] of Object.entries(options.metadata ?? {})) {
      // Other characters are not legal in an HTTP/2 header and would fail the call.
      if (!/^[\x20-\x7e]*$/.test(value)) {
        throw new MnemeError("bad_data", `Cannot send metadata ${name}: not printable ASCII`);
      }
      headers.push([name.toLowerCase(), value]);
    }
    if (options.timeoutMs !== undefined) {
      headers.push(["grpc-timeout", timeoutText(options.timeoutMs)]);
    }
    const call = connection.call({
      path,
      scheme: this.#options.tls === undefined ? "http" : "https",
      authority: this.#serverName ?? this.address,
      headers,
      request,
      maxReceiveBytes: this.#options.maxReceiveBytes ?? MAX_MESSAGE,
      ...(this.#options.compression === undefined
        ? {}
        : { compression: this.#options.compression }),
      ...(options.allocate === undefined ? {} : { allocate: options.allocate }),
    });
    // A stream that starts after its caller has given up must not stay open.
    call.then((stream) => limit.ended && stream.cancel(undefined), () => {});
    return await limit.race(call);
  }

  async #connected(patient: boolean, limit: CallLimit): Promise<Connection> {
    for (let attempt = 0;; attempt++) {
      if (this.#closed) throw new MnemeError("canceled", "the client was closed");
      if (this.#connection !== undefined && !this.#connection.closed) return this.#connection;
      try {
        this.#connecting ??= this.#connect();
        return await this.#connecting;
      } catch (error) {
        if (!patient || limit.ended || !isRetryable(error)) throw error;
        limit.waitsFor = error;
      }
      const pause = Math.min(CONNECT_RETRY_MAX_MS, CONNECT_RETRY_MS * 2 ** Math.min(attempt, 5));
      await this.#clock.sleep(pause, limit.signal).catch(() => {});
      limit.check();
    }
  }

  async #connect(): Promise<Connection> {
    try {
      parseAddress(this.address);
      const { tls: given } = this.#options;
      const tls = typeof given === "function" ? given() : given;
      this.#serverName = tls?.serverName;
      const socket = await openSocket(this.address, tls);
      if (this.#closed) {
        socket.close();
        throw new MnemeError("canceled", "the client was closed");
      }
      const connection = new Connection(socket, () => {
        if (this.#connection === connection) this.#connection = undefined;
      });
      this.#connection = connection;
      return connection;
    } finally {
      this.#connecting = undefined;
    }
  }

  close(): void {
    this.#closed = true;
    this.#connection?.close();
    this.#connection = undefined;
  }
}

/** Ends a call at its deadline or when its caller gives up. */
class CallLimit {
  readonly #outer: AbortSignal | undefined;
  readonly #inner = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  #late = false;
  /** Why the call has not even begun, for the message of a deadline. */
  waitsFor: unknown;
  #stream: H2Stream | undefined;
  readonly #abort = () => this.#end();

  constructor(options: CallOptions) {
    this.#outer = options.signal;
    throwIfAborted(this.#outer);
    if (options.timeoutMs !== undefined) {
      this.#timer = setTimeout(() => {
        this.#late = true;
        this.#end();
      }, Math.min(options.timeoutMs, 0x7fffffff));
    }
    this.#outer?.addEventListener("abort", this.#abort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#inner.signal;
  }
  get ended(): boolean {
    return this.#inner.signal.aborted;
  }

  #end(): void {
    this.#inner.abort();
    this.#stream?.cancel(this.#failure());
  }

  #failure(): unknown {
    if (this.#late) {
      const cause = this.waitsFor instanceof RpcError ? `: ${this.waitsFor.details}` : "";
      return new RpcError(STATUS_DEADLINE_EXCEEDED, `context deadline exceeded${cause}`);
    }
    try {
      throwIfAborted(this.#outer);
    } catch (error) {
      return error;
    }
    return new MnemeError("canceled", "context canceled");
  }

  /** Throws when the call has ended. */
  check(): void {
    if (this.ended) throw this.#failure();
  }

  bind(stream: H2Stream | undefined): void {
    this.#stream = stream;
    if (stream !== undefined && this.ended) stream.cancel(this.#failure());
  }

  /** The work's result, or the end of the call, whichever comes first. */
  race<T>(work: Promise<T>): Promise<T> {
    if (this.ended) {
      work.catch(() => {});
      return Promise.reject(this.#failure());
    }
    return new Promise((resolve, reject) => {
      const abort = () => reject(this.#failure());
      this.#inner.signal.addEventListener("abort", abort, { once: true });
      work.then(resolve, reject).finally(() =>
        this.#inner.signal.removeEventListener("abort", abort)
      );
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
  }
}

/** At most eight digits and a unit. */
function timeoutText(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms));
  return whole < 1e8 ? `${whole}m` : `${Math.ceil(whole / 1000)}S`;
}

function isRetryable(error: unknown): boolean {
  return error instanceof MnemeError && error.kind === "unavailable";
}
