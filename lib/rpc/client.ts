/**
 * Calls to other programs over gRPC: one connection an address, opened on first use.
 *
 * A call that failed as "unavailable" before anything was received is tried again, since a server
 * that renews its connections would otherwise fail queries. Streams are read only as fast as their
 * reader takes messages.
 */
import * as grpc from "@grpc/grpc-js";
import { type Clock, errorMessage, MnemeError, systemClock, throwIfAborted } from "../base/mod.ts";
import {
  RpcError,
  STATUS_CANCELLED,
  STATUS_DEADLINE_EXCEEDED,
  STATUS_INTERNAL,
  STATUS_UNAVAILABLE,
} from "./status.ts";

/** Certificates of a client (PEM). */
export interface ClientTls {
  /** Authorities to trust; the system's own when absent. */
  readonly ca?: Uint8Array;
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
  /** Name to verify instead of the host of the address. */
  readonly serverName?: string;
  readonly skipVerify?: boolean;
}

/** Settings of a connection. */
export interface RpcClientOptions {
  /** Absent: clear text. */
  readonly tls?: ClientTls;
  /** Largest message accepted, bytes; the default is the largest that gRPC programs send. */
  readonly maxReceiveBytes?: number;
  /** Attempts of a call that gets UNAVAILABLE and nothing else. */
  readonly attempts?: number;
  readonly clock?: Clock;
}

/** Settings of one call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Text metadata to send. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Deadline from now, ms; also told to the server. */
  readonly timeoutMs?: number;
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

/** Window of HTTP/2 flow control, bytes: the default of 64 KiB costs two thirds of the speed. */
export const FLOW_CONTROL_WINDOW = 16 * 1024 * 1024;
/** Bytes and messages that may wait for a slow reader before the stream is paused. */
const QUEUE_BYTES = 1024 * 1024;
const QUEUE_MESSAGES = 256;
const RETRY_BASE_MS = 50;

// Its lines would go to the console beside ours; every failure reaches the caller as an error.
grpc.setLogVerbosity(grpc.logVerbosity.NONE);

const serialize = (message: Uint8Array): Buffer =>
  Buffer.from(message.buffer, message.byteOffset, message.byteLength);
const deserialize = (buffer: Buffer): Uint8Array => buffer;

/** Connects to `address` (`host:port`, or any target grpc-js resolves) on the first call. */
export function connectRpc(address: string, options: RpcClientOptions = {}): RpcClient {
  return new GrpcJsClient(address, options);
}

class GrpcJsClient implements RpcClient {
  readonly address: string;
  readonly #client: grpc.Client;
  readonly #attempts: number;
  readonly #clock: Clock;

  constructor(address: string, options: RpcClientOptions) {
    this.address = address;
    this.#attempts = options.attempts ?? 3;
    this.#clock = options.clock ?? systemClock;
    this.#client = new grpc.Client(address, credentials(options.tls), {
      "grpc-node.flow_control_window": FLOW_CONTROL_WINDOW,
      "grpc.max_receive_message_length": options.maxReceiveBytes ?? 0x7fffffff,
      "grpc.max_send_message_length": -1,
      // A store that was restarted is used again within seconds.
      "grpc.initial_reconnect_backoff_ms": 500,
      "grpc.max_reconnect_backoff_ms": 5000,
      "grpc.enable_http_proxy": 0,
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
      "grpc.use_local_subchannel_pool": 1,
      ...(options.tls?.serverName === undefined ? {} : {
        "grpc.ssl_target_name_override": options.tls.serverName,
        "grpc.default_authority": options.tls.serverName,
      }),
      // No client keepalive: a server's answer to too many pings can crash Deno's HTTP/2 client.
    });
  }

  async unary(path: string, request: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    return await this.#retrying(options, () => this.#unaryOnce(path, request, options));
  }

  #unaryOnce(path: string, request: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    const { signal } = options;
    throwIfAborted(signal);
    return new Promise((resolve, reject) => {
      const abort = () => call.cancel();
      const call = this.#client.makeUnaryRequest(
        path,
        serialize,
        deserialize,
        request,
        toMetadata(options),
        toCallOptions(options),
        (error, response) => {
          signal?.removeEventListener("abort", abort);
          if (error === null && response !== undefined) resolve(response);
          else reject(toError(error, signal));
        },
      );
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  async *stream(
    path: string,
    request: Uint8Array,
    options: CallOptions = {},
  ): AsyncIterable<readonly Uint8Array[]> {
    for (let attempt = 1;; attempt++) {
      const reader = new StreamReader(
        this.#client.makeServerStreamRequest(
          path,
          serialize,
          deserialize,
          request,
          toMetadata(options),
          toCallOptions(options),
        ),
        options.signal,
      );
      let received = false;
      try {
        for (;;) {
          const messages = await reader.take();
          if (messages === undefined) return;
          received = true;
          yield messages;
        }
      } catch (error) {
        if (received || attempt >= this.#attempts || !isRetryable(error)) throw error;
      } finally {
        reader.close();
      }
      await this.#pause(attempt, options.signal);
    }
  }

  async #retrying<T>(options: CallOptions, run: () => Promise<T>): Promise<T> {
    for (let attempt = 1;; attempt++) {
      try {
        return await run();
      } catch (error) {
        if (attempt >= this.#attempts || !isRetryable(error)) throw error;
      }
      await this.#pause(attempt, options.signal);
    }
  }
  /** The first retry follows at once (a renewed connection), the next ones after a pause. */
  async #pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (attempt > 1) await this.#clock.sleep(RETRY_BASE_MS * 2 ** (attempt - 2), signal);
  }

  close(): void {
    this.#client.close();
  }
}

/** Takes messages from a grpc-js stream; pauses it while the reader is behind. */
class StreamReader {
  readonly #call: grpc.ClientReadableStream<Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  readonly #abort: () => void;
  #queue: Uint8Array[] = [];
  #queueBytes = 0;
  #paused = false;
  #ended = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(call: grpc.ClientReadableStream<Uint8Array>, signal: AbortSignal | undefined) {
    this.#call = call;
    this.#signal = signal;
    this.#abort = () => {
      call.cancel();
      this.#settle(abortError(signal));
    };
    call.on("data", (message: Uint8Array) => {
      this.#queue.push(message);
      this.#queueBytes += message.length;
      if (
        !this.#paused &&
        (this.#queueBytes >= QUEUE_BYTES || this.#queue.length >= QUEUE_MESSAGES)
      ) {
        this.#paused = true;
        call.pause();
      }
      this.#notify();
    });
    // "end" comes after all messages; a failure comes at once, what was received before it counts.
    call.on("end", () => this.#settle(undefined));
    call.on("error", (error: unknown) => {
      for (;;) {
        const message = call.read() as Uint8Array | null;
        if (message === null) break;
        this.#queue.push(message);
      }
      this.#settle(toError(error, signal));
    });
    if (signal?.aborted) this.#abort();
    else signal?.addEventListener("abort", this.#abort, { once: true });
  }

  #settle(failure: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#notify();
  }
  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** All messages that are there, waiting for the first; undefined at the end. */
  async take(): Promise<readonly Uint8Array[] | undefined> {
    while (this.#queue.length === 0) {
      if (this.#ended) {
        if (this.#failure !== undefined) throw this.#failure;
        return undefined;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#signal?.aborted) throw abortError(this.#signal);
    const messages = this.#queue;
    this.#queue = [];
    this.#queueBytes = 0;
    if (this.#paused) {
      this.#paused = false;
      this.#call.resume();
    }
    return messages;
  }

  close(): void {
    this.#signal?.removeEventListener("abort", this.#abort);
    if (!this.#ended) {
      this.#ended = true;
      this.#call.cancel();
    }
    this.#queue = [];
  }
}

function credentials(tls: ClientTls | undefined): grpc.ChannelCredentials {
  if (tls === undefined) return grpc.credentials.createInsecure();
  const buffer = (pem: Uint8Array | undefined) => pem === undefined ? null : Buffer.from(pem);
  return grpc.credentials.createSsl(buffer(tls.ca), buffer(tls.key), buffer(tls.cert), {
    rejectUnauthorized: tls.skipVerify !== true,
  });
}

function toMetadata(options: CallOptions): grpc.Metadata {
  const metadata = new grpc.Metadata({ waitForReady: options.waitForReady ?? false });
  for (const [name, value] of Object.entries(options.metadata ?? {})) {
    // Other characters are not legal in an HTTP/2 header and would fail the call.
    if (/^[\x20-\x7e]*$/.test(value)) metadata.set(name, value);
    else throw new MnemeError("bad_data", `Cannot send metadata ${name}: not printable ASCII`);
  }
  return metadata;
}

function toCallOptions(options: CallOptions): grpc.CallOptions {
  return options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
}

function abortError(signal: AbortSignal | undefined): unknown {
  try {
    throwIfAborted(signal);
  } catch (error) {
    return error;
  }
  return new MnemeError("canceled", "context canceled");
}

/**
 * An error for a gRPC status.
 *
 * A broken connection may show as INTERNAL or CANCELLED from grpc-js itself; unless our caller
 * aborted, both count as "unavailable".
 */
function toError(status: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return abortError(signal);
  const { code, details } = status as Partial<grpc.ServiceError>;
  if (typeof code !== "number") {
    return new RpcError(STATUS_UNAVAILABLE, errorMessage(status), { cause: status });
  }
  const text = (typeof details === "string" && details !== "" ? details : errorMessage(status))
    .replace(/^No connection established\. Last error: (Error: )?/, "connection error: ")
    .replace(/\.? ?Resolution note: ?$/, "");
  const broken = code === STATUS_CANCELLED ||
    (code === STATUS_INTERNAL && text.includes("RST_STREAM"));
  if (code === STATUS_DEADLINE_EXCEEDED) {
    return new RpcError(code, "context deadline exceeded", { cause: status });
  }
  return new RpcError(code, text, { cause: status, ...(broken ? { kind: "unavailable" } : {}) });
}

function isRetryable(error: unknown): boolean {
  return error instanceof MnemeError && error.kind === "unavailable";
}
