/**
 * A web application behind an HTTP server, as an actor: listens, serves, drains.
 *
 * Bounded against hostile and slow clients: size and time of headers, time of a whole request, idle
 * connections, their number, and clients that do not take their answer.
 */
import * as http from "node:http";
import * as https from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { errorMessage, MnemeError } from "../base/mod.ts";
import { formatListenAddress, type ListenAddress } from "../config/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import { BasicAuth, PasswordWorker } from "./basic_auth.ts";
import { sendResponse, webRequest, WRITE_STALL } from "./http_exchange.ts";
import type { Actor } from "./run_group.ts";
import type { WebConfig, WebConfigFile, WebTls } from "./web_config.ts";

/** Time for the refusals of the last requests to go out, ms. */
const LAST_ANSWERS = 500;
/** How often certificate files are looked at, ms. */
const CERTIFICATES = 5_000;

/** Who a client is, by its certificate. */
export interface ClientSubject {
  readonly commonName?: string;
  readonly organization?: string;
  readonly organizationalUnit?: string;
}

/** What one client, and all of them, may take. */
export interface HttpLimits {
  /** Bytes of all headers. */
  readonly headerBytes: number;
  readonly headerCount: number;
  /** From the first byte to the end of the headers, ms. */
  readonly headerTime: number;
  /** From the first byte to the end of the body, ms. */
  readonly requestTime: number;
  /** Of a connection without a request, ms. */
  readonly idleTime: number;
  /** Wait for a client that does not take its answer, ms. */
  readonly writeTime: number;
  readonly connections: number;
}

const LIMITS: HttpLimits = {
  headerBytes: 64 * 1024,
  headerCount: 100,
  headerTime: 10_000,
  requestTime: 60_000,
  idleTime: 120_000,
  writeTime: WRITE_STALL,
  connections: 512,
};

/** What to serve and where. */
export interface HttpServerOptions {
  readonly address: ListenAddress;
  /**
   * Answers a request; `remote` is the client's `host:port`, `client` the subject of a certificate
   * that it has shown and that was verified.
   */
  readonly handle: (
    request: Request,
    remote: string,
    client: ClientSubject | undefined,
  ) => Response | Promise<Response>;
  /** How long connections may drain when the server stops, ms; 0 closes them at once. */
  readonly gracePeriod: number;
  readonly logger: Logger;
  /** TLS, passwords and headers. */
  readonly web?: WebConfigFile;
  readonly limits?: Partial<HttpLimits>;
  /** How often certificate files are looked at, ms. */
  readonly certificateCheck?: number;
  /** Flag that sets the address, for the message about a busy port. */
  readonly flag?: string;
  /** Name in logs. */
  readonly name?: string;
}

/** A server as an actor; `address` is known once it has started. */
export class HttpServer implements Actor {
  readonly name: string;
  readonly #options: HttpServerOptions;
  readonly #limits: HttpLimits;
  readonly #logger: Logger;
  readonly #passwords = new PasswordWorker();
  readonly #auth = new BasicAuth(this.#passwords.compare);
  /** Ends each request that has no answer yet with 503. */
  readonly #refusals = new Set<() => void>();
  /** Open connections with the number of their requests that have no whole answer yet. */
  readonly #connections = new Map<Socket, number>();
  #draining = false;
  #tokens = 0;
  #refilled = 0;
  #server: http.Server | https.Server | undefined;
  #tls: WebTls | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.name = options.name ?? "http server";
    this.#logger = options.logger.with({ service: "http/server" });
  }

  /** Where it listens, with the real port when port 0 was asked for. */
  get address(): ListenAddress {
    const bound = this.#server?.address() as AddressInfo | null | undefined;
    return bound === null || bound === undefined
      ? this.#options.address
      : { hostname: this.#options.address.hostname, port: bound.port };
  }

  /** Throws: `unavailable`, one line that names the address and the flag. */
  async start(): Promise<void> {
    const { address, flag = "--http-address" } = this.#options;
    const server = this.#server = this.#create();
    try {
      // Asked first: the runtime would throw where nobody can catch it.
      const host = address.hostname === "" ? {} : { host: formatListenAddress(address) };
      if (Deno.permissions.querySync({ name: "net", ...host }).state !== "granted") {
        throw new Error("the program may not use this address, it lacks net access to it");
      }
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ host: address.hostname, port: address.port, backlog: 511 }, () => {
          server.off("error", reject);
          resolve();
        });
      });
    } catch (cause) {
      const where = formatListenAddress(address);
      const why = (cause as { code?: string }).code === "EADDRINUSE"
        ? `port ${address.port} is already in use`
        : errorMessage(cause);
      throw new MnemeError(
        "unavailable",
        `cannot listen on ${where}: ${why}; choose another address with ${flag}`,
        { cause },
      );
    }
    server.on("error", (error) => this.#logger.warn("listening failed", { err: error }));
  }

  #create(): http.Server | https.Server {
    const limits = this.#limits;
    const settings = {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headerTime,
      requestTimeout: limits.requestTime,
      keepAliveTimeout: limits.idleTime,
      connectionsCheckingInterval: Math.max(50, Math.min(1000, limits.headerTime / 4)),
    };
    const serve = (incoming: http.IncomingMessage, response: http.ServerResponse) => {
      this.#occupy(incoming.socket, response);
      this.#serve(incoming, response).catch((error: unknown) => {
        this.#logger.error("request failed outside the application", { err: error });
        response.destroy();
      });
    };
    const web = this.#options.web?.current();
    for (const notice of web?.ineffective ?? []) this.#logger.warn(`--http.config: ${notice}`);
    this.#tls = web?.tls;
    const server = this.#tls === undefined
      ? http.createServer(settings, serve)
      : https.createServer({ ...settings, ...tlsSettings(this.#tls) }, serve);
    server.on(this.#tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
      this.#connections.set(socket, 0);
      socket.once("close", () => this.#connections.delete(socket));
    });
    server.maxHeadersCount = limits.headerCount;
    server.maxConnections = limits.connections;
    return server;
  }

  /** Notes that a connection is busy until this answer is out. */
  #occupy(socket: Socket, response: http.ServerResponse): void {
    this.#connections.set(socket, (this.#connections.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const rest = (this.#connections.get(socket) ?? 1) - 1;
      if (this.#connections.has(socket)) this.#connections.set(socket, rest);
      // What was just written must get out first.
      if (this.#draining && rest <= 0) socket.end();
    });
  }

  async #serve(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { web } = this.#options;
    response.on("error", () => {
      // The client is gone; whoever writes is told by the answer's end.
    });
    let config: WebConfig | undefined;
    try {
      config = web?.current();
    } catch (error) {
      this.#logger.error("the file of --http.config cannot be used", { err: error });
      return refuse(response, 500, "Internal Server Error\n");
    }
    const extra = config?.headers ?? [];
    const { socket } = incoming;
    const remote = formatListenAddress({
      hostname: socket.remoteAddress ?? "",
      port: socket.remotePort ?? 0,
    });
    if (incoming.httpVersionMajor < 1) return refuse(response, 400, "Bad Request\n");
    if (config !== undefined && !await this.#admitted(config, incoming, response, extra)) return;
    const request = webRequest(incoming, response, this.#tls === undefined ? "http" : "https");
    if (request === undefined) return refuse(response, 400, "Bad Request\n", extra);
    const client = this.#tls === undefined ? undefined : subjectOf(socket as TLSSocket);
    const answer = await this.#answer(() => this.#options.handle(request, remote, client));
    await sendResponse(answer, response, extra, this.#limits.writeTime);
  }

  /** True when the request may go on; else it has its answer. */
  async #admitted(
    config: WebConfig,
    incoming: http.IncomingMessage,
    response: http.ServerResponse,
    extra: readonly (readonly [string, string])[],
  ): Promise<boolean> {
    const { rate, users, tls } = config;
    if (rate !== undefined && !this.#takeToken(rate)) {
      refuse(response, 429, "Too Many Requests\n", extra);
      return false;
    }
    if (tls !== undefined && !certificateFits(incoming.socket as TLSSocket, tls)) {
      incoming.socket.destroy();
      return false;
    }
    if (users.size === 0) return true;
    const address = incoming.socket.remoteAddress ?? "";
    const login = await this.#auth.check(incoming.headers.authorization, users, address);
    if (login === "ok") return true;
    const challenge: [string, string] = ["www-authenticate", "Basic"];
    if (login === "denied") {
      refuse(response, 401, "Unauthorized\n", [...extra, challenge]);
    } else refuse(response, 429, "Too Many Requests\n", [...extra, ["retry-after", "1"]]);
    return false;
  }

  #takeToken(rate: { readonly burst: number; readonly interval: number }): boolean {
    const now = performance.now();
    if (this.#refilled === 0) this.#tokens = rate.burst;
    else {
      const earned = (now - this.#refilled) / rate.interval;
      this.#tokens = Math.min(rate.burst, this.#tokens + earned);
    }
    this.#refilled = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  #answer(work: () => Response | Promise<Response>): Promise<Response> {
    return new Promise((resolve) => {
      const end = () => resolve(new Response(null, { status: 503 }));
      this.#refusals.add(end);
      const call = async () => await work();
      call().then(resolve, (error) => {
        this.#logger.error("request failed outside the application", { err: error });
        resolve(new Response("internal error\n", { status: 500 }));
      }).finally(() => this.#refusals.delete(end));
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const server = this.#server;
    if (server === undefined) throw new MnemeError("internal", `${this.name} was not started`);
    this.#logger.info("listening for requests and metrics", {
      address: formatListenAddress(this.address),
    });
    const rotation = this.#tls === undefined ? undefined : setInterval(
      () => this.#rotate(server as https.Server),
      this.#options.certificateCheck ?? CERTIFICATES,
    );
    const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([closed, stopped]);
    clearInterval(rotation);
    if (!signal.aborted) throw new MnemeError("internal", `${this.name} ended by itself`);
    this.#logger.info("internal server is shutting down");
    server.close();
    if (this.#options.gracePeriod > 0) await this.#drain(closed);
    server.closeAllConnections();
    await closed;
    this.#passwords.close();
    this.#logger.info("internal server is shutdown gracefully");
  }

  /** New connections get the certificates of now; open ones keep theirs. */
  #rotate(server: https.Server): void {
    try {
      const tls = this.#options.web!.current().tls;
      if (tls === undefined || tls === this.#tls) return;
      server.setSecureContext(tlsSettings(tls));
      this.#tls = tls;
      this.#logger.info("certificates were read again");
    } catch (error) {
      this.#logger.error("certificates cannot be used, keeping the old ones", { err: error });
    }
  }

  /** Ends when every connection has, or a little after the grace period. */
  async #drain(closed: Promise<void>): Promise<void> {
    const { gracePeriod } = this.#options;
    this.#draining = true;
    for (const [socket, busy] of this.#connections) if (busy === 0) socket.destroy();
    const timers: ReturnType<typeof setTimeout>[] = [];
    const late = new Promise<void>((resolve) => {
      timers.push(setTimeout(() => {
        this.#logger.warn("requests did not end within the grace period, closing connections", {
          grace_period_seconds: gracePeriod / 1000,
        });
        for (const end of this.#refusals) end();
        timers.push(setTimeout(resolve, LAST_ANSWERS));
      }, gracePeriod));
    });
    await Promise.race([closed, late]);
    timers.forEach(clearTimeout);
  }
}

/** Answers without the application; the rest of the request is not waited for. */
function refuse(
  response: http.ServerResponse,
  status: number,
  text: string,
  headers: readonly (readonly [string, string])[] = [],
): void {
  response.writeHead(status, {
    ...Object.fromEntries(headers),
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
    "content-length": String(text.length),
    ...(response.req.headers["content-length"] === undefined ? {} : { connection: "close" }),
  });
  response.end(response.req.method === "HEAD" ? undefined : text);
}

function tlsSettings(tls: WebTls): https.ServerOptions {
  const asks = tls.clientAuth !== "NoClientCert";
  return {
    cert: tls.cert,
    key: tls.key,
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa }),
    requestCert: asks,
    rejectUnauthorized: tls.clientAuth === "RequireAndVerifyClientCert",
    ALPNProtocols: ["http/1.1"],
  };
}

/** True when the client's certificate is as the configuration wants it. */
/** The subject of a verified certificate; of several values, the first. */
function subjectOf(socket: TLSSocket): ClientSubject | undefined {
  // A certificate that nobody vouches for is no identity.
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerCertificate() as PeerCertificate | null;
  const subject = certificate?.subject as Record<string, string | string[]> | undefined;
  if (subject === undefined) return undefined;
  const first = (name: string) => {
    const value = subject[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const commonName = first("CN");
  const organization = first("O");
  const organizationalUnit = first("OU");
  return {
    ...(commonName === undefined ? {} : { commonName }),
    ...(organization === undefined ? {} : { organization }),
    ...(organizationalUnit === undefined ? {} : { organizationalUnit }),
  };
}

function certificateFits(socket: TLSSocket, tls: WebTls): boolean {
  const { clientAuth, allowedSans } = tls;
  if (clientAuth === "NoClientCert" || clientAuth === "RequestClientCert") return true;
  const certificate = socket.getPeerCertificate() as PeerCertificate | null;
  const shown = certificate !== null && Object.keys(certificate).length > 0;
  if (!shown) return clientAuth === "VerifyClientCertIfGiven";
  if (clientAuth !== "RequireClientCert" && clientAuth !== "RequireAnyClientCert") {
    if (!socket.authorized) return false;
  }
  if (allowedSans.length === 0) return true;
  const names = (certificate.subjectaltname ?? "").split(/,\s*/)
    .map((name) => name.replace(/^(?:DNS|email|URI|IP Address):/i, ""));
  return names.some((name) => allowedSans.includes(name));
}
