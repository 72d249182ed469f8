/**
 * Rules, targets, metadata, exemplars and statistics of a Prometheus, with its external labels: what
 * a sidecar tells beside series.
 */
import { MnemeError } from "../base/mod.ts";
import {
  EMPTY_LABELS,
  type Labels,
  labelsFromPairs,
  labelValue,
  mergeLabels,
} from "../model/mod.ts";
import {
  type ActiveTarget,
  ALERT_STATES,
  type AlertState,
  type CallContext,
  type Catalog,
  type ExemplarData,
  type ExemplarsRequest,
  type MetricMeta,
  type MetricMetadata,
  type MetricMetadataRequest,
  parseTimestamp,
  type Rule,
  type RuleGroup,
  type RulesRequest,
  type Statistic,
  TARGET_HEALTHS,
  type TargetDiscovery,
  type TargetsRequest,
  type Told,
  type TsdbStatistics,
  type TsdbStatisticsRequest,
} from "../storeapi/mod.ts";
import { formatSeconds, type PrometheusClient } from "./prometheus_client.ts";

/** Parts of a catalog over a Prometheus. */
export interface PrometheusCatalogOptions {
  readonly client: PrometheusClient;
  /** External labels of the moment. */
  readonly externalLabels: () => Labels;
  /** Statistics are refused while Prometheus is away. */
  readonly isReady: () => boolean;
}

/** The catalog of one Prometheus. */
export class PrometheusCatalog implements Catalog {
  readonly #options: PrometheusCatalogOptions;
  constructor(options: PrometheusCatalogOptions) {
    this.#options = options;
  }

  async #get(
    path: string,
    params: Readonly<Record<string, string>>,
    context: CallContext,
  ): Promise<Json> {
    const { client } = this.#options;
    return new Json(await client.get(path, new URLSearchParams(params), context.signal));
  }

  async rules(request: RulesRequest, context: CallContext): Promise<Told<readonly RuleGroup[]>> {
    const data = await this.#get(
      "/api/v1/rules",
      request.type === "all" ? {} : { type: request.type },
      context,
    );
    const external = this.#options.externalLabels();
    return told(
      data.list("groups").map((group): RuleGroup => ({
        name: group.text("name"),
        file: group.text("file"),
        rules: group.list("rules").map((rule) => ruleOf(rule, external)),
        interval: group.number("interval"),
        evaluationTime: group.number("evaluationTime"),
        lastEvaluation: parseTimestamp(group.text("lastEvaluation")),
        partialResponse: "abort",
        limit: group.number("limit"),
      })),
    );
  }

  async targets(request: TargetsRequest, context: CallContext): Promise<Told<TargetDiscovery>> {
    const data = await this.#get("/api/v1/targets", { state: request.state }, context);
    const external = this.#options.externalLabels();
    const discovered = (target: Json) => mergeLabels(target.labels("discoveredLabels"), external);
    return told({
      activeTargets: data.list("activeTargets").map((target): ActiveTarget => ({
        discoveredLabels: discovered(target),
        labels: mergeLabels(target.labels("labels"), external),
        scrapePool: target.text("scrapePool"),
        scrapeUrl: target.text("scrapeUrl"),
        globalUrl: target.text("globalUrl"),
        lastError: target.text("lastError"),
        lastScrape: parseTimestamp(target.text("lastScrape")),
        lastScrapeDuration: target.number("lastScrapeDuration"),
        health: oneOf(TARGET_HEALTHS, target.text("health"), "unknown"),
      })),
      droppedTargets: data.list("droppedTargets").map((target) => ({
        discoveredLabels: discovered(target),
      })),
    });
  }

  async metricMetadata(
    request: MetricMetadataRequest,
    context: CallContext,
  ): Promise<Told<MetricMetadata>> {
    const data = await this.#get("/api/v1/metadata", {
      ...(request.metric === "" ? {} : { metric: request.metric }),
      ...(request.limit < 0 ? {} : { limit: String(request.limit) }),
    }, context);
    const all = new Map<string, readonly MetricMeta[]>();
    for (const [name, metas] of data.entries()) {
      all.set(
        name,
        metas.items().map((m) => ({
          type: m.text("type"),
          help: m.text("help"),
          unit: m.text("unit"),
        })),
      );
    }
    return told(all);
  }

  async exemplars(
    request: ExemplarsRequest,
    context: CallContext,
  ): Promise<Told<readonly ExemplarData[]>> {
    const data = await this.#get("/api/v1/query_exemplars", {
      query: request.query,
      start: formatSeconds(request.start),
      end: formatSeconds(request.end),
    }, context);
    const external = this.#options.externalLabels();
    return told(
      data.items().map((series): ExemplarData => ({
        seriesLabels: mergeLabels(series.labels("seriesLabels"), external),
        exemplars: series.list("exemplars").map((e) => ({
          labels: e.labels("labels"),
          value: e.number("value"),
          time: Math.round(e.number("timestamp") * 1000),
        })),
      })),
    );
  }

  async tsdbStatistics(
    request: TsdbStatisticsRequest,
    context: CallContext,
  ): Promise<Told<ReadonlyMap<string, TsdbStatistics>>> {
    if (!this.#options.isReady()) throw new MnemeError("unavailable", "Not ready");
    const external = this.#options.externalLabels();
    if (!request.matchers.every((m) => m.matches(labelValue(external, m.name)))) {
      return told(new Map());
    }
    const data = await this.#get(
      "/api/v1/status/tsdb",
      request.limit > 0 ? { limit: String(request.limit) } : {},
      context,
    );
    const head = data.child("headStats");
    const list = (name: string): Statistic[] =>
      data.list(name).map((s) => ({ name: s.text("name"), value: s.number("value") }));
    const statistics: TsdbStatistics = {
      head: {
        numSeries: head.number("numSeries"),
        numLabelPairs: head.number("numLabelPairs"),
        chunkCount: head.number("chunkCount"),
        minTime: head.number("minTime"),
        maxTime: head.number("maxTime"),
      },
      seriesCountByMetricName: list("seriesCountByMetricName"),
      labelValueCountByLabelName: list("labelValueCountByLabelName"),
      memoryInBytesByLabelName: list("memoryInBytesByLabelName"),
      seriesCountByLabelValuePair: list("seriesCountByLabelValuePair"),
    };
    return told(new Map([["", statistics]]));
  }
}

function told<T>(value: T): Told<T> {
  return { value, warnings: [] };
}

function ruleOf(rule: Json, external: Labels): Rule {
  const shared = {
    name: rule.text("name"),
    query: rule.text("query"),
    labels: mergeLabels(rule.labels("labels"), external),
    health: rule.text("health"),
    lastError: rule.text("lastError"),
    evaluationTime: rule.number("evaluationTime"),
    lastEvaluation: parseTimestamp(rule.text("lastEvaluation")),
  };
  if (rule.text("type") === "recording") return { recording: shared, alert: undefined };
  return {
    recording: undefined,
    alert: {
      ...shared,
      state: stateOf(rule),
      duration: rule.number("duration"),
      keepFiringFor: rule.number("keepFiringFor"),
      annotations: rule.labels("annotations"),
      alerts: rule.list("alerts").map((alert) => ({
        labels: alert.labels("labels"),
        annotations: alert.labels("annotations"),
        state: stateOf(alert),
        activeAt: parseTimestamp(alert.text("activeAt")),
        value: alert.text("value"),
        partialResponse: "abort" as const,
      })),
    },
  };
}

function stateOf(json: Json): AlertState {
  return oneOf(ALERT_STATES, json.text("state"), "unknown");
}

function oneOf<const V extends string>(values: readonly V[], text: string, otherwise: V): V {
  return values.find((value) => value === text) ?? otherwise;
}

/** A value of a JSON answer, read without trust: what is missing or of another type is empty. */
class Json {
  readonly #value: unknown;
  constructor(value: unknown) {
    this.#value = value;
  }
  child(name: string): Json {
    const value = this.#value;
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) {
      return new Json(undefined);
    }
    return new Json((value as Record<string, unknown>)[name]);
  }
  items(): Json[] {
    return Array.isArray(this.#value) ? this.#value.map((item) => new Json(item)) : [];
  }
  entries(): [string, Json][] {
    const value = this.#value;
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
    return Object.entries(value).map(([name, item]) => [name, new Json(item)]);
  }
  list(name: string): Json[] {
    return this.child(name).items();
  }
  text(name: string): string {
    const value = this.child(name).#value;
    return typeof value === "string" ? value : "";
  }
  /** Prometheus writes some numbers as strings. */
  number(name: string): number {
    const value = this.child(name).#value;
    if (typeof value === "number") return value;
    if (typeof value !== "string") return 0;
    return value === "+Inf" ? Infinity : value === "-Inf" ? -Infinity : Number(value);
  }
  labels(name: string): Labels {
    const pairs: [string, string][] = [];
    for (const [label, value] of this.child(name).entries()) {
      if (typeof value.#value === "string") pairs.push([label, value.#value]);
    }
    return pairs.length === 0 ? EMPTY_LABELS : labelsFromPairs(pairs);
  }
}
