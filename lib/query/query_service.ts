/** Queries of other queriers, over the Query API, run like those that come over HTTP. */
import { MnemeError } from "../base/mod.ts";
import { EMPTY_LABELS, SampleBatch } from "../model/mod.ts";
import type { Value } from "../promql/mod.ts";
import type {
  CallContext,
  QueryApi,
  RemoteQueryAnswer,
  RemoteQueryRequest,
  SampledSeries,
} from "../storeapi/mod.ts";
import type { QueryRunner } from "./query_runner.ts";

/** What holds where a request says nothing. Units: ms. */
export interface QueryServiceDefaults {
  readonly replicaLabels: readonly string[];
  readonly timeout: number;
  readonly instantDefaultResolution: number;
  readonly engine: string;
  /** How far back instant selectors look for data of a resolution. */
  readonly lookback: (asked: number, maxResolution: number) => number;
  readonly now: () => number;
}

/** The Query API over a runner. */
export class RunnerQueryApi implements QueryApi {
  readonly #runner: QueryRunner;
  readonly #defaults: QueryServiceDefaults;
  constructor(runner: QueryRunner, defaults: QueryServiceDefaults) {
    this.#runner = runner;
    this.#defaults = defaults;
  }

  async query(request: RemoteQueryRequest, context: CallContext): Promise<RemoteQueryAnswer> {
    const { replicaLabels, timeout, instantDefaultResolution, engine, lookback, now } =
      this.#defaults;
    const maxResolution = request.maxResolution > 0
      ? request.maxResolution
      : instantDefaultResolution;
    const instant = request.step === 0;
    const start = instant && request.start === 0 ? now() : request.start;
    const end = instant ? start : request.end;
    if (request.step < 0 || end < start) {
      throw new MnemeError("bad_data", "the times of the query are out of order");
    }
    const { result } = await this.#runner.run({
      query: request.query,
      times: { start, end, step: request.step },
      options: {
        deduplicate: request.deduplicate,
        replicaLabels: request.replicaLabels.length > 0 ? request.replicaLabels : replicaLabels,
        partialResponse: request.partialResponse ? "warn" : "abort",
        storeMatchers: request.storeMatchers,
        maxResolution,
        tenant: context.tenant,
        ...(context.requestId === undefined ? {} : { requestId: context.requestId }),
        ...(request.shardInfo === undefined ? {} : { shardInfo: request.shardInfo }),
      },
      lookbackDelta: lookback(request.lookbackDelta, maxResolution),
      timeout: request.timeout > 0 ? Math.min(request.timeout, timeout) : timeout,
      analyze: false,
      engine: request.engine === "default" ? engine : request.engine,
      signal: context.signal,
    });
    const { warnings, infos } = result.annotations;
    return {
      series: seriesOf(result.value),
      warnings: [...new Set([...warnings, ...infos])],
      stats: {
        samplesTotal: result.stats.totalSamples,
        peakSamples: result.stats.peakSamples,
      },
    };
  }
}

/** A result as series; columns are shared with it, only read. */
export function seriesOf(value: Value): SampledSeries[] {
  switch (value.type) {
    case "string":
      return [];
    case "scalar":
      return [{ labels: EMPTY_LABELS, batch: single(value.time, Float64Array.of(value.value)) }];
    case "vector":
      return value.labels.map((labels, i) => {
        const batch = single(value.time, value.v.subarray(i, i + 1));
        const h = value.h?.[i];
        if (h !== undefined) batch.h = [h];
        return { labels, batch };
      });
    case "matrix":
      return value.series.map(({ labels, t, v, h }) => {
        const batch = new SampleBatch(0);
        batch.t = t as Float64Array<ArrayBuffer>;
        batch.v = v as Float64Array<ArrayBuffer>;
        batch.h = h === null ? null : [...h];
        batch.length = t.length;
        return { labels, batch };
      });
  }
}

function single(time: number, value: Float64Array): SampleBatch {
  const batch = new SampleBatch(1);
  batch.t[0] = time;
  batch.v.set(value);
  batch.length = 1;
  return batch;
}
