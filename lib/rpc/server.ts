/**
 * Serves tables of methods over gRPC on one address. Requests and responses are raw bytes; errors
 * become statuses by their kind; a stream's next response is asked for when there is room for it.
 */
import { errorMessage, MnemeError } from "../base/mod.ts";
import type { KeepaliveTimes } from "./h2/keepalive.ts";
import { type H2ServerStream, ServerConnection, unknownMethod } from "./h2/server_connection.ts";
import { type Listener, listenSockets, type ServerTls } from "./h2/socket.ts";
import type { Method, ServerCall, ServerObserver, Service } from "./service.ts";
import { RpcError, STATUS_INTERNAL, STATUS_OK, statusOf } from "./status.ts";

export type { ServerTls } from "./h2/socket.ts";

/** Settings of a server. */
export interface RpcServerOptions {
  /** `host:port`; port 0 takes any free one. */
  readonly address: string;
  readonly services: readonly Service[];
  /** Absent: clear text. */
  readonly tls?: ServerTls;
  /** Largest request accepted, bytes. */
  readonly maxReceiveBytes?: number;
  /** Connections that may be open at a time, default 512; further ones are turned away. */
  readonly maxConnections?: number;
  /** Age at which connections are asked to be renewed, ms; 0 or absent = never. */
  readonly maxConnectionAgeMs?: number;
  readonly observer?: ServerObserver;
  /** Flag named in the message about a busy address. */
  readonly addressFlag?: string;
  readonly keepalive?: KeepaliveTimes;
}

/** A running server. */
export interface RpcServer {
  /** The address it listens on, with the real port. */
  readonly address: string;
  /** Takes no new calls, lets running ones end for `graceMs`, then cuts them off. */
  stop(graceMs: number): Promise<void>;
  /** Serves these certificates to connections made from now on; no effect in clear text. */
  setTls(tls: ServerTls): void;
}

/** Requests of the Store API are small; a receiver of samples sets a larger bound. */
const DEFAULT_MAX_RECEIVE = 16 * 1024 * 1024;
/** As many as HTTP's; a querier holds one, so that this is far beyond honest use. */
const DEFAULT_MAX_CONNECTIONS = 512;
/** Connections are renewed at their age give or take this part, so that they do not all at once. */
const AGE_JITTER = 0.1;
/** How long handlers that were told to end may take to do so, ms. */
const LAST_WAIT = 1000;
/** Why whatever a handler left running ends: one error for all calls, they are not free to make. */
const ENDED = new MnemeError("canceled", "context canceled");

/**
 * Starts a server.
 *
 * Throws: `unavailable` with one line that names address and flag when it cannot listen.
 */
export async function serveRpc(options: RpcServerOptions): Promise<RpcServer> {
  const server = new Server(options);
  const listener = await listen(options, server);
  const host = options.address.slice(0, options.address.lastIndexOf(":"));
  return {
    address: `${host}:${listener.port}`,
    setTls: (tls) => listener.setTls(tls),
    async stop(graceMs) {
      await listener.close();
      await server.stop(graceMs);
    },
  };
}

async function listen(options: RpcServerOptions, server: Server): Promise<Listener> {
  const { address, tls, addressFlag = "--grpc-address" } = options;
  try {
    const most = options.maxConnections ?? DEFAULT_MAX_CONNECTIONS;
    return await listenSockets(address, tls, most, (socket, peer) => {
      server.connected(
        peer,
        (handle) =>
          new ServerConnection(socket, peer, {
            maxReceiveBytes: options.maxReceiveBytes ?? DEFAULT_MAX_RECEIVE,
            handle,
            ...(options.keepalive === undefined ? {} : { keepalive: options.keepalive }),
          }),
      );
    });
  } catch (error) {
    const text = errorMessage(error);
    const cause = /in use|EADDRINUSE/i.test(text)
      ? "the address is already in use"
      : /permission|EACCES/i.test(text)
      ? "permission denied"
      : /cannot assign|EADDRNOTAVAIL/i.test(text)
      ? "the address is not one of this machine"
      : text;
    throw new MnemeError(
      "unavailable",
      `Cannot listen on ${address} for gRPC: ${cause}. Choose another address with ${addressFlag}.`,
      { cause: error },
    );
  }
}

interface Route {
  readonly service: string;
  readonly name: string;
  readonly method: Method;
}

type Handle = (stream: H2ServerStream, peer: string) => Promise<void>;

/** Connections and the routes they share; keeps every failure inside its call. */
class Server {
  readonly #routes = new Map<string, Route>();
  readonly #services: ReadonlySet<string>;
  readonly #observer: ServerObserver;
  readonly #maxAge: number;
  readonly #maxConnections: number;
  readonly #connections = new Map<ServerConnection, ReturnType<typeof setTimeout> | undefined>();
  readonly #stopping = new AbortController();

  constructor(options: RpcServerOptions) {
    this.#observer = options.observer ?? {};
    this.#maxAge = options.maxConnectionAgeMs ?? 0;
    this.#maxConnections = options.maxConnections ?? DEFAULT_MAX_CONNECTIONS;
    this.#services = new Set(options.services.map((s) => s.name));
    for (const service of options.services) {
      for (const [name, method] of Object.entries(service.methods)) {
        this.#routes.set(`/${service.name}/${name}`, { service: service.name, name, method });
      }
    }
  }

  connected(peer: string, open: (handle: Handle) => ServerConnection): void {
    const connection = open((stream, peer) => this.#handle(stream, peer));
    if (this.#connections.size >= this.#maxConnections) {
      connection.refuse(`too many connections, ${this.#maxConnections} are open`);
      this.#observer.refused?.(peer);
      return;
    }
    const age = this.#maxAge * (1 + AGE_JITTER * (2 * Math.random() - 1));
    this.#connections.set(
      connection,
      this.#maxAge > 0
        ? setTimeout(() => connection.drain(), Math.min(age, 0x7fffffff))
        : undefined,
    );
    if (this.#stopping.signal.aborted) connection.drain();
    void connection.ended.then(() => {
      clearTimeout(this.#connections.get(connection));
      this.#connections.delete(connection);
    });
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const all = () => [...this.#connections.keys()];
    const ended = Promise.all(all().map((c) => c.ended));
    for (const connection of all()) connection.drain();
    if (graceMs > 0) await within(ended, graceMs);
    for (const connection of all()) connection.cutOff();
    await within(ended, LAST_WAIT);
    for (const timer of this.#connections.values()) clearTimeout(timer);
  }

  async #handle(stream: H2ServerStream, peer: string): Promise<void> {
    const route = this.#routes.get(stream.path);
    if (route === undefined) {
      const { code, details } = statusOf(unknownMethod(stream.path, this.#services));
      return stream.finish(code, details);
    }
    const { service, name, method } = route;
    const observer = this.#observer;
    const began = performance.now();
    const handler = new AbortController();
    const follow = () => handler.abort(stream.signal.reason);
    stream.signal.addEventListener("abort", follow, { once: true });
    if (stream.signal.aborted) follow();
    observer.started?.(service, name, method.kind);
    let error: unknown;
    let status = { code: STATUS_OK, details: "" };
    try {
      const metadata = metadataOf(stream);
      const call = { signal: handler.signal, stopping: this.#stopping.signal, metadata, peer };
      const work = () => this.#run(route, stream, call);
      if (observer.around === undefined) await work();
      else await observer.around({ service, method: name, metadata, peer }, work);
    } catch (e) {
      // What the client or the deadline did is the cause of whatever the handler threw then.
      error = stream.signal.aborted ? stream.signal.reason : e;
      status = statusOf(error);
    }
    stream.finish(status.code, status.details);
    stream.signal.removeEventListener("abort", follow);
    // Whatever the handler left running ends with its call.
    handler.abort(ENDED);
    const seconds = (performance.now() - began) / 1000;
    observer.ended?.({
      service,
      method: name,
      kind: method.kind,
      code: status.code,
      seconds,
      peer,
      error,
    });
  }

  async #run(route: Route, stream: H2ServerStream, call: ServerCall): Promise<void> {
    const { service, name, method } = route;
    const observer = this.#observer;
    const received = () => observer.received?.(service, name, method.kind);
    const send = async (response: Uint8Array) => {
      observer.sent?.(service, name, method.kind);
      await stream.send(response);
    };
    if (method.kind === "bidi") {
      for await (const response of method.handle(requestsOf(stream, received), call)) {
        await send(response);
      }
      return;
    }
    const request = await stream.next();
    if (request === undefined) throw new RpcError(STATUS_INTERNAL, "the call has no request");
    received();
    if (method.kind === "server_stream") stream.onSent = (message) => method.recycle?.(message);
    if (method.kind === "unary") await send(await method.handle(request, call));
    else for await (const response of method.handle(request, call)) await send(response);
  }
}

async function* requestsOf(
  stream: H2ServerStream,
  received: () => void,
): AsyncIterable<Uint8Array> {
  for (;;) {
    const request = await stream.next();
    if (request === undefined) return;
    received();
    yield request;
  }
}

/** Text metadata; binary ones (names ending in `-bin`) and those of the protocol are left out. */
function metadataOf(stream: H2ServerStream): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of stream.headers) {
    if (!name.startsWith(":") && !name.endsWith("-bin")) map.set(name, value);
  }
  return map;
}

/** Waits for the work, but no longer than `ms`. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
