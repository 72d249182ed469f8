/** A web application under Deno.serve as an actor: listens, serves, drains. */
import { errorMessage, MnemeError } from "../base/mod.ts";
import { formatListenAddress, type ListenAddress } from "../config/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import type { Actor } from "./run_group.ts";

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
      }, (request, info) => handle(request, `${info.remoteAddr.hostname}:${info.remoteAddr.port}`));
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

  async run(signal: AbortSignal): Promise<void> {
    const server = this.#server;
    if (server === undefined) throw new MnemeError("internal", `${this.name} was not started`);
    this.#logger.info("listening for requests and metrics", {
      address: formatListenAddress(this.address),
    });
    const { gracePeriod } = this.#options;
    const drain = async () => {
      this.#logger.info("internal server is shutting down");
      if (gracePeriod > 0) {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(() => {
            this.#logger.warn("requests did not end within the grace period, closing connections", {
              grace_period_seconds: gracePeriod / 1000,
            });
            resolve();
          }, gracePeriod);
        });
        await Promise.race([server.shutdown(), late]);
        clearTimeout(timer);
      }
      this.#kill.abort();
    };
    const stopped = new Promise<void>((resolve) => {
      const stop = () => drain().then(resolve);
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
    await Promise.race([server.finished, stopped]);
    if (signal.aborted) await stopped;
    await server.finished;
    this.#logger.info("internal server is shutdown gracefully");
  }
}
