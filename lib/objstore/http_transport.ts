/**
 * HTTP to object storage: kept connections, TLS and proxies of the configuration, and a time limit on
 * every phase of a request, so that nothing waits for ever for a server that went silent.
 *
 * Redirects are not followed: a bucket that sends its clients elsewhere could send them anywhere.
 */
import { Buffer } from "node:buffer";
import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import * as tls from "node:tls";
import type { Duplex } from "node:stream";
import { throwIfAborted } from "../base/mod.ts";
import { type HttpConfig, proxyFor, type ReadEnv, TlsFiles } from "./http_config.ts";
import { RemoteError } from "./remote_error.ts";

/** A request; header names in any case. */
export interface HttpCall {
  readonly method: string;
  readonly protocol: "http:" | "https:";
  readonly hostname: string;
  readonly port: number | undefined;
  /** Path with query, percent-encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
}

/** Status and headers (lower case); the body must be read or destroyed. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: http.IncomingMessage;
}

/** Dial limit, ms, as in Go's clients. */
const CONNECT_TIMEOUT = 30_000;
/** Longest pause between two pieces of a body in either direction, ms. */
export const STALL_TIMEOUT = 60_000;
const WRITE_PIECE = 256 * 1024;
/** Bodies up to this size get their memory at once; the size of larger ones is not trusted. */
const TRUSTED_SIZE = 64 * 1024 * 1024;

/** Makes requests over a pool of connections. */
export class HttpTransport {
  readonly #config: HttpConfig;
  readonly #env: ReadEnv;
  readonly #stall: number;
  readonly #plain: http.Agent;
  readonly #secure: https.Agent;

  constructor(config: HttpConfig, options: { readonly env: ReadEnv; readonly stall?: number }) {
    this.#config = config;
    this.#env = options.env;
    this.#stall = options.stall ?? STALL_TIMEOUT;
    const pool = {
      keepAlive: true,
      maxFreeSockets: Math.max(1, config.max_idle_conns_per_host),
      maxSockets: config.max_conns_per_host === 0 ? Infinity : config.max_conns_per_host,
      timeout: config.idle_conn_timeout,
    };
    this.#plain = new http.Agent(pool);
    this.#secure = new SecureAgent(pool, new TlsFiles(config), this.#env);
  }

  /**
   * Sends a request and waits for the head of its answer.
   *
   * Throws: RemoteError `unavailable` for trouble on the way, canceled.
   */
  async send(call: HttpCall, signal?: AbortSignal): Promise<HttpAnswer> {
    throwIfAborted(signal);
    const secure = call.protocol === "https:";
    const port = call.port ?? (secure ? 443 : 80);
    const proxy = secure ? undefined : proxyFor(call.protocol, call.hostname, port, this.#env);
    const request = http_(secure)(proxy === undefined ? {} : proxyTarget(proxy), {
      method: call.method,
      ...(proxy === undefined
        ? { hostname: bareHost(call.hostname), port, path: call.path }
        : { path: `http://${call.hostname}:${port}${call.path}` }),
      headers: {
        ...call.headers,
        ...(proxy === undefined ? {} : proxyHeaders(proxy)),
        ...(call.body === undefined ? {} : { "content-length": String(call.body.length) }),
      },
      agent: secure ? this.#secure : this.#plain,
    });
    // On a kept connection the runtime would send a request again on its own when it breaks, unseen
    // and whatever the method; it asks this property. Tries are decided, and counted, by the bucket.
    Object.defineProperty(request, "reusedSocket", { get: () => false, set() {} });
    return await this.#exchange(request, call, secure, signal);
  }

  #exchange(
    request: http.ClientRequest,
    call: HttpCall,
    secure: boolean,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      // A request that is destroyed does not always say so: its end is told here.
      const fail = (error: unknown) => {
        done();
        request.destroy();
        reject(failureOf(error, signal));
      };
      const watch = new Watch((what) => fail(new RemoteError("unavailable", what)));
      const abort = () => fail(undefined);
      signal?.addEventListener("abort", abort, { once: true });
      const done = () => {
        watch.stop();
        signal?.removeEventListener("abort", abort);
      };
      const { response_header_timeout, tls_handshake_timeout } = this.#config;
      const dial = CONNECT_TIMEOUT + (secure ? tls_handshake_timeout : 0);
      const awaitAnswer = () =>
        watch.limit(
          response_header_timeout,
          "no answer came in http_config.response_header_timeout",
        );
      request.on("socket", (socket: Socket) => {
        if (socket.connecting) {
          watch.limit(dial, "the connection was not made in time");
          socket.once(secure ? "secureConnect" : "connect", awaitAnswer);
        } else awaitAnswer();
      });
      // Not once: an error that nobody hears ends the process.
      request.on("error", fail);
      request.once("close", () => {
        done();
        reject(failureOf(new Error("the connection was closed"), signal));
      });
      request.once("response", (message: http.IncomingMessage) => {
        done();
        // A body that fails before anyone listens must not end the process.
        message.on("error", () => {});
        resolve({
          status: message.statusCode ?? 0,
          headers: message.headers as Record<string, string>,
          body: message,
        });
      });
      const { body } = call;
      if (body === undefined || body.length <= WRITE_PIECE) {
        if (body === undefined || body.length === 0) request.end();
        else request.end(body);
      } else {
        writeBody(request, body, () => watch.limit(this.#stall, "sending the body stalled"))
          .then(awaitAnswer, fail);
      }
    });
  }

  /** The whole body of an answer, at most `limit` bytes. */
  async readAll(
    answer: HttpAnswer,
    options: { readonly limit: number; readonly into?: Uint8Array; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    const announced = contentLength(answer.headers);
    const { limit, into } = options;
    if (announced !== undefined && announced > limit) {
      answer.body.destroy();
      throw new RemoteError(
        "unavailable",
        `the answer has ${announced} bytes, at most ${limit} fit`,
      );
    }
    return await new Promise((resolve, reject) => {
      const body = answer.body;
      const watch = new Watch((what) => fail(new RemoteError("unavailable", what)));
      const abort = () => fail(undefined);
      options.signal?.addEventListener("abort", abort, { once: true });
      const memory = new Collector(announced, into);
      const fail = (error: unknown) => {
        watch.stop();
        options.signal?.removeEventListener("abort", abort);
        body.destroy();
        reject(failureOf(error, options.signal));
      };
      watch.limit(this.#stall, "the body stalled");
      body.on("data", (piece: Uint8Array) => {
        watch.limit(this.#stall, "the body stalled");
        if (memory.size + piece.length > (announced ?? limit)) {
          fail(new RemoteError("unavailable", "the body is longer than announced"));
        } else memory.add(piece);
      });
      body.once("error", fail);
      body.once("end", () => {
        if (announced !== undefined && memory.size < announced) {
          fail(cutShort(memory.size, announced));
          return;
        }
        watch.stop();
        options.signal?.removeEventListener("abort", abort);
        resolve(memory.bytes());
      });
      body.once("close", () => fail(cutShort(memory.size, announced)));
      if (options.signal?.aborted === true) abort();
    });
  }

  /** The pieces of a body, at the reader's pace; ends early only with an error. */
  async *pieces(answer: HttpAnswer, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const { body } = answer;
    const announced = contentLength(answer.headers);
    const watch = new Watch((what) => body.destroy(new RemoteError("unavailable", what)));
    const abort = () => body.destroy();
    signal?.addEventListener("abort", abort, { once: true });
    let received = 0;
    try {
      throwIfAborted(signal);
      watch.limit(this.#stall, "the body stalled");
      for await (const piece of body) {
        watch.stop();
        received += (piece as Uint8Array).length;
        yield new Uint8Array(piece as Uint8Array);
        watch.limit(this.#stall, "the body stalled");
      }
      throwIfAborted(signal);
      if (announced !== undefined && received !== announced) throw cutShort(received, announced);
    } catch (error) {
      throw failureOf(error, signal);
    } finally {
      watch.stop();
      signal?.removeEventListener("abort", abort);
      body.destroy();
    }
  }

  /** Closes every connection. */
  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** The length an answer announces, undefined without one. */
export function contentLength(headers: Readonly<Record<string, string>>): number | undefined {
  const text = headers["content-length"];
  return text === undefined || !/^\d{1,15}$/.test(text) ? undefined : Number(text);
}

const http_ = (secure: boolean) => (base: http.RequestOptions, options: http.RequestOptions) =>
  (secure ? https : http).request({ ...base, ...options });

function cutShort(received: number, announced: number | undefined): RemoteError {
  const of = announced === undefined ? "" : ` of ${announced}`;
  return new RemoteError("unavailable", `the body ended after ${received}${of} bytes`);
}

/** Turns whatever a request failed with into one of ours. */
function failureOf(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) {
    try {
      throwIfAborted(signal);
    } catch (canceled) {
      return canceled;
    }
  }
  if (error instanceof RemoteError) return error;
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  const reason = message === undefined || message === "" ? code ?? "connection failed" : message;
  // A certificate that is not trusted now will not be trusted in a second either.
  const final = /certificate|CERT_|UnknownIssuer|wrong version number|ERR_TLS|NotValidForName/
    .test(`${code ?? ""} ${reason}`);
  return new RemoteError("unavailable", reason, { retryable: !final, cause: error });
}

/** One timer that is set anew for each phase. */
class Watch {
  readonly #expired: (what: string) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(expired: (what: string) => void) {
    this.#expired = expired;
  }
  limit(ms: number, what: string): void {
    clearTimeout(this.#timer);
    this.#timer = ms <= 0
      ? undefined
      : setTimeout(() => this.#expired(`${what} (${ms / 1000} s)`), ms);
  }
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * Gathers pieces, into given memory when it is large enough. Then the memory of each piece is let go
 * of when the next one is there, and nothing on the way up here can still look at it: the collector
 * of garbage finds out much later, since the heap is small beside these bytes.
 */
class Collector {
  size = 0;
  #last: Uint8Array | undefined;
  readonly #memory: Uint8Array | undefined;
  readonly #pieces: Uint8Array[] = [];

  constructor(announced: number | undefined, into: Uint8Array | undefined) {
    if (announced === undefined || announced > TRUSTED_SIZE) return;
    this.#memory = into !== undefined && into.length >= announced
      ? into.subarray(0, announced)
      : new Uint8Array(announced);
  }
  add(piece: Uint8Array): void {
    if (this.#memory === undefined) this.#pieces.push(piece);
    else {
      this.#memory.set(piece, this.size);
      discard(this.#last);
      this.#last = piece;
    }
    this.size += piece.length;
  }
  /** What was gathered; call once, at the end of the body. */
  bytes(): Uint8Array {
    if (this.#memory !== undefined) {
      discard(this.#last);
      return this.#memory.subarray(0, this.size);
    }
    const all = new Uint8Array(this.size);
    let at = 0;
    for (const piece of this.#pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }
}

/** Gives memory back to the system, unless something else may lie in it. */
function discard(piece: Uint8Array | undefined): void {
  const memory = piece?.buffer;
  if (memory instanceof ArrayBuffer && !memory.detached && memory.byteLength === piece?.length) {
    memory.transfer(0);
  }
}

async function writeBody(
  request: http.ClientRequest,
  body: Uint8Array,
  progress: () => void,
): Promise<void> {
  for (let at = 0; at < body.length; at += WRITE_PIECE) {
    if (request.destroyed) return;
    if (!request.write(body.subarray(at, at + WRITE_PIECE))) {
      progress();
      await new Promise<void>((resolve) => {
        const done = () => {
          request.off("drain", done).off("close", done).off("error", done).off("response", done);
          resolve();
        };
        request.once("drain", done).once("close", done).once("error", done).once("response", done);
      });
    }
  }
  request.end();
}

function bareHost(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

function proxyTarget(proxy: URL): http.RequestOptions {
  return {
    hostname: bareHost(proxy.hostname),
    port: proxy.port === "" ? (proxy.protocol === "https:" ? 443 : 80) : Number(proxy.port),
  };
}

function proxyHeaders(proxy: URL): Record<string, string> {
  if (proxy.username === "") return {};
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(pair).toString("base64")}` };
}

/** TLS connections with the files of now, through the proxy of the environment. */
class SecureAgent extends https.Agent {
  readonly #files: TlsFiles;
  readonly #env: ReadEnv;

  constructor(options: https.AgentOptions, files: TlsFiles, env: ReadEnv) {
    super(options);
    this.#files = files;
    this.#env = env;
  }

  override createConnection(
    options: https.RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex {
    const host = String(options.host ?? options.hostname ?? "");
    const port = Number(options.port ?? 443);
    const settings = this.#files.current();
    const servername = settings.servername ?? (/^[\d.]+$|:/.test(host) ? undefined : host);
    const target: tls.ConnectionOptions = {
      host,
      port,
      ...settings,
      ...(servername === undefined ? {} : { servername }),
      ALPNProtocols: ["http/1.1"],
    };
    const proxy = proxyFor("https:", host, port, this.#env);
    if (proxy === undefined) return tls.connect(target);
    const fail = (error: Error) => callback?.(error, undefined as unknown as Duplex);
    const tunnel = http.request({
      ...proxyTarget(proxy),
      method: "CONNECT",
      path: `${host}:${port}`,
      headers: { host: `${host}:${port}`, ...proxyHeaders(proxy) },
      agent: false,
    });
    tunnel.once("error", fail);
    tunnel.once("connect", (answer: http.IncomingMessage, socket: Socket) => {
      if (answer.statusCode !== 200) {
        socket.destroy();
        fail(new Error(`the proxy answered ${answer.statusCode} to CONNECT`));
        return;
      }
      callback?.(null, tls.connect({ ...target, socket }));
    });
    tunnel.end();
    // The connection comes through the callback; the types know only the other way.
    return undefined as unknown as Duplex;
  }
}
