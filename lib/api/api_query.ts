/**
 * The query API: `/query`, `/query_range`, `/series`, `/labels`, `/label/<name>/values`, `/stores`
 * under `/api/v1`, as Prometheus and Thanos answer them.
 *
 * Errors are thrown; app.ts makes the JSON envelope of them.
 */
import type { Context, Hono } from "hono";
import { decodeUtf8Strict, MnemeError } from "../base/mod.ts";
import {
  type Labels,
  labelsToRecord,
  type Matcher,
  MAX_TIME,
  MIN_TIME,
  quoteGo,
} from "../model/mod.ts";
import {
  type Engine,
  type Expr,
  exprToJson,
  parseSelector,
  prettyExpr,
  type QueryResult,
} from "../promql/mod.ts";
import {
  dynamicLookback,
  type EndpointStatus,
  type MetadataRequest,
  type Querier,
  type QueryOptions,
  type RequestOptions,
} from "../query/mod.ts";
import type { ShardInfo } from "../storeapi/mod.ts";
import { encodeResult, envelopeJson } from "./encode_result.ts";
import { route } from "./route.ts";
import {
  boolParam,
  durationParam,
  limitParam,
  metadataRange,
  type Params,
  rangeParams,
  readParams,
  timeParam,
} from "./params.ts";

/** Defaults that flags set. Times in ms. */
export interface QueryApiSettings {
  readonly replicaLabels: readonly string[];
  readonly partialResponse: boolean;
  readonly autoDownsampling: boolean;
  readonly instantDefaultResolution: number;
  readonly defaultStep: number;
  /** 0 = not set. */
  readonly lookbackDelta: number;
  readonly dynamicLookback: boolean;
  readonly timeout: number;
  /** Range of label and series questions without times; 0 = all time. */
  readonly metadataRange: number;
  readonly tenantHeader: string;
  readonly defaultTenant: string;
  /** `prometheus` or `thanos`: names of one and the same engine here. */
  readonly defaultEngine: string;
}

/** What the query API is made of. */
export interface QueryApiParts {
  readonly engine: Engine;
  readonly querier: Querier;
  readonly endpoints: () => readonly EndpointStatus[];
  readonly settings: QueryApiSettings;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Lets a limited number of queries run; returns the release. */
  readonly enter: (signal: AbortSignal) => Promise<() => void>;
}

/** Thanos' sentinels for "no bound" on the wire, as JSON numbers. */
const INT64_MIN = "-9223372036854775808";
const INT64_MAX = "9223372036854775807";
const ENGINES = new Set(["prometheus", "thanos"]);

/** Adds the routes to an application whose base path is the route prefix. */
export function addQueryRoutes(app: Hono, parts: QueryApiParts): void {
  const api = new QueryApi(parts);
  const both = ["GET", "POST"];
  route(app, "/query", both, (c) => api.instant(c));
  route(app, "/query_range", both, (c) => api.range(c));
  route(app, "/query_explain", both, (c) => api.explain(c, false));
  route(app, "/query_range_explain", both, (c) => api.explain(c, true));
  route(app, "/format_query", both, (c) => api.format(c));
  route(app, "/parse_query", both, (c) => api.parse(c));
  route(app, "/series", both, (c) => api.series(c));
  route(app, "/labels", both, (c) => api.labels(c));
  route(app, "/label/:name/values", ["GET"], (c) => api.values(c));
  route(app, "/stores", ["GET"], (c) => api.stores(c));
}

class QueryApi {
  readonly #parts: QueryApiParts;
  constructor(parts: QueryApiParts) {
    this.#parts = parts;
  }

  async instant(c: Context): Promise<Response> {
    const { settings, engine, querier, now } = this.#parts;
    const params = await readParams(c.req.raw);
    const time = timeParam(params, "time", now());
    const timeout = this.#timeout(params);
    const common = this.#options(c, params);
    const maxResolution = this.#resolution(params, settings.instantDefaultResolution);
    this.#checkEngine(params);
    const lookbackDelta = this.#lookback(params, maxResolution);
    const options = this.#queryOptions(params, common, maxResolution);
    return await this.#gated(c.req.raw.signal, timeout, async (signal) => {
      const result = await engine.instantQuery({
        query: params.get("query"),
        time,
        lookbackDelta,
        storage: querier.storage(options),
        signal,
        timeout,
        analyze: this.#analyzes(params),
      });
      return this.#answer(result, params);
    });
  }

  async range(c: Context): Promise<Response> {
    const { settings, engine, querier } = this.#parts;
    const params = await readParams(c.req.raw);
    const { start, end, step } = rangeParams(params, settings.defaultStep);
    const timeout = this.#timeout(params);
    const common = this.#options(c, params);
    const maxResolution = this.#resolution(params, step / 5);
    this.#checkEngine(params);
    const lookbackDelta = this.#lookback(params, maxResolution);
    const options = this.#queryOptions(params, common, maxResolution);
    return await this.#gated(c.req.raw.signal, timeout, async (signal) => {
      const result = await engine.rangeQuery({
        query: params.get("query"),
        start,
        end,
        step,
        lookbackDelta,
        storage: querier.storage(options),
        signal,
        timeout,
        analyze: this.#analyzes(params),
      });
      return this.#answer(result, params);
    });
  }

  /** The query over as many lines as it needs. */
  async format(c: Context): Promise<Response> {
    return success(prettyExpr(await this.#parsed(c)), []);
  }

  /** The query's syntax tree. */
  async parse(c: Context): Promise<Response> {
    return success(exprToJson(await this.#parsed(c)), []);
  }

  /** Prometheus has these two paths and Thanos has not, so errors have Prometheus' form. */
  async #parsed(c: Context): Promise<Expr> {
    const query = (await readParams(c.req.raw)).get("query");
    try {
      return this.#parts.engine.parse(query);
    } catch (error) {
      if (!(error instanceof MnemeError)) throw error;
      throw new MnemeError("bad_data", `invalid parameter "query": ${error.message}`, {
        cause: error,
      });
    }
  }

  async series(c: Context): Promise<Response> {
    const params = await readParams(c.req.raw);
    if (params.malformed !== undefined) {
      throw new MnemeError("internal", `parse form: invalid pair ${quoteGo(params.malformed)}`);
    }
    if (params.all("match[]").length === 0) {
      throw new MnemeError("bad_data", "no match[] parameter provided");
    }
    const request = this.#metadata(params);
    if (request.matcherSets.some((matchers) => matchers.length === 0)) {
      throw new MnemeError(
        "execution",
        "proxy Series(): rpc error: code = InvalidArgument desc = " +
          "no matchers specified (excluding selector labels)",
      );
    }
    const { value, warnings } = await this.#parts.querier.series(
      request,
      this.#options(c, params),
      c.req.raw.signal,
    );
    return success(value.map((labels: Labels) => labelsToRecord(labels)), warnings);
  }

  async labels(c: Context): Promise<Response> {
    const params = await readParams(c.req.raw);
    const request = this.#metadata(params);
    const { value, warnings } = await this.#parts.querier.labelNames(
      request,
      this.#options(c, params),
      c.req.raw.signal,
    );
    return success(value, warnings);
  }

  async values(c: Context): Promise<Response> {
    const name = labelName(c.req.raw.url);
    if (name === undefined) return c.notFound();
    const params = await readParams(c.req.raw);
    const request = this.#metadata(params);
    const { value, warnings } = await this.#parts.querier.labelValues(
      name,
      request,
      this.#options(c, params),
      c.req.raw.signal,
    );
    return success(value, warnings);
  }

  // deno-lint-ignore require-await
  async stores(_c: Context): Promise<Response> {
    const groups = new Map<string, EndpointStatus[]>();
    for (const status of this.#parts.endpoints()) {
      const list = groups.get(status.componentType);
      if (list === undefined) groups.set(status.componentType, [status]);
      else list.push(status);
    }
    const types = [...groups].map(([type, list]) =>
      `${JSON.stringify(type)}:[${list.map(storeJson).join(",")}]`
    );
    return json(`{"status":"success","data":{${types.join(",")}}}\n`, false);
  }

  /** Options every endpoint of this API understands. */
  #options(c: Context, params: Params): RequestOptions {
    const { settings } = this.#parts;
    const deduplicate = boolParam(params, "dedup", true);
    const replicas = params.all("replicaLabels[]");
    const storeMatchers = params.all("storeMatch[]").map((text) => parseSelector(text, true));
    const partial = boolParam(params, "partial_response", settings.partialResponse);
    const tenant = c.req.header(settings.tenantHeader) ?? c.req.header("THANOS-TENANT") ?? "";
    const requestId = c.req.header("x-request-id");
    return {
      deduplicate,
      replicaLabels: (replicas.length > 0 ? replicas : settings.replicaLabels).filter((r) =>
        r !== ""
      ),
      partialResponse: partial ? "warn" : "abort",
      storeMatchers,
      tenant: tenant === "" ? settings.defaultTenant : checkTenant(tenant),
      ...(requestId === undefined ? {} : { requestId }),
    };
  }

  #queryOptions(params: Params, common: RequestOptions, maxResolution: number): QueryOptions {
    const shard = shardInfo(params);
    return { ...common, maxResolution, ...(shard === undefined ? {} : { shardInfo: shard }) };
  }

  #resolution(params: Params, automatic: number): number {
    const text = params.get("max_source_resolution");
    if (text === "auto" || (text === "" && this.#parts.settings.autoDownsampling)) {
      return Math.trunc(automatic);
    }
    const ms = durationParam(params, "max_source_resolution") ?? 0;
    if (ms < 0) {
      throw new MnemeError(
        "bad_data",
        "negative 'max_source_resolution' is not accepted. Try a positive integer",
      );
    }
    return Math.trunc(ms);
  }

  #timeout(params: Params): number {
    const asked = durationParam(params, "timeout", false);
    const { timeout } = this.#parts.settings;
    return asked === undefined ? timeout : Math.min(asked, timeout);
  }

  #lookback(params: Params, maxResolution: number): number {
    const asked = durationParam(params, "lookback_delta");
    if (asked !== undefined && asked > 0) return Math.trunc(asked);
    const { settings } = this.#parts;
    return dynamicLookback(settings.lookbackDelta, settings.dynamicLookback ? maxResolution : 0);
  }

  /** Both engine names mean this engine; operator times are told where Thanos tells them. */
  #engineName(params: Params): string {
    return params.get("engine") || this.#parts.settings.defaultEngine;
  }

  #analyzes(params: Params): boolean {
    return boolish(params.get("analyze")) && this.#engineName(params) === "thanos";
  }

  async explain(c: Context, ranged: boolean): Promise<Response> {
    const { settings, engine, now } = this.#parts;
    const params = await readParams(c.req.raw);
    const query = params.get("query");
    if (ranged) {
      const { start, end, step } = rangeParams(params, settings.defaultStep);
      this.#checkExplain(params);
      const lookback = this.#lookback(params, this.#resolution(params, step / 5));
      return success(engine.explainRange(query, start, end, step, lookback), []);
    }
    const time = timeParam(params, "time", now());
    this.#checkExplain(params);
    const lookback = this.#lookback(
      params,
      this.#resolution(params, settings.instantDefaultResolution),
    );
    return success(engine.explainInstant(query, time, lookback), []);
  }

  #checkExplain(params: Params): void {
    this.#checkEngine(params);
    if (this.#engineName(params) !== "thanos") {
      throw new MnemeError("bad_data", "engine type must be 'thanos'");
    }
  }

  #checkEngine(params: Params): void {
    const engine = params.get("engine");
    if (engine !== "" && !ENGINES.has(engine)) {
      throw new MnemeError("bad_data", `'${engine}' bad engine`);
    }
  }

  async #gated(
    client: AbortSignal,
    timeout: number,
    run: (signal: AbortSignal) => Promise<Response>,
  ): Promise<Response> {
    if (timeout <= 0) throw new MnemeError("execution", "context deadline exceeded");
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new MnemeError("timeout", "context deadline exceeded")),
      timeout,
    );
    const signal = AbortSignal.any([client, deadline.signal]);
    try {
      const release = await this.#parts.enter(signal).catch((error: unknown) => {
        if (deadline.signal.aborted) {
          throw new MnemeError("execution", "context deadline exceeded");
        }
        throw error;
      });
      try {
        return await run(signal);
      } finally {
        release();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #answer(result: QueryResult, params: Params): Response {
    const { entries, warnings: all } = result.annotations;
    // Storage messages have no prefix; the engine's own are told without their place, in one list.
    const storage = all.filter((text) => !text.startsWith("PromQL "));
    const own = entries.map((a) => `PromQL ${a.kind}: ${a.text}`);
    const warnings = [...new Set([...storage, ...own])];
    let analysis = "{}";
    if (boolish(params.get("analyze"))) {
      if (result.analysis !== undefined) analysis = JSON.stringify(result.analysis);
      else warnings.push("Query not analyzable; change engine to 'thanos'.");
    }
    const pieces = encodeResult(result.value, {
      ...(params.get("stats") === "" ? {} : { stats: statsJson(result) }),
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
    return new Response(body, { headers: jsonHeaders(storage.length > 0) });
  }

  #metadata(params: Params): MetadataRequest {
    const { settings, now } = this.#parts;
    const { start, end } = metadataRange(params, {
      start: settings.metadataRange === 0 ? MIN_TIME : now() - settings.metadataRange,
      end: settings.metadataRange === 0 ? MAX_TIME : now(),
    });
    const matcherSets: Matcher[][] = params.all("match[]").map((
      text,
    ) => [...parseSelector(text, true)]);
    return { matcherSets, start, end, limit: limitParam(params) };
  }
}

/** `stats` in Prometheus' keys. */
function statsJson({ stats }: QueryResult): string {
  return JSON.stringify({
    timings: {
      evalTotalTime: stats.evaluationTime,
      resultSortTime: 0,
      queryPreparationTime: stats.preparationTime,
      innerEvalTime: stats.evaluationTime,
      execQueueTime: 0,
      execTotalTime: stats.totalTime,
    },
    samples: { totalQueryableSamples: stats.totalSamples, peakSamples: stats.peakSamples },
  });
}

function boolish(text: string): boolean {
  return text === "1" || text === "true";
}

function jsonHeaders(noStore: boolean): Record<string, string> {
  return {
    "content-type": "application/json",
    ...(noStore ? { "cache-control": "no-store" } : {}),
  };
}

function json(text: string, noStore: boolean): Response {
  return new Response(text, { headers: jsonHeaders(noStore) });
}

function success(data: unknown, warnings: readonly string[]): Response {
  const tail = warnings.length === 0 ? "" : `,"warnings":${envelopeJson(warnings)}`;
  return json(`{"status":"success","data":${envelopeJson(data)}${tail}}\n`, warnings.length > 0);
}

function storeJson(status: EndpointStatus): string {
  const bound = (ms: number) =>
    ms <= MIN_TIME ? INT64_MIN : ms >= MAX_TIME ? INT64_MAX : String(ms);
  const sets = status.labelSets.map((labels) => labelsToRecord(labels));
  return `{"name":${JSON.stringify(status.name)},"lastCheck":${
    JSON.stringify(new Date(status.lastCheck).toISOString())
  },"lastError":${JSON.stringify(status.lastError ?? null)},"labelSets":${
    envelopeJson(sets)
  },"minTime":${bound(status.minTime)},"maxTime":${bound(status.maxTime)}}`;
}

function checkTenant(tenant: string): string {
  if (tenant.includes("/") || tenant === "." || tenant === "..") {
    throw new MnemeError("bad_data", "tenant name not valid");
  }
  return tenant;
}

function shardInfo(params: Params): ShardInfo | undefined {
  const text = params.get("shard_info");
  if (text === "") return undefined;
  const bad = (cause?: unknown) =>
    new MnemeError("bad_data", `could not unmarshal parameter shard_info: ${text.slice(0, 200)}`, {
      cause,
    });
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(error);
  }
  const { shard_index: index = 0, total_shards: total = 0, by = false, labels = [] } = value ?? {};
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(total) || !Array.isArray(labels)) {
    throw bad();
  }
  return {
    shardIndex: index as number,
    totalShards: total as number,
    by: by === true,
    labels: labels.map(String),
  };
}

/**
 * The label name in `/label/<name>/values`, percent-decoded; undefined for one with an encoded
 * slash. Names in Prometheus 3's `U__` escaping are decoded.
 */
export function labelName(url: string): string | undefined {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/, "").split(/[?#]/, 1)[0]!;
  const raw = /\/label\/([^/]*)\/values$/.exec(path)?.[1];
  if (raw === undefined || /%2f/i.test(raw)) return undefined;
  const bytes: number[] = [];
  const encoded = new TextEncoder().encode(raw);
  for (let i = 0; i < encoded.length; i++) {
    const hex = encoded[i] === 0x25 ? raw.slice(i + 1, i + 3) : "";
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(parseInt(hex, 16));
      i += 2;
    } else bytes.push(encoded[i]!);
  }
  let name: string;
  try {
    name = decodeUtf8Strict(new Uint8Array(bytes));
  } catch {
    const quoted = bytes.map((b) =>
      b >= 0x80 ? `\\x${b.toString(16)}` : quoteGo(String.fromCharCode(b)).slice(1, -1)
    ).join("");
    throw new MnemeError("bad_data", `invalid label name: "${quoted}"`);
  }
  return unescapeName(name);
}

/** `U__a_2e_b` → `a.b`, `U__a__b` → `a_b`; anything else stays as it is. */
function unescapeName(name: string): string {
  if (!name.startsWith("U__")) return name;
  let out = "";
  for (let i = 3; i < name.length;) {
    if (name[i] !== "_") {
      out += name[i++];
      continue;
    }
    if (name[i + 1] === "_") {
      out += "_";
      i += 2;
      continue;
    }
    const m = /^_([0-9a-fA-F]{1,6})_/.exec(name.slice(i));
    const code = m === null ? NaN : parseInt(m[1]!, 16);
    if (m === null || code > 0x10ffff) return name;
    out += String.fromCodePoint(code);
    i += m[0].length;
  }
  return out;
}
