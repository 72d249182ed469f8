/**
 * Keeps in touch with a Prometheus: first contact with retries, then a heartbeat each interval.
 *
 * Between heartbeats a light request tells within seconds that Prometheus is gone, and while it is
 * gone heartbeats come at that pace, so that it is back as soon as it answers.
 */
import { type Clock, errorMessage, MnemeError } from "../base/mod.ts";
import { formatLabels } from "../model/mod.ts";
import type { Gauge, Metrics } from "../telemetry/mod.ts";
import {
  NO_EXTERNAL_LABELS,
  type PrometheusState,
  type ShippingCheck,
} from "./prometheus_state.ts";

/** Pause between attempts of the first contact, ms. */
const RETRY = 2_000;
/** Longest time without looking whether Prometheus still answers, ms. */
const LOOK = 5_000;

/** Circumstances of a contact. Times in ms. */
export interface PrometheusContactOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: (
    level: "info" | "warn",
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ) => void;
  readonly interval: number;
  readonly timeout: number;
  /** Blocks are shipped: Prometheus' flags are checked first. */
  readonly shipping?: ShippingCheck;
  readonly onUp: () => void;
  readonly onDown: (reason: string) => void;
}

/** Runs the heartbeat; `first` resolves when Prometheus has answered once. */
export class PrometheusContact {
  readonly first: Promise<void>;
  readonly #state: PrometheusState;
  readonly #options: PrometheusContactOptions;
  readonly #up: Gauge;
  readonly #last: Gauge;
  #begin!: () => void;

  constructor(state: PrometheusState, options: PrometheusContactOptions) {
    this.#state = state;
    this.#options = options;
    this.first = new Promise((resolve) => this.#begin = resolve);
    this.#up = options.metrics.gauge(
      "thanos_sidecar_prometheus_up",
      "Boolean indicator whether the sidecar can reach its Prometheus peer.",
    );
    this.#last = options.metrics.gauge(
      "thanos_sidecar_last_heartbeat_success_time_seconds",
      "Timestamp of the last successful heartbeat in seconds.",
    );
  }

  /** Throws: bad_data when Prometheus has no external labels at the start. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, interval, log, shipping } = this.#options;
    if (shipping !== undefined) {
      await this.#until(
        signal,
        interval,
        "failed to validate prometheus flags",
        async (limited) => {
          for (const text of await this.#state.checkFlags(shipping, limited)) log("warn", text);
        },
      );
    }
    await this.#until(
      signal,
      RETRY,
      "failed to get Prometheus version",
      (limited) => this.#state.readVersion(limited),
    );
    await this.#until(
      signal,
      RETRY,
      "failed to fetch initial external labels",
      (limited) => this.#state.heartbeat(limited),
    );
    if (signal.aborted) return;
    if (this.#state.externalLabels.length === 0) {
      throw new MnemeError("bad_data", NO_EXTERNAL_LABELS);
    }
    log("info", "successfully loaded prometheus external labels", {
      external_labels: formatLabels(this.#state.externalLabels),
    });
    this.#alive();
    this.#begin();
    while (!signal.aborted) {
      await clock.sleep(Math.min(interval, LOOK), signal).catch(() => undefined);
      if (!signal.aborted) await this.#beat(signal);
    }
  }

  #alive(): void {
    this.#up.set(1);
    this.#last.set(this.#state.lastHeartbeat / 1000);
    this.#options.onUp();
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const { clock, interval, timeout } = this.#options;
    const limited = this.#limited(signal);
    try {
      const due = clock.now() - this.#state.lastHeartbeat >= interval;
      if (due || !this.#state.up) {
        await this.#state.heartbeat(limited);
        this.#alive();
      } else await this.#state.look(limited);
    } catch (error) {
      if (signal.aborted) return;
      const reason = limited.aborted
        ? `Prometheus did not answer within ${timeout} ms`
        : errorMessage(error);
      this.#up.set(0);
      this.#options.onDown(reason);
      this.#options.log("warn", "heartbeat failed", { err: reason });
    }
  }

  async #until(
    signal: AbortSignal,
    pause: number,
    what: string,
    work: (limited: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { clock, log, onDown, timeout } = this.#options;
    while (!signal.aborted) {
      const limited = this.#limited(signal);
      let wait = pause;
      try {
        return await work(limited);
      } catch (error) {
        if (signal.aborted) return;
        const err = limited.aborted
          ? `Prometheus did not answer within ${timeout} ms`
          : errorMessage(error);
        onDown(err);
        log("warn", `${what}. Is Prometheus running? Retrying`, { err });
        if (!(error instanceof MnemeError) || error.kind !== "bad_data") {
          wait = Math.min(pause, RETRY);
        }
      }
      await clock.sleep(wait, signal).catch(() => undefined);
    }
  }

  #limited(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeout)]);
  }
}
