/**
 * What a system tells about itself: `/rules`, `/alerts`, `/targets`, `/metadata`,
 * `/query_exemplars`, `/status/tsdb` under `/api/v1`.
 */
import type { Context, Hono } from "hono";
import { errorMessage, formatFloatPlain, MnemeError } from "../base/mod.ts";
import { type Labels, labelsToRecord, MAX_TIME, MIN_TIME, quoteGo } from "../model/mod.ts";
import { parseExpr, parseSelector } from "../promql/mod.ts";
import {
  type AlertInstance,
  type CallContext,
  type Catalog,
  formatTimestamp,
  type PartialResponseStrategy,
  type Rule,
  RULE_TYPES,
  type RuleGroup,
  type RulesRequest,
  TARGET_STATES,
  type Told,
  type TsdbStatistics,
} from "../storeapi/mod.ts";
import { dataResponse } from "./envelope.ts";
import { metadataRange, type Params, readParams, timeParam } from "./params.ts";
import { route } from "./route.ts";
import type { Tenants } from "./tenant.ts";

/** Whether a failing endpoint is a warning or an error, for each API. */
export interface MetadataStrategies {
  readonly rules: PartialResponseStrategy;
  readonly targets: PartialResponseStrategy;
  readonly metadata: PartialResponseStrategy;
  readonly exemplars: PartialResponseStrategy;
  readonly status: PartialResponseStrategy;
}

/** What the routes need. */
export interface MetadataApiParts {
  readonly catalog: Catalog;
  readonly strategies: MetadataStrategies;
  readonly tenants: Tenants;
}

/** Adds the routes. */
export function addMetadataRoutes(app: Hono, parts: MetadataApiParts): void {
  const api = new MetadataApi(parts);
  route(app, "/rules", ["GET"], (c) => api.rules(c));
  route(app, "/alerts", ["GET"], (c) => api.alerts(c));
  route(app, "/targets", ["GET"], (c) => api.targets(c));
  route(app, "/metadata", ["GET"], (c) => api.metadata(c));
  route(app, "/query_exemplars", ["GET", "POST"], (c) => api.exemplars(c));
  route(app, "/status/tsdb", ["GET"], (c) => api.statistics(c));
}

class MetadataApi {
  readonly #parts: MetadataApiParts;
  constructor(parts: MetadataApiParts) {
    this.#parts = parts;
  }

  async rules(c: Context): Promise<Response> {
    const params = await readParams(c.req.raw);
    const type = params.get("type").toLowerCase() || "all";
    const known = RULE_TYPES.find((t) => t === type);
    if (known === undefined) {
      throw new MnemeError("bad_data", `invalid rules parameter type='${params.get("type")}'`);
    }
    const matchers = params.all("match[]");
    within("error retrieving rules: parser ParseMetricSelector: ", () => {
      for (const text of matchers) parseSelector(text, true);
    });
    const { value, warnings } = await this.#rules(c, {
      type: known,
      matchers,
      ruleNames: params.all("rule_name[]"),
      ruleGroups: params.all("rule_group[]"),
      files: params.all("file[]"),
    });
    return dataResponse({ groups: value.map(groupJson) }, warnings);
  }

  async alerts(c: Context): Promise<Response> {
    const { value, warnings } = await this.#rules(c, {
      type: "alert",
      matchers: [],
      ruleNames: [],
      ruleGroups: [],
      files: [],
    });
    const alerts = value.flatMap((group) => group.rules)
      .flatMap((rule) => rule.alert?.alerts ?? [])
      .map(alertJson);
    return dataResponse({ alerts: alerts.length === 0 ? null : alerts }, warnings);
  }

  #rules(
    c: Context,
    request: Omit<RulesRequest, "partialResponse">,
  ): Promise<Told<readonly RuleGroup[]>> {
    const { catalog, strategies } = this.#parts;
    return within(
      "error retrieving rules: ",
      () => catalog.rules({ ...request, partialResponse: strategies.rules }, this.#context(c)),
    );
  }

  async targets(c: Context): Promise<Response> {
    const { catalog, strategies } = this.#parts;
    const params = await readParams(c.req.raw);
    const text = params.get("state").toLowerCase() || "any";
    const state = TARGET_STATES.find((s) => s === text);
    if (state === undefined) {
      throw new MnemeError("bad_data", `invalid targets parameter state='${params.get("state")}'`);
    }
    const { value, warnings } = await within(
      "retrieving targets: ",
      () => catalog.targets({ state, partialResponse: strategies.targets }, this.#context(c)),
    );
    return dataResponse({
      activeTargets: value.activeTargets.map((target) => ({
        discoveredLabels: json(target.discoveredLabels),
        labels: json(target.labels),
        scrapePool: target.scrapePool,
        scrapeUrl: target.scrapeUrl,
        globalUrl: target.globalUrl,
        lastError: target.lastError,
        lastScrape: formatTimestamp(target.lastScrape),
        lastScrapeDuration: target.lastScrapeDuration,
        health: target.health,
      })),
      droppedTargets: value.droppedTargets.map((target) => ({
        discoveredLabels: json(target.discoveredLabels),
      })),
    }, warnings);
  }

  async metadata(c: Context): Promise<Response> {
    const { catalog, strategies } = this.#parts;
    const params = await readParams(c.req.raw);
    const text = params.get("limit");
    if (text !== "" && !/^[+-]?\d{1,9}$/.test(text)) {
      throw new MnemeError("bad_data", `invalid metric metadata limit='${text}'`);
    }
    const limit = text === "" ? -1 : Number(text);
    const request = { metric: params.get("metric"), limit, partialResponse: strategies.metadata };
    const { value, warnings } = limit === 0 ? { value: new Map(), warnings: [] } : await within(
      "retrieving metadata: ",
      () => catalog.metricMetadata(request, this.#context(c)),
    );
    return dataResponse(Object.assign(Object.create(null), Object.fromEntries(value)), warnings);
  }

  async exemplars(c: Context): Promise<Response> {
    const { catalog, strategies } = this.#parts;
    const params = await readParams(c.req.raw);
    const start = timeParam(params, "start", MIN_TIME);
    const end = timeParam(params, "end", MAX_TIME);
    if (end < start) {
      throw new MnemeError("bad_data", "end timestamp must not be before start time");
    }
    const query = params.get("query");
    within("retrieving exemplars: proxy Exemplars: ", () => parseExpr(query));
    const request = { query, start, end, partialResponse: strategies.exemplars };
    const { value, warnings } = await within(
      "retrieving exemplars: ",
      () => catalog.exemplars(request, this.#context(c)),
    );
    return dataResponse(
      value.map((series) => ({
        seriesLabels: json(series.seriesLabels),
        exemplars: series.exemplars.map((e) => ({
          labels: json(e.labels),
          value: formatFloatPlain(e.value),
          timestamp: e.time / 1000,
        })),
      })),
      warnings,
    );
  }

  async statistics(c: Context): Promise<Response> {
    const { catalog, strategies, tenants } = this.#parts;
    const params = await readParams(c.req.raw);
    if (params.malformed !== undefined) {
      throw new MnemeError("internal", `parse form: invalid pair ${quoteGo(params.malformed)}`);
    }
    const { value, warnings } = await within(
      "retrieving TSDB statistics: ",
      () =>
        catalog.tsdbStatistics({
          // With enforced tenancy a tenant's own statistics only.
          tenant: tenants.enforced ? tenants.of(c) : "",
          limit: statisticsLimit(params),
          partialResponse: strategies.status,
          matchers: params.all("match[]").flatMap((text) => parseSelector(text, true)),
          // With times, ours: the blocks of buckets in place of heads.
          ...(params.get("start") === "" && params.get("end") === "" ? {} : metadataRange(params, {
            start: 0,
            end: MAX_TIME,
          })),
        }, this.#context(c)),
    );
    return dataResponse(
      [...value].map(([tenant, s]) => ({ tenant, ...statisticsJson(s) })),
      warnings,
    );
  }

  #context(c: Context): CallContext {
    return { signal: c.req.raw.signal, tenant: this.#parts.tenants.of(c) };
  }
}

/** Failures of these APIs are internal errors that name the call. */
function within<T>(prefix: string, work: () => T): T {
  const fail = (error: unknown): never => {
    if (error instanceof MnemeError && error.kind === "canceled") throw error;
    throw new MnemeError("internal", `${prefix}${errorMessage(error)}`, { cause: error });
  };
  try {
    const result = work();
    return result instanceof Promise ? result.catch(fail) as T : result;
  } catch (error) {
    return fail(error);
  }
}

function statisticsLimit(params: Params): number {
  const text = params.get("limit");
  if (text !== "" && !/^[+-]?\d{1,9}$/.test(text)) {
    throw new MnemeError("bad_data", `invalid limit '${text}'`);
  }
  return Math.max(0, Number(text));
}

function json(labels: Labels): Record<string, string> {
  return labelsToRecord(labels);
}

function groupJson(group: RuleGroup): unknown {
  return {
    name: group.name,
    file: group.file,
    rules: group.rules.map(ruleJson),
    interval: group.interval,
    evaluationTime: group.evaluationTime,
    lastEvaluation: formatTimestamp(group.lastEvaluation),
    limit: group.limit,
    partialResponseStrategy: group.partialResponse.toUpperCase(),
  };
}

function ruleJson(rule: Rule): unknown {
  const { alert, recording } = rule;
  const shared = (r: NonNullable<typeof alert | typeof recording>) => ({
    labels: json(r.labels),
    health: r.health,
    ...(r.lastError === "" ? {} : { lastError: r.lastError }),
    evaluationTime: r.evaluationTime,
    lastEvaluation: formatTimestamp(r.lastEvaluation),
  });
  if (alert === undefined) {
    const r = recording!;
    return { name: r.name, query: r.query, ...shared(r), type: "recording" };
  }
  return {
    state: alert.state,
    name: alert.name,
    query: alert.query,
    duration: alert.duration,
    keepFiringFor: alert.keepFiringFor,
    annotations: json(alert.annotations),
    alerts: alert.alerts.map(alertJson),
    ...shared(alert),
    type: "alerting",
  };
}

function alertJson(alert: AlertInstance): unknown {
  return {
    labels: json(alert.labels),
    annotations: json(alert.annotations),
    state: alert.state,
    ...(alert.activeAt === undefined ? {} : { activeAt: formatTimestamp(alert.activeAt) }),
    value: alert.value,
    partialResponseStrategy: alert.partialResponse.toUpperCase(),
  };
}

function statisticsJson(s: TsdbStatistics): Record<string, unknown> {
  return {
    headStats: s.head,
    seriesCountByMetricName: s.seriesCountByMetricName,
    labelValueCountByLabelName: s.labelValueCountByLabelName,
    memoryInBytesByLabelName: s.memoryInBytesByLabelName,
    seriesCountByLabelValuePair: s.seriesCountByLabelValuePair,
  };
}
