/**
 * Serves tables of methods over gRPC on one address. Requests and responses are raw bytes; errors
 * become statuses by their kind; a stream's next response is asked for when there is room for it.
 */
import * as grpc from "@grpc/grpc-js";
import { errorMessage, MnemeError } from "../base/mod.ts";
import { FLOW_CONTROL_WINDOW } from "./client.ts";
import type { Method, ServerCall, ServerObserver, Service } from "./service.ts";
import { RpcError, STATUS_CANCELLED, STATUS_OK, STATUS_UNAVAILABLE, statusOf } from "./status.ts";

// Its lines would go to the console beside ours; every failure reaches us as an error.
grpc.setLogVerbosity(grpc.logVerbosity.NONE);

/** Certificates of a server (PEM). */
export interface ServerTls {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  /** When set, clients must show a certificate signed by it. */
  readonly clientCa?: Uint8Array;
}

/** Settings of a server. */
export interface RpcServerOptions {
  /** `host:port`; port 0 takes any free one. */
  readonly address: string;
  readonly services: readonly Service[];
  /** Absent: clear text. */
  readonly tls?: ServerTls;
  /** Largest request accepted, bytes. */
  readonly maxReceiveBytes?: number;
  /** Age at which connections are asked to be renewed, ms; 0 or absent = never. */
  readonly maxConnectionAgeMs?: number;
  readonly observer?: ServerObserver;
  /** Flag named in the message about a busy address. */
  readonly addressFlag?: string;
}

/** A running server. */
export interface RpcServer {
  /** The address it listens on, with the real port. */
  readonly address: string;
  /** Takes no new calls, lets running ones end for `graceMs`, then cuts them off. */
  stop(graceMs: number): Promise<void>;
}

/** Requests of the Store API are small; a receiver of samples sets a larger bound. */
const DEFAULT_MAX_RECEIVE = 64 * 1024 * 1024;
/** Bytes and messages handed to the transport but not yet sent, a stream. */
const WRITE_AHEAD_BYTES = 1024 * 1024;
const WRITE_AHEAD_MESSAGES = 64;

const serialize = (message: Uint8Array): Buffer =>
  Buffer.from(message.buffer, message.byteOffset, message.byteLength);
const deserialize = (buffer: Buffer): Uint8Array => buffer;

/**
 * Starts a server.
 *
 * Throws: `unavailable` with one line that names address and flag when it cannot listen.
 */
export async function serveRpc(options: RpcServerOptions): Promise<RpcServer> {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": options.maxReceiveBytes ?? DEFAULT_MAX_RECEIVE,
    "grpc.max_send_message_length": -1,
    "grpc-node.flow_control_window": FLOW_CONTROL_WINDOW,
    ...(options.maxConnectionAgeMs === undefined || options.maxConnectionAgeMs <= 0
      ? {}
      : { "grpc.max_connection_age_ms": options.maxConnectionAgeMs }),
  });
  const stopping = new AbortController();
  const killed = new AbortController();
  const calls = new Calls(options.observer ?? {}, stopping.signal, killed.signal);
  for (const service of options.services) {
    const definition: Record<string, grpc.MethodDefinition<Uint8Array, Uint8Array>> = {};
    const handlers: grpc.UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(service.methods)) {
      definition[name] = {
        path: `/${service.name}/${name}`,
        requestStream: method.kind === "bidi",
        responseStream: method.kind !== "unary",
        requestSerialize: serialize,
        requestDeserialize: deserialize,
        responseSerialize: serialize,
        responseDeserialize: deserialize,
      };
      handlers[name] = calls.handler(service.name, name, method);
    }
    server.addService(definition, handlers);
  }
  const port = await listen(server, options);
  const host = options.address.slice(0, options.address.lastIndexOf(":"));
  return {
    address: `${host}:${port}`,
    async stop(graceMs) {
      stopping.abort();
      const done = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      if (graceMs > 0) {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const late = new Promise<void>((resolve) => timer = setTimeout(resolve, graceMs));
        await Promise.race([done, late]);
        clearTimeout(timer);
      }
      killed.abort(new MnemeError("unavailable", "the server is shutting down"));
      server.forceShutdown();
      await done;
    },
  };
}

async function listen(server: grpc.Server, options: RpcServerOptions): Promise<number> {
  const { address, tls, addressFlag = "--grpc-address" } = options;
  const buffer = (pem: Uint8Array) => Buffer.from(pem);
  const credentials = tls === undefined
    ? grpc.ServerCredentials.createInsecure()
    : grpc.ServerCredentials.createSsl(
      tls.clientCa === undefined ? null : buffer(tls.clientCa),
      [{ cert_chain: buffer(tls.cert), private_key: buffer(tls.key) }],
      tls.clientCa !== undefined,
    );
  try {
    return await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  } catch (error) {
    const text = errorMessage(error);
    const cause = /EADDRINUSE|in use/i.test(text)
      ? "the address is already in use"
      : /EACCES|permission/i.test(text)
      ? "permission denied"
      : /EADDRNOTAVAIL/.test(text)
      ? "the address is not one of this machine"
      : text;
    throw new MnemeError(
      "unavailable",
      `Cannot listen on ${address} for gRPC: ${cause}. Choose another address with ${addressFlag}.`,
      { cause: error },
    );
  }
}

/** What the three kinds of calls have in common. */
interface AnyCall {
  on(event: "cancelled", listener: () => void): unknown;
  getPeer(): string;
  readonly metadata: grpc.Metadata;
}
type WritableCall =
  | grpc.ServerWritableStream<Uint8Array, Uint8Array>
  | grpc.ServerDuplexStream<Uint8Array, Uint8Array>;

/** Runs handlers and keeps every failure inside its call. */
class Calls {
  readonly #observer: ServerObserver;
  readonly #stopping: AbortSignal;
  readonly #killed: AbortSignal;

  constructor(observer: ServerObserver, stopping: AbortSignal, killed: AbortSignal) {
    this.#observer = observer;
    this.#stopping = stopping;
    this.#killed = killed;
  }

  handler(service: string, name: string, method: Method): grpc.UntypedHandleCall {
    const run = async (call: AnyCall, work: (info: ServerCall) => Promise<void>) => {
      const observer = this.#observer;
      const began = performance.now();
      const controller = new AbortController();
      const cancel = () => controller.abort(new MnemeError("canceled", "context canceled"));
      const kill = () => controller.abort(this.#killed.reason);
      call.on("cancelled", cancel);
      this.#killed.addEventListener("abort", kill, { once: true });
      observer.started?.(service, name, method.kind);
      let error: unknown;
      let code = STATUS_OK;
      try {
        await work({
          signal: controller.signal,
          stopping: this.#stopping,
          metadata: textMetadata(call.metadata),
          peer: call.getPeer(),
        });
      } catch (e) {
        error = e;
        code = statusOf(e).code;
      }
      this.#killed.removeEventListener("abort", kill);
      // Whatever the handler left running ends with its call.
      cancel();
      const peer = call.getPeer();
      const seconds = (performance.now() - began) / 1000;
      observer.ended?.({ service, method: name, kind: method.kind, code, seconds, peer, error });
    };
    const observed = {
      received: () => this.#observer.received?.(service, name, method.kind),
      sent: () => this.#observer.sent?.(service, name, method.kind),
    };
    if (method.kind === "unary") {
      return (
        call: grpc.ServerUnaryCall<Uint8Array, Uint8Array>,
        callback: grpc.sendUnaryData<Uint8Array>,
      ) => {
        void run(call, async (info) => {
          observed.received();
          try {
            const response = await method.handle(call.request, info);
            if (info.signal.aborted) throw canceled(info.signal);
            observed.sent();
            guarded(() => callback(null, response));
          } catch (error) {
            guarded(() => callback(statusOf(error), null));
            throw error;
          }
        });
      };
    }
    if (method.kind === "server_stream") {
      return (call: grpc.ServerWritableStream<Uint8Array, Uint8Array>) => {
        void run(call, (info) => {
          observed.received();
          return sendAll(
            call,
            () => method.handle(call.request, info),
            info.signal,
            observed.sent,
            (response) => method.recycle?.(response),
          );
        });
      };
    }
    return (call: grpc.ServerDuplexStream<Uint8Array, Uint8Array>) => {
      void run(call, (info) => {
        const requests = readAll(call, observed.received);
        return sendAll(call, () => method.handle(requests, info), info.signal, observed.sent);
      });
    };
  }
}

/** Requests one by one; iterating the stream itself would destroy its sending half at the end. */
async function* readAll(
  call: grpc.ServerDuplexStream<Uint8Array, Uint8Array>,
  received: () => void,
): AsyncIterable<Uint8Array> {
  const queue: Uint8Array[] = [];
  let ended = false;
  let wake: (() => void) | undefined;
  const notify = () => {
    const w = wake;
    wake = undefined;
    w?.();
  };
  const end = () => {
    ended = true;
    notify();
  };
  call.on("data", (message: Uint8Array) => {
    queue.push(message);
    call.pause();
    notify();
  });
  for (const event of ["end", "cancelled", "close"]) call.on(event, end);
  for (;;) {
    const message = queue.shift();
    if (message !== undefined) {
      received();
      yield message;
      call.resume();
    } else if (ended) return;
    else await new Promise<void>((resolve) => wake = resolve);
  }
}

/** Sends responses as the transport takes them; ends the call with the right status. */
async function sendAll(
  call: WritableCall,
  handle: () => AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  sent: () => void,
  recycle: (response: Uint8Array) => void = () => {},
): Promise<void> {
  let pendingBytes = 0;
  let pending = 0;
  let wake: (() => void) | undefined;
  const notify = () => {
    const w = wake;
    wake = undefined;
    w?.();
  };
  signal.addEventListener("abort", notify, { once: true });
  try {
    for await (const response of handle()) {
      if (signal.aborted) throw canceled(signal);
      const size = response.length;
      pendingBytes += size;
      pending++;
      sent();
      call.write(response, () => {
        pendingBytes -= size;
        pending--;
        recycle(response);
        notify();
      });
      while (
        (pendingBytes > WRITE_AHEAD_BYTES || pending >= WRITE_AHEAD_MESSAGES) && !signal.aborted
      ) {
        await new Promise<void>((resolve) => wake = resolve);
      }
      if (signal.aborted) throw canceled(signal);
    }
    guarded(() => call.end());
  } catch (error) {
    const status = statusOf(error);
    guarded(() => call.emit("error", status));
    throw error;
  } finally {
    signal.removeEventListener("abort", notify);
  }
}

/** The status of a call that is cut off: CANCELLED by its client, UNAVAILABLE by our stop. */
function canceled(signal: AbortSignal): RpcError {
  const reason: unknown = signal.reason;
  const ours = reason instanceof MnemeError && reason.kind === "unavailable";
  return new RpcError(ours ? STATUS_UNAVAILABLE : STATUS_CANCELLED, errorMessage(reason));
}

/** The stream may be gone; writing to it then throws, and there is nobody left to tell. */
function guarded(send: () => void): void {
  try {
    send();
  } catch {
    // See above.
  }
}

function textMetadata(metadata: grpc.Metadata): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") map.set(name, value);
  }
  return map;
}
