/**
 * Engine: the life of a query — parse, check, plan, build, run, limits, statistics.
 *
 * One Engine serves many queries at once; a query shares nothing with another.
 */
import { MnemeError } from "../base/mod.ts";
import type { Expr } from "./ast.ts";
import { describeType, typeOfExpr } from "./ast_check.ts";
import { Builder } from "./build.ts";
import { lower, type QueryTimes } from "./lower.ts";
import { parseExpr } from "./parser.ts";
import { type AnalysisNode, OperatorMeter } from "./metered.ts";
import { isScalar, type Plan } from "./plan.ts";
import { type ExplainNode, explainTree } from "./plan_print.ts";
import { optimize } from "./plan_optimize.ts";
import { type Annotation } from "./annotations.ts";
import { abortError, defaultTurn, QueryContext, type Turn } from "./query_context.ts";
import {
  collectMatrix,
  collectSamples,
  collectScalar,
  collectVector,
  finishNames,
} from "./result.ts";
import type { Storage } from "./storage.ts";
import type { Value } from "./value.ts";

/** Language features, named as Prometheus' feature flags. */
export interface LanguageFeatures {
  /** `promql-experimental-functions`. */
  readonly experimentalFunctions: boolean;
  /** `promql-duration-expr`; on by default in Prometheus 3.14. */
  readonly durationExpressions: boolean;
  /** `promql-extended-range-selectors`: anchored and smoothed. */
  readonly extendedRangeSelectors: boolean;
  /** `promql-binop-fill-modifiers`. */
  readonly fillModifiers: boolean;
  /** `promql-delayed-name-removal`. */
  readonly delayedNameRemoval: boolean;
  /** `use-start-timestamps`. */
  readonly startTimestamps: boolean;
  /** `type-and-unit-labels`. */
  readonly typeAndUnitLabels: boolean;
  /** Thanos' `--query.enable-x-functions`: xrate, xincrease, xdelta. */
  readonly xFunctions: boolean;
  /** Messages name two duplicates sorted by labels, as Prometheus 3.14 does; Thanos does not. */
  readonly sortedDuplicates: boolean;
}

/** What Prometheus 3.14 has on without any flag. */
export const DEFAULT_FEATURES: LanguageFeatures = {
  experimentalFunctions: false,
  durationExpressions: true,
  extendedRangeSelectors: false,
  fillModifiers: false,
  delayedNameRemoval: false,
  startTimestamps: false,
  typeAndUnitLabels: false,
  xFunctions: false,
  sortedDuplicates: true,
};

/** Settings of an engine. Units: ms; Infinity means no limit. */
export interface EngineOptions {
  readonly features?: Partial<LanguageFeatures>;
  /** How far back an instant selector looks; 5m. */
  readonly lookbackDelta?: number;
  /** Step of subqueries that name none; 1m. */
  readonly defaultStep?: number;
  /** Most samples held in memory at one moment; 50 million. */
  readonly maxSamples?: number;
  /** Longest run of a query; 2m. */
  readonly timeout?: number;
  /** Most bytes of a query's text; 64 KiB. */
  readonly maxQueryLength?: number;
  /** Deepest nesting of a query; 1000. */
  readonly maxQueryDepth?: number;
  /** Lets the event loop turn; for tests and foreign runtimes. */
  readonly turn?: Turn;
}

/** What every query brings along. Units: ms. */
export interface QueryBase {
  readonly query: string;
  readonly storage: Storage;
  readonly lookbackDelta?: number;
  readonly timeout?: number;
  readonly maxSamples?: number;
  readonly signal?: AbortSignal;
  /** Measure each operator. */
  readonly analyze?: boolean;
}

/** A query at one time. */
export interface InstantQuery extends QueryBase {
  readonly time: number;
}

/** A query at start, start + step, … up to end. */
export interface RangeQuery extends QueryBase {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** Counts and times of one query. Times in seconds. */
export interface QueryStats {
  /** Parsing and planning, selecting and evaluating, all. */
  readonly preparationTime: number;
  readonly evaluationTime: number;
  readonly totalTime: number;
  /** Samples that selectors and ranges handed over, over all steps. */
  readonly totalSamples: number;
  /** Most samples held at one moment. */
  readonly peakSamples: number;
}

/** The answer to a query. */
export interface QueryResult {
  readonly value: Value;
  readonly annotations: {
    /** With prefix and position, storage messages first. */
    readonly warnings: readonly string[];
    readonly infos: readonly string[];
    /** The engine's own, taken apart. */
    readonly entries: readonly Annotation[];
  };
  readonly stats: QueryStats;
  /** The measured operators, with `analyze`. */
  readonly analysis?: AnalysisNode;
}

/** A range query may not yield ranges or texts. */
function checkRoot(expr: Expr, times: QueryTimes): void {
  if (times.instant) return;
  const type = typeOfExpr(expr);
  if (type === "vector" || type === "scalar") return;
  throw new MnemeError(
    "bad_data",
    `invalid expression type "${describeType(type)}" for range query, ` +
      "must be Scalar or instant Vector",
  );
}

const DONE = new MnemeError("canceled", "the query has ended");
const NEVER = new AbortController().signal;

/** See the file comment. */
export class Engine {
  readonly features: LanguageFeatures;
  readonly lookbackDelta: number;
  readonly #options: EngineOptions;

  constructor(options: EngineOptions = {}) {
    this.features = { ...DEFAULT_FEATURES, ...options.features };
    this.lookbackDelta = options.lookbackDelta ?? 300_000;
    this.#options = options;
  }

  /** Evaluates a query at one time. Throws ParseError, MnemeError. */
  instantQuery(query: InstantQuery): Promise<QueryResult> {
    return this.#run(query, { start: query.time, end: query.time, step: 0, instant: true });
  }

  /** Evaluates a query over a range of times. Throws ParseError, MnemeError. */
  rangeQuery(query: RangeQuery): Promise<QueryResult> {
    const { start, end, step } = query;
    if (!(step > 0)) throw new MnemeError("bad_data", "the step of a range query must be positive");
    if (!(end >= start)) {
      throw new MnemeError("bad_data", "end timestamp must not be before start time");
    }
    return this.#run(query, { start, end, step, instant: false });
  }

  /** The plan of an instant query. */
  explainInstant(query: string, time: number, lookbackDelta?: number): ExplainNode {
    const times = { start: time, end: time, step: 0, instant: true };
    return explainTree(this.plan(query, times, lookbackDelta));
  }

  /** The plan of a range query. */
  explainRange(
    query: string,
    start: number,
    end: number,
    step: number,
    lookbackDelta?: number,
  ): ExplainNode {
    return explainTree(this.plan(query, { start, end, step, instant: false }, lookbackDelta));
  }

  /** Parses and checks a query with this engine's features and limits. */
  parse(query: string): Expr {
    const { maxQueryLength, maxQueryDepth } = this.#options;
    return parseExpr(query, {
      ...this.features,
      ...(maxQueryLength === undefined ? {} : { maxLength: maxQueryLength }),
      ...(maxQueryDepth === undefined ? {} : { maxDepth: maxQueryDepth }),
    });
  }

  /** Parses, checks and plans a query. */
  plan(query: string, times: QueryTimes, lookbackDelta = this.lookbackDelta): Plan {
    const { defaultStep } = this.#options;
    const expr = this.parse(query);
    checkRoot(expr, times);
    return optimize(lower(expr, {
      query,
      times,
      lookbackDelta,
      defaultStep: defaultStep ?? 60_000,
    }));
  }

  async #run(query: QueryBase, times: QueryTimes): Promise<QueryResult> {
    const began = performance.now();
    const signal = query.signal ?? NEVER;
    if (signal.aborted) throw abortError(signal, "query execution");
    const plan = this.plan(query.query, times, query.lookbackDelta ?? this.lookbackDelta);
    const planned = performance.now();
    const timeout = query.timeout ?? this.#options.timeout ?? 120_000;
    // Storage waits end with the query: by the caller's signal or when its time is over.
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const timer = timeout === Infinity ? undefined : setTimeout(
      () => stop.abort(new DOMException("query timed out", "TimeoutError")),
      Math.min(timeout, 2_147_483_647),
    );
    const context = new QueryContext({
      storage: query.storage,
      signal: stop.signal,
      maxSamples: query.maxSamples ?? this.#options.maxSamples ?? 50_000_000,
      deadline: began + timeout,
      features: this.features,
      turn: this.#options.turn ?? defaultTurn,
    });
    const meter = query.analyze === true ? new OperatorMeter() : undefined;
    const builder = new Builder(context, meter);
    try {
      const value = await this.#evaluate(plan, times, builder, context);
      const ended = performance.now();
      return {
        value,
        annotations: {
          warnings: context.annotations.texts("warning", query.query),
          infos: context.annotations.texts("info", query.query),
          entries: context.annotations.entries(),
        },
        stats: {
          preparationTime: (planned - began) / 1000,
          evaluationTime: (ended - planned) / 1000,
          totalTime: (ended - began) / 1000,
          totalSamples: context.total,
          peakSamples: context.peak,
        },
        ...(meter === undefined ? {} : { analysis: meter.result() }),
      };
    } catch (error) {
      throw stop.signal.aborted ? abortError(stop.signal, "expression evaluation") : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      for (const source of builder.sources) source.close();
      // Storage that is still busy for a query that ended early may stop.
      stop.abort(DONE);
    }
  }

  async #evaluate(
    plan: Plan,
    times: QueryTimes,
    builder: Builder,
    context: QueryContext,
  ): Promise<Value> {
    if (plan.kind === "text") return { type: "string", time: times.start, value: plan.value };
    if (plan.kind === "range") {
      const reader = builder.reader(plan);
      await openAll(builder, context);
      try {
        return await collectSamples(reader, plan.references.first, plan.range, context);
      } finally {
        reader.close();
      }
    }
    const root = finishNames(builder.build(plan), context);
    try {
      await openAll(builder, context);
      if (!times.instant) return await collectMatrix(root, context);
      if (isScalar(plan)) {
        return { type: "scalar", time: times.start, value: await collectScalar(root) };
      }
      return await collectVector(root, context);
    } finally {
      root.close();
    }
  }
}

/** Sends all selects at once and waits for them, no longer than the query may run. */
async function openAll(builder: Builder, context: QueryContext): Promise<void> {
  const opening = Promise.all([...builder.sources].map((source) => source.open(context)));
  const { signal } = context;
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(abortError(signal, "expression evaluation"));
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    await Promise.race([opening, stopped]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
  context.check();
}
