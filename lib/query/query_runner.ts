/**
 * Runs queries for every API that takes them: time limit, gate, list of running queries, engine,
 * telemetry. HTTP and gRPC differ only in how they read a question and write the answer.
 */
import { Gate, MnemeError } from "../base/mod.ts";
import type { Engine, QueryResult, Storage } from "../promql/mod.ts";
import type { ActiveQueries } from "./active_queries.ts";
import { type Enter, GatedStorage } from "./query_gate.ts";
import { QueryRecorder } from "./query_recorder.ts";
import type { QueryTelemetry } from "./query_telemetry.ts";
import type { Querier, QueryOptions } from "./querier.ts";

/** At which times a query is evaluated, ms; an instant query has step 0 and start = end. */
export interface EvaluationTimes {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** A query as its API understood it. Units: ms. */
export interface QueryRequest {
  readonly query: string;
  readonly times: EvaluationTimes;
  readonly options: QueryOptions;
  readonly lookbackDelta: number;
  readonly timeout: number;
  readonly analyze: boolean;
  /** `prometheus` or `thanos`, for metrics. */
  readonly engine: string;
  readonly signal: AbortSignal;
}

/** A result with what its making took. Units: seconds. */
export interface QueryAnswer {
  readonly id: string;
  readonly result: QueryResult;
  readonly recorder: QueryRecorder;
  /** Time at the gate. */
  readonly queueTime: number;
}

/** Makes of a request what is evaluated here: the query, or one over the answers of other queriers. */
export type Planner = (
  request: QueryRequest,
  storage: Storage,
) => { readonly query: string; readonly storage: Storage };

/** Parts of a runner. */
export interface QueryRunnerParts {
  readonly engine: Engine;
  readonly querier: Querier;
  readonly active: ActiveQueries;
  /** Lets a limited number of queries run; returns the release. */
  readonly enter: (signal: AbortSignal) => Promise<() => void>;
  /** Selects of one query that run at once; 0 = no limit. */
  readonly maxConcurrentSelects?: number;
  readonly enterSelect?: Enter;
  readonly telemetry?: QueryTelemetry;
  readonly plan?: Planner;
}

/** The runner. */
export class QueryRunner {
  readonly #parts: QueryRunnerParts;
  constructor(parts: QueryRunnerParts) {
    this.#parts = parts;
  }

  get engine(): Engine {
    return this.#parts.engine;
  }

  /** Throws: bad_data, execution, limit, canceled, timeout. */
  async run(request: QueryRequest): Promise<QueryAnswer> {
    const { active, enter, telemetry } = this.#parts;
    const { times, query, timeout } = request;
    if (timeout <= 0) throw new MnemeError("execution", "context deadline exceeded");
    if (times.step > 0) telemetry?.requested((times.end - times.start) / 1000);
    const recorder = new QueryRecorder();
    const entry = active.add({ query, ...times, tenant: request.options.tenant }, recorder);
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new MnemeError("timeout", "context deadline exceeded")),
      Math.min(timeout, 0x7fffffff),
    );
    const signal = AbortSignal.any([request.signal, deadline.signal, entry.signal]);
    const began = performance.now();
    let release: (() => void) | undefined;
    try {
      release = await enter(signal).catch((error: unknown) => {
        if (deadline.signal.aborted) {
          throw new MnemeError("execution", "context deadline exceeded");
        }
        throw error;
      });
      const queueTime = (performance.now() - began) / 1000;
      entry.run(active.journal);
      telemetry?.started(request.engine);
      try {
        const result = await this.#evaluate(request, recorder, signal);
        telemetry?.finished({
          engine: request.engine,
          tenant: request.options.tenant,
          series: recorder.series,
          chunks: recorder.chunks,
          samples: recorder.samples,
          queueTime,
          preparationTime: result.stats.preparationTime,
          evaluationTime: result.stats.evaluationTime,
          totalSamples: result.stats.totalSamples,
        });
        return { id: entry.id, result, recorder, queueTime };
      } finally {
        telemetry?.ended(request.engine);
      }
    } finally {
      release?.();
      clearTimeout(timer);
      entry.end();
    }
  }

  async #evaluate(
    request: QueryRequest,
    recorder: QueryRecorder,
    signal: AbortSignal,
  ): Promise<QueryResult> {
    const { engine, querier, plan } = this.#parts;
    const recorded = { ...request, options: { ...request.options, recorder } };
    const own = this.#gated(querier.storage(recorded.options));
    const { query, storage } = plan?.(recorded, own) ?? { query: request.query, storage: own };
    const base = {
      query,
      storage,
      signal,
      lookbackDelta: request.lookbackDelta,
      timeout: request.timeout,
      analyze: request.analyze,
    };
    const { start, end, step } = request.times;
    return await (step === 0
      ? engine.instantQuery({ ...base, time: start })
      : engine.rangeQuery({ ...base, start, end, step }));
  }

  #gated(storage: Storage): Storage {
    const { maxConcurrentSelects = 0, enterSelect } = this.#parts;
    if (maxConcurrentSelects <= 0) return storage;
    const gate = new Gate(maxConcurrentSelects);
    return new GatedStorage(
      storage,
      (signal) => enterSelect?.(gate, signal) ?? gate.enter(signal),
    );
  }
}
