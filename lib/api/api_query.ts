/**
 * The query API: `/query`, `/query_range`, `/query_explain`, `/query_range_explain`, `/format_query`
 * and `/parse_query` under `/api/v1`, as Prometheus and Thanos answer them.
 *
 * Errors are thrown; app.ts makes the JSON envelope of them.
 */
import type { Context, Hono } from "hono";
import { MnemeError } from "../base/mod.ts";
import { type Expr, exprToJson, prettyExpr } from "../promql/mod.ts";
import type {
  ActiveQueries,
  EndpointStatus,
  EvaluationTimes,
  Querier,
  QueryAnswer,
  QueryRunner,
} from "../query/mod.ts";
import { analysisJson, statisticsHeaders } from "./analysis.ts";
import { addRunningRoutes } from "./api_running.ts";
import { addSeriesRoutes } from "./api_series.ts";
import { addStoresRoute } from "./api_stores.ts";
import { encodeResult } from "./encode_result.ts";
import { dataResponse } from "./envelope.ts";
import { type Params, rangeParams, readParams, timeParam } from "./params.ts";
import { isOn, type QueryApiSettings, QuerySettings } from "./query_settings.ts";
import { route } from "./route.ts";
import type { Tenants } from "./tenant.ts";

/** What the query API is made of. */
export interface QueryApiParts {
  readonly runner: QueryRunner;
  readonly querier: Querier;
  readonly active: ActiveQueries;
  readonly tenants: Tenants;
  readonly endpoints: () => readonly EndpointStatus[];
  readonly settings: QueryApiSettings;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Adds the routes of everything a querier answers to an application. */
export function addQueryRoutes(app: Hono, parts: QueryApiParts): void {
  const settings = new QuerySettings(parts.settings, parts.tenants);
  const api = new QueryApi(parts, settings);
  const both = ["GET", "POST"];
  route(app, "/query", both, (c) => api.query(c, false));
  route(app, "/query_range", both, (c) => api.query(c, true));
  route(app, "/query_explain", both, (c) => api.explain(c, false));
  route(app, "/query_range_explain", both, (c) => api.explain(c, true));
  route(app, "/format_query", both, (c) => api.format(c));
  route(app, "/parse_query", both, (c) => api.parse(c));
  addSeriesRoutes(app, { querier: parts.querier, settings, now: parts.now });
  addStoresRoute(app, parts.endpoints);
  addRunningRoutes(app, parts.active, parts.tenants);
}

class QueryApi {
  readonly #parts: QueryApiParts;
  readonly #settings: QuerySettings;
  constructor(parts: QueryApiParts, settings: QuerySettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** The times of a request, and the resolution that `auto` stands for. */
  #times(params: Params, ranged: boolean): { times: EvaluationTimes; automatic: number } {
    if (ranged) {
      const times = rangeParams(params, this.#settings.defaultStep);
      return { times, automatic: times.step / 5 };
    }
    const time = timeParam(params, "time", this.#parts.now());
    return {
      times: { start: time, end: time, step: 0 },
      automatic: this.#settings.instantDefaultResolution,
    };
  }

  async query(c: Context, ranged: boolean): Promise<Response> {
    const { runner, tenants } = this.#parts;
    const settings = this.#settings;
    const params = await readParams(c.req.raw);
    const { times, automatic } = this.#times(params, ranged);
    const timeout = settings.timeout(params);
    const common = settings.options(c, params);
    const maxResolution = settings.resolution(params, automatic);
    const engine = settings.engine(params);
    const answer = await runner.run({
      lookbackDelta: settings.lookback(params, maxResolution),
      options: settings.queryOptions(params, common, maxResolution),
      query: tenants.query(runner.engine, params.get("query"), common.tenant),
      times,
      timeout,
      engine,
      analyze: isOn(params.get("analyze")) && engine === "thanos",
      signal: c.req.raw.signal,
    });
    return respond(answer, params);
  }

  async explain(c: Context, ranged: boolean): Promise<Response> {
    const { runner: { engine }, tenants } = this.#parts;
    const params = await readParams(c.req.raw);
    const { times, automatic } = this.#times(params, ranged);
    if (this.#settings.engine(params) !== "thanos") {
      throw new MnemeError("bad_data", "engine type must be 'thanos'");
    }
    const lookback = this.#settings.lookback(
      params,
      this.#settings.resolution(params, automatic),
    );
    const query = tenants.enforced
      ? tenants.query(engine, params.get("query"), tenants.of(c))
      : params.get("query");
    return dataResponse(
      ranged
        ? engine.explainRange(query, times.start, times.end, times.step, lookback)
        : engine.explainInstant(query, times.start, lookback),
    );
  }

  /** The query over as many lines as it needs. */
  async format(c: Context): Promise<Response> {
    return dataResponse(prettyExpr(await this.#parsed(c)));
  }

  /** The query's syntax tree. */
  async parse(c: Context): Promise<Response> {
    return dataResponse(exprToJson(await this.#parsed(c)));
  }

  /** Prometheus has these two paths and Thanos has not, so errors have Prometheus' form. */
  async #parsed(c: Context): Promise<Expr> {
    const query = (await readParams(c.req.raw)).get("query");
    try {
      return this.#parts.runner.engine.parse(query);
    } catch (error) {
      if (!(error instanceof MnemeError)) throw error;
      throw new MnemeError("bad_data", `invalid parameter "query": ${error.message}`, {
        cause: error,
      });
    }
  }
}

function respond(answer: QueryAnswer, params: Params): Response {
  const { result, recorder } = answer;
  const { entries, warnings: all, infos } = result.annotations;
  // Storage messages have no prefix; the engine's own are told without their place, in one list.
  const storage = all.filter((text) => !text.startsWith("PromQL "));
  const storageInfos = infos.filter((text) => !text.startsWith("PromQL "))
    .map((text) => `PromQL info: ${text}`);
  const own = entries.map((a) => `PromQL ${a.kind}: ${a.text}`);
  const warnings = [...new Set([...storage, ...storageInfos, ...own])];
  let analysis = "{}";
  if (isOn(params.get("analyze"))) {
    analysis = analysisJson(result.analysis, recorder);
    if (result.analysis === undefined) {
      warnings.push("Query not analyzable; change engine to 'thanos'.");
    }
  }
  const pieces = encodeResult(result.value, {
    ...(params.get("stats") === "" ? {} : { stats: statsJson(answer) }),
    analysis,
    warnings,
  });
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      const { value, done } = pieces.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  }, { highWaterMark: 2 });
  return new Response(body, {
    headers: {
      "content-type": "application/json",
      // A partial answer must not be kept by anyone.
      ...(storage.length > 0 ? { "cache-control": "no-store" } : {}),
      ...statisticsHeaders(answer),
    },
  });
}

/** `stats` in Prometheus' keys. */
function statsJson({ result: { stats }, queueTime }: QueryAnswer): string {
  return JSON.stringify({
    timings: {
      evalTotalTime: stats.evaluationTime,
      resultSortTime: 0,
      queryPreparationTime: stats.preparationTime,
      innerEvalTime: stats.evaluationTime,
      execQueueTime: queueTime,
      execTotalTime: stats.totalTime + queueTime,
    },
    samples: { totalQueryableSamples: stats.totalSamples, peakSamples: stats.peakSamples },
  });
}
