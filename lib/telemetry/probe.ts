/** Whether a process is alive and whether it can serve: read by HTTP probes and gRPC health. */
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";

/** Both states of one component, exported as `thanos_status{component,check}`. */
export class Probe {
  #ready: string | undefined = "starting";
  #healthy: string | undefined = "starting";
  readonly #listeners: (() => void)[] = [];
  readonly #set: (check: "ready" | "healthy", value: number) => void;
  readonly #logger: Logger;

  constructor(
    component: string,
    env: { readonly metrics: Metrics; readonly logger: Logger },
  ) {
    const checks = ["ready", "healthy"] as const;
    const status = env.metrics.gaugeFamily({
      name: "thanos_status",
      help: "Whether the component is ready and healthy (1) or not (0).",
      labels: ["component", "check"],
      known: checks.map((check) => ({ component, check })),
    });
    this.#set = (check, value) => status.with({ component, check }).set(value);
    this.#logger = env.logger;
  }

  get isReady(): boolean {
    return this.#ready === undefined;
  }
  get isHealthy(): boolean {
    return this.#healthy === undefined;
  }
  /** Why the component does not serve, undefined when it does. */
  get notReadyReason(): string | undefined {
    return this.#ready;
  }

  /** The component answers requests. */
  ready(): void {
    if (this.#ready === undefined) return;
    this.#ready = undefined;
    this.#changed("ready", 1, { status: "ready" });
  }
  /** The component does not answer requests (any more), and why. */
  notReady(reason: string): void {
    const was = this.#ready;
    this.#ready = reason;
    if (was === undefined) this.#changed("ready", 0, { status: "not-ready", reason });
  }
  healthy(): void {
    if (this.#healthy === undefined) return;
    this.#healthy = undefined;
    this.#changed("healthy", 1, { status: "healthy" });
  }
  notHealthy(reason: string): void {
    const was = this.#healthy;
    this.#healthy = reason;
    if (was === undefined) this.#changed("healthy", 0, { status: "not-healthy", reason });
  }

  /** Calls `listener` after every change. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #changed(check: "ready" | "healthy", value: number, fields: Record<string, string>): void {
    this.#set(check, value);
    this.#logger.info("changing probe status", fields);
    for (const listener of this.#listeners) listener();
  }
}
