/** What a request of the query APIs says, read from its parameters. */
import type { Context } from "hono";
import { MnemeError } from "../base/mod.ts";
import { type Matcher, MAX_TIME, MIN_TIME } from "../model/mod.ts";
import { parseSelector } from "../promql/mod.ts";
import {
  dynamicLookback,
  type MetadataRequest,
  type QueryOptions,
  type RequestOptions,
} from "../query/mod.ts";
import type { ShardInfo } from "../storeapi/mod.ts";
import { requestIdOf } from "./app.ts";
import { boolParam, durationParam, limitParam, metadataRange, type Params } from "./params.ts";
import type { Tenants } from "./tenant.ts";

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
  /** `prometheus` or `thanos`: names of one and the same engine here. */
  readonly defaultEngine: string;
}

const ENGINES = new Set(["prometheus", "thanos"]);

/** Reads parameters with the defaults of the flags. */
export class QuerySettings {
  readonly #settings: QueryApiSettings;
  readonly #tenants: Tenants;
  constructor(settings: QueryApiSettings, tenants: Tenants) {
    this.#settings = settings;
    this.#tenants = tenants;
  }

  get defaultStep(): number {
    return this.#settings.defaultStep;
  }
  get instantDefaultResolution(): number {
    return this.#settings.instantDefaultResolution;
  }

  /** Options every endpoint of the query API understands. */
  options(c: Context, params: Params): RequestOptions {
    const deduplicate = boolParam(params, "dedup", true);
    const replicas = params.all("replicaLabels[]");
    const storeMatchers = params.all("storeMatch[]").map((text) => parseSelector(text, true));
    const partial = boolParam(params, "partial_response", this.#settings.partialResponse);
    return {
      deduplicate,
      replicaLabels: (replicas.length > 0 ? replicas : this.#settings.replicaLabels)
        .filter((label) => label !== ""),
      partialResponse: partial ? "warn" : "abort",
      storeMatchers,
      tenant: this.#tenants.of(c),
      requestId: requestIdOf(c),
    };
  }

  /** The options of a query. */
  queryOptions(params: Params, common: RequestOptions, maxResolution: number): QueryOptions {
    const shard = shardInfo(params);
    return { ...common, maxResolution, ...(shard === undefined ? {} : { shardInfo: shard }) };
  }

  /** The coarsest acceptable resolution, ms; `automatic` where the request leaves it open. */
  resolution(params: Params, automatic: number): number {
    const text = params.get("max_source_resolution");
    if (text === "auto" || (text === "" && this.#settings.autoDownsampling)) {
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

  /** The time limit, ms: the request's, at most the flag's. */
  timeout(params: Params): number {
    const asked = durationParam(params, "timeout", false);
    const { timeout } = this.#settings;
    return asked === undefined ? timeout : Math.min(asked, timeout);
  }

  /** How far back instant selectors look, ms. */
  lookback(params: Params, maxResolution: number): number {
    const asked = durationParam(params, "lookback_delta");
    return this.lookbackOf(asked === undefined ? 0 : Math.trunc(asked), maxResolution);
  }

  /** The same for a wish of `asked` ms; 0 or less = none. */
  lookbackOf(asked: number, maxResolution: number): number {
    if (asked > 0) return asked;
    const { lookbackDelta, dynamicLookback: dynamic } = this.#settings;
    return dynamicLookback(lookbackDelta, dynamic ? maxResolution : 0);
  }

  /** Both engine names mean this engine; operator times are told where Thanos tells them. */
  engine(params: Params): string {
    const engine = params.get("engine");
    if (engine === "") return this.#settings.defaultEngine;
    if (!ENGINES.has(engine)) throw new MnemeError("bad_data", `'${engine}' bad engine`);
    return engine;
  }

  /** A question about labels or series, over the series that the tenant may see. */
  metadata(params: Params, tenant: string, now: number): MetadataRequest {
    const range = this.#settings.metadataRange;
    const { start, end } = metadataRange(params, {
      start: range === 0 ? MIN_TIME : now - range,
      end: range === 0 ? MAX_TIME : now,
    });
    const sets: Matcher[][] = params.all("match[]").map((text) => [...parseSelector(text, true)]);
    return {
      matcherSets: this.#tenants.selectors(sets, tenant),
      start,
      end,
      limit: limitParam(params),
    };
  }
}

/** `analyze=true` and its like. */
export function isOn(text: string): boolean {
  return text === "1" || text === "true";
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
