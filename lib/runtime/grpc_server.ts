/** A gRPC server as an actor, with health that follows the probe. */
import { MnemeError } from "../base/mod.ts";
import { formatListenAddress, type ListenAddress, type RequestLogRule } from "../config/mod.ts";
import {
  Health,
  healthService,
  type RpcServer,
  type ServerObserver,
  serveRpc,
  type Service,
} from "../rpc/mod.ts";
import type { Logger, Metrics, Probe, Tracer } from "../telemetry/mod.ts";
import type { GrpcTlsFiles } from "./grpc_tls.ts";
import { grpcServerMetrics } from "./grpc_metrics.ts";
import { grpcRequestLog } from "./grpc_request_log.ts";
import { grpcServerTrace } from "./grpc_trace.ts";
import type { Actor } from "./run_group.ts";

/** How often certificate files are looked at, ms. */
const CERTIFICATES = 5_000;
/** A flood of connections is one line in so many ms. */
const REFUSAL_LOG = 60_000;

/** What to serve and where. Times in ms. */
export interface GrpcServerOptions {
  readonly address: ListenAddress;
  /** The component's services; health is added. */
  readonly services: readonly Service[];
  readonly probe: Probe;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly tracer?: Tracer;
  /** Which calls are logged; absent = none. */
  readonly log?: RequestLogRule | undefined;
  readonly tls?: GrpcTlsFiles;
  /** How long calls may drain when the server stops; 0 cuts them off at once. */
  readonly gracePeriod: number;
  /** Age at which clients are asked to reconnect; 0 = never. */
  readonly maxConnectionAge?: number;
  readonly maxReceiveBytes?: number;
  /** Connections that may be open at a time. */
  readonly maxConnections?: number;
  /** Flag that sets the address, for the message about a busy port. */
  readonly flag?: string;
  /** How often certificate files are looked at. */
  readonly certificateCheck?: number;
}

/** The actor; `address` is known once it has started. */
export class GrpcServer implements Actor {
  readonly name = "grpc server";
  readonly #options: GrpcServerOptions;
  readonly #logger: Logger;
  #server: RpcServer | undefined;
  #nextRefusalLog = 0;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    this.#logger = options.logger.with({ service: "gRPC/server" });
  }

  /** `host:port`, with the real port when port 0 was asked for. */
  get address(): string {
    return this.#server?.address ?? formatListenAddress(this.#options.address);
  }

  /** Throws: `unavailable`, one line that names the address and the flag. */
  async start(): Promise<void> {
    const { address, probe, metrics, tls, maxConnectionAge, maxReceiveBytes, flag } = this.#options;
    const { maxConnections } = this.#options;
    const health = new Health();
    const follow = () => health.set(probe.isReady);
    probe.onChange(follow);
    follow();
    const services = [...this.#options.services, healthService(health)];
    const { tracer, log } = this.#options;
    const counted = grpcServerMetrics(metrics, services);
    const observer: ServerObserver = {
      ...(log === undefined ? counted : grpcRequestLog(log, this.#logger, counted)),
      ...(tracer?.enabled === true ? grpcServerTrace(tracer) : {}),
      refused: (peer) => this.#refused(peer),
    };
    this.#server = await serveRpc({
      address: formatListenAddress(address),
      services,
      observer,
      addressFlag: flag ?? "--grpc-address",
      ...(tls === undefined ? {} : { tls: tls.current() }),
      ...(maxConnectionAge === undefined ? {} : { maxConnectionAgeMs: maxConnectionAge }),
      ...(maxReceiveBytes === undefined ? {} : { maxReceiveBytes }),
      ...(maxConnections === undefined ? {} : { maxConnections }),
    });
  }

  #refused(peer: string): void {
    const now = performance.now();
    if (now < this.#nextRefusalLog) return;
    this.#nextRefusalLog = now + REFUSAL_LOG;
    this.#logger.warn("too many connections, refusing further ones", { peer });
  }

  async run(signal: AbortSignal): Promise<void> {
    const server = this.#server;
    if (server === undefined) throw new MnemeError("internal", "the gRPC server was not started");
    this.#logger.info("listening for serving gRPC", { address: this.address });
    const { tls } = this.#options;
    const rotation = tls === undefined ? undefined : setInterval(
      () => this.#rotate(server, tls),
      this.#options.certificateCheck ?? CERTIFICATES,
    );
    if (!signal.aborted) {
      await new Promise<void>((resolve) =>
        signal.addEventListener("abort", () => resolve(), { once: true })
      );
    }
    clearInterval(rotation);
    this.#logger.info("internal server is shutting down");
    await server.stop(this.#options.gracePeriod);
    this.#logger.info("internal server is shutdown gracefully");
  }

  /** New connections get the certificates of now; open ones keep theirs. */
  #rotate(server: RpcServer, files: GrpcTlsFiles): void {
    try {
      const tls = files.changed();
      if (tls === undefined) return;
      server.setTls(tls);
      this.#logger.info("certificates were read again");
    } catch (error) {
      this.#logger.error("certificates cannot be used, keeping the old ones", { err: error });
    }
  }
}
