/**
 * What a sidecar knows of its Prometheus: external labels, the time its data begins, its version,
 * and whether it answers. Refreshed by heartbeats; the last known values stay while it is down.
 */
import { type Clock, errorMessage, MnemeError, parseDuration } from "../base/mod.ts";
import { parseYaml, type YamlNode } from "../config/mod.ts";
import { EMPTY_LABELS, type Labels, labelsFromPairs, MIN_TIME } from "../model/mod.ts";
import { type PrometheusClient, PrometheusError } from "./prometheus_client.ts";

/** Text that the sidecar refuses to start with. */
export const NO_EXTERNAL_LABELS = "no external labels configured on Prometheus server, " +
  "uniquely identifying external labels must be configured; " +
  "see https://thanos.io/tip/thanos/storage.md#external-labels for details.";

/** How the shipper is set up, for the checks of Prometheus' flags. */
export interface ShippingCheck {
  readonly tsdbPath: string;
  readonly metaFileName: string;
  readonly ignoreUnequalBlockSize: boolean;
}

/** The state; `heartbeat()` is one refresh. */
export class PrometheusState {
  readonly #client: PrometheusClient;
  readonly #clock: Clock;
  #labels: Labels = EMPTY_LABELS;
  #lowestTime = MIN_TIME;
  #version = "0";
  #up = false;
  #lastHeartbeat = 0;

  constructor(client: PrometheusClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  get externalLabels(): Labels {
    return this.#labels;
  }
  /** Lowest time in Prometheus' data, ms; MIN_TIME while it has none. */
  get lowestTime(): number {
    return this.#lowestTime;
  }
  get version(): string {
    return this.#version;
  }
  /** The last heartbeat succeeded. */
  get up(): boolean {
    return this.#up;
  }
  /** Time of the last successful heartbeat, ms; 0 before the first. */
  get lastHeartbeat(): number {
    return this.#lastHeartbeat;
  }

  /** Reads the version; a Prometheus that does not tell it is "0". */
  async readVersion(signal: AbortSignal): Promise<void> {
    try {
      const data = await this.#client.get("/api/v1/status/buildinfo", undefined, signal);
      const version = (data as { version?: unknown } | undefined)?.version;
      this.#version = typeof version === "string" ? version : "0";
    } catch (error) {
      if (!(error instanceof PrometheusError) || (error.status !== 404 && error.status !== 405)) {
        throw error;
      }
      this.#version = "0";
    }
  }

  /** Asks for as little as possible; any answer but "unavailable" tells that Prometheus is there. */
  async look(signal: AbortSignal): Promise<void> {
    try {
      await this.#client.get("/api/v1/status/buildinfo", undefined, signal);
    } catch (error) {
      if (error instanceof PrometheusError && error.status !== 503) return;
      this.#up = false;
      throw error;
    }
  }

  /** Refreshes times and labels; on failure the old ones stay and `up` becomes false. */
  async heartbeat(signal: AbortSignal): Promise<void> {
    try {
      this.#lowestTime = parseLowestTime(await this.#client.text("/metrics", signal));
      const data = await this.#client.get("/api/v1/status/config", undefined, signal);
      const yaml = (data as { yaml?: unknown } | undefined)?.yaml;
      if (typeof yaml !== "string") {
        throw new MnemeError("internal", "Prometheus told no configuration");
      }
      this.#labels = parseExternalLabels(yaml);
      this.#up = true;
      this.#lastHeartbeat = this.#clock.now();
    } catch (error) {
      this.#up = false;
      throw error;
    }
  }

  /**
   * Checks that Prometheus leaves blocks alone until they are shipped.
   *
   * Returns warnings; throws what forbids shipping. A Prometheus without the flags API passes.
   */
  async checkFlags(shipping: ShippingCheck, signal: AbortSignal): Promise<string[]> {
    let data: unknown;
    try {
      data = await this.#client.get("/api/v1/status/flags", undefined, signal);
    } catch (error) {
      if (error instanceof PrometheusError && error.status === 404) {
        return ["Prometheus does not tell its flags; skipping their validation"];
      }
      throw error;
    }
    const flags = (data ?? {}) as Record<string, string>;
    const min = flags["storage.tsdb.min-block-duration"] ?? "2h";
    const max = flags["storage.tsdb.max-block-duration"] ?? "2h";
    const delayFile = flags["storage.tsdb.delay-compact-file.path"] ?? "";
    const warnings: string[] = [];
    if (delayFile !== "") {
      const wanted = cleanPath(`${shipping.tsdbPath}/${shipping.metaFileName}`);
      if (cleanPath(delayFile) !== wanted) {
        throw new MnemeError(
          "bad_data",
          `Prometheus waits for '${delayFile}' before it compacts, but the shipper writes ` +
            `'${wanted}': point --storage.tsdb.delay-compact-file.path at the shipper's file`,
        );
      }
    } else if (min !== max) {
      const text =
        `found that TSDB Max time is ${max} and Min time is ${min}. Compaction needs to ` +
        "be disabled (storage.tsdb.min-block-duration = storage.tsdb.max-block-duration)";
      if (!shipping.ignoreUnequalBlockSize) throw new MnemeError("bad_data", text);
      warnings.push(`${text}; continuing because of --shipper.ignore-unequal-block-size`);
    }
    if (parseDuration(min) !== 2 * 3_600_000) {
      warnings.push(`found that TSDB block time is ${min}; only 2h is recommended`);
    }
    return warnings;
  }
}

/** The gauge `prometheus_tsdb_lowest_timestamp_seconds` of a metrics page, in ms. */
export function parseLowestTime(metrics: string): number {
  const NAME = "prometheus_tsdb_lowest_timestamp_seconds";
  let isGauge = false;
  for (const line of metrics.split("\n")) {
    if (line.startsWith(`# TYPE ${NAME} gauge`)) isGauge = true;
    else if (line.startsWith(`${NAME} `)) {
      const seconds = Number(line.slice(NAME.length + 1).trim().split(" ")[0]);
      if (!isGauge) return 0;
      const ms = seconds * 1000;
      // The largest int64 stands for an empty database.
      return ms >= 9.2e18 / 1000 || Number.isNaN(ms) ? MIN_TIME : Math.trunc(ms);
    }
  }
  throw new MnemeError("not_found", `metric ${NAME} is missing on Prometheus' metrics page`);
}

/** `global.external_labels` of a Prometheus configuration. */
export function parseExternalLabels(yaml: string): Labels {
  let root: YamlNode | undefined;
  try {
    root = parseYaml(yaml, { name: "Prometheus' configuration" });
  } catch (error) {
    throw new MnemeError("bad_data", `parse Prometheus config: ${errorMessage(error)}`);
  }
  const global = root?.kind === "map" ? root.entries.get("global") : undefined;
  const labels = global?.kind === "map" ? global.entries.get("external_labels") : undefined;
  if (labels?.kind !== "map") return EMPTY_LABELS;
  const pairs: [string, string][] = [];
  for (const [name, value] of labels.entries) {
    if (value.kind === "scalar") pairs.push([name, value.text]);
  }
  return labelsFromPairs(pairs);
}

function cleanPath(path: string): string {
  return path.replace(/\/\.(?=\/|$)/g, "").replace(/\/{2,}/g, "/").replace(/^\.\//, "").replace(
    /\/$/,
    "",
  );
}
