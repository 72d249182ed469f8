/** A web application under Deno.serve as an actor: listens, serves, drains. */
import { errorMessage, MnemeError } from "../base/mod.ts";
import { formatListenAddress, type ListenAddress } from "../config/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import type { Actor } from "./run_group.ts";

/** Time for the refusals of the last requests to go out, ms. */
const LAST_ANSWERS = 500;

/** What to serve and where. */
export interface HttpServerOptions {
  readonly address: ListenAddress;
  /** Answers a request; `remote` is the client's `host:port`. */
  readonly handle: (request: Request, remote: string) => Response | Promise<Response>;
  /** How long connections may drain when the server stops, ms; 0 closes them at once. */
  readonly gracePeriod: number;
  readonly logger: Logger;
  /** Flag that sets the address, for the message about a busy port. */
  readonly flag?: string;
  /** Name in logs. */
  readonly name?: string;
}

/** A server as an actor; `address` is known once it has started. */
export class HttpServer implements Actor {
  readonly name: string;
  readonly #options: HttpServerOptions;
  readonly #logger: Logger;
  readonly #kill = new AbortController();
  /** Ends each request that has no answer yet with 503. */
  readonly #refusals = new Set<() => void>();
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.name = options.name ?? "http server";
    this.#logger = options.logger.with({ service: "http/server" });
  }

  /** Where it listens, with the real port when port 0 was asked for. */
  get address(): ListenAddress {
    const bound = this.#server?.addr;
    return bound === undefined
      ? this.#options.address
      : { hostname: this.#options.address.hostname, port: bound.port };
  }

  /** Throws: `unavailable`, one line that names the address and the flag. */
  start(): void {
    const { address, handle, flag = "--http-address" } = this.#options;
    try {
      this.#server = Deno.serve({
        hostname: address.hostname,
        port: address.port,
        signal: this.#kill.signal,
        onListen: () => {},
        onError: (error) => {
          this.#logger.error("request failed outside the application", { err: error });
          return new Response("internal error\n", { status: 500 });
        },
      }, (request, info) => {
        const { hostname, port } = info.remoteAddr;
        return this.#answer(async () =>
          await handle(request, formatListenAddress({ hostname, port }))
        );
      });
    } catch (cause) {
      const where = formatListenAddress(address);
      const why = cause instanceof Deno.errors.AddrInUse
        ? `port ${address.port} is already in use`
        : errorMessage(cause);
      throw new MnemeError(
        "unavailable",
        `cannot listen on ${where}: ${why}; choose another address with ${flag}`,
        { cause },
      );
    }
  }

  #answer(work: () => Promise<Response>): Promise<Response> {
    return new Promise((resolve, reject) => {
      const refuse = () => resolve(new Response(null, { status: 503 }));
      this.#refusals.add(refuse);
      work().then(resolve, reject).finally(() => this.#refusals.delete(refuse));
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const server = this.#server;
    if (server === undefined) throw new MnemeError("internal", `${this.name} was not started`);
    this.#logger.info("listening for requests and metrics", {
      address: formatListenAddress(this.address),
    });
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([server.finished, stopped]);
    if (!signal.aborted) throw new MnemeError("internal", `${this.name} ended by itself`);
    this.#logger.info("internal server is shutting down");
    if (this.#options.gracePeriod <= 0) this.#kill.abort();
    else await this.#drain(server, this.#options.gracePeriod);
    this.#logger.info("internal server is shutdown gracefully");
  }

  /** Ends when every connection has, or a little after the grace period. */
  async #drain(server: Deno.HttpServer<Deno.NetAddr>, gracePeriod: number): Promise<void> {
    const timers: ReturnType<typeof setTimeout>[] = [];
    const late = new Promise<void>((resolve) => {
      timers.push(setTimeout(() => {
        this.#logger.warn("requests did not end within the grace period, closing connections", {
          grace_period_seconds: gracePeriod / 1000,
        });
        for (const refuse of this.#refusals) refuse();
        timers.push(setTimeout(resolve, LAST_ANSWERS));
      }, gracePeriod));
    });
    await Promise.race([server.shutdown(), late]);
    timers.forEach(clearTimeout);
  }
}
