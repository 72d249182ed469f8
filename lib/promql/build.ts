/** From plan to operators: one switch. */
import { MnemeError, unreachable } from "../base/mod.ts";
import { formatHistogram } from "../model/mod.ts";
import { TEXT_SORT_IN_RANGE } from "./annotations.ts";
import { FLOAT_FUNCTIONS, greater, smaller } from "./kernel_math.ts";
import { MeteredOperator, type OperatorMeter } from "./metered.ts";
import { AggregateOperator, type FoldName } from "./op_aggregate.ts";
import { LimitOperator, LimitRatioOperator, RankOperator } from "./op_aggregate_rank.ts";
import { CountValuesOperator, QuantileOperator } from "./op_aggregate_values.ts";
import { NegateOperator, ScalarBinaryOperator, VectorScalarOperator } from "./op_binary.ts";
import {
  AbsentOperator,
  EmptyOperator,
  type RowFunction,
  RowOperator,
  ScalarOfVectorOperator,
  ScalarOperator,
  ScalarPairOperator,
} from "./op_call.ts";
import { buildHistogramCall, HISTOGRAM_CALLS } from "./op_histogram.ts";
import { InfoOperator } from "./op_info.ts";
import { labelJoin, LabelOperator, labelReplace } from "./op_label.ts";
import { MatchOperator } from "./op_match.ts";
import { MergeOperator } from "./op_merge.ts";
import { RangeOperator } from "./op_range.ts";
import { SelectOperator } from "./op_select.ts";
import { SetOperator } from "./op_set.ts";
import { SharedRows } from "./op_shared.ts";
import { SmoothOperator } from "./op_smooth.ts";
import { SortOperator } from "./op_sort.ts";
import { StepInvariantOperator } from "./op_step_invariant.ts";
import { SubqueryReader } from "./op_subquery.ts";
import type { Operator } from "./operator.ts";
import {
  type AggregatePlan,
  type BinaryPlan,
  type CallPlan,
  isScalar,
  type Plan,
  type RangeCallPlan,
  type RangePlan,
} from "./plan.ts";
import type { QueryContext } from "./query_context.ts";
import { RANGE_FUNCTIONS } from "./range_kernels.ts";
import { type SampleReader, SelectReader, type SelectSpec, Source } from "./source.ts";

/** Builds the operators of one query. */
export class Builder {
  readonly #context: QueryContext;
  readonly #sources = new Map<SelectSpec, Source>();
  readonly #shared = new Map<number, SharedRows>();
  readonly #meter: OperatorMeter | undefined;

  constructor(context: QueryContext, meter?: OperatorMeter) {
    this.#context = context;
    this.#meter = meter;
  }

  /** All selects that the built operators read. */
  get sources(): IterableIterator<Source> {
    return this.#sources.values();
  }

  /** The source of a select; equal specs share one. */
  source(spec: SelectSpec): Source {
    let source = this.#sources.get(spec);
    if (source === undefined) {
      source = new Source(spec);
      this.#sources.set(spec, source);
    }
    return source;
  }

  /** The operator of a plan. */
  build(plan: Plan): Operator {
    if (this.#meter === undefined) return this.#build(plan);
    const node = this.#meter.enter(plan);
    const operator = this.#build(plan);
    this.#meter.leave();
    return new MeteredOperator(operator, node, this.#context);
  }

  #build(plan: Plan): Operator {
    const context = this.#context;
    switch (plan.kind) {
      case "constant":
        return new ScalarOperator(plan.grid, () => plan.value);
      case "time":
        return new ScalarOperator(plan.grid, (time) => time / 1000);
      case "select":
        if (plan.smoothed) {
          return new SmoothOperator(
            new SelectReader(this.source(plan.spec), plan.statsOnly, context),
            plan,
            context,
          );
        }
        return new SelectOperator(this.source(plan.spec), plan, context);
      case "range_call":
        return this.#rangeCall(plan);
      case "call":
        return this.#call(plan);
      case "absent":
        return new AbsentOperator(this.build(plan.child), plan.labels);
      case "info":
        return this.#merged(new InfoOperator(this.build(plan.child), plan, context));
      case "aggregate":
        return this.#aggregate(plan);
      case "binary":
        return this.#binary(plan);
      case "set":
        return new MergeOperator(
          new SetOperator(
            this.build(plan.left),
            this.build(plan.right),
            plan.op,
            plan.matching,
            context,
          ),
          context,
        );
      case "negate":
        return this.#merged(new NegateOperator(this.build(plan.child), context));
      case "step_invariant":
        return new StepInvariantOperator(this.build(plan.child), plan.grid);
      case "shared": {
        let rows = this.#shared.get(plan.id);
        if (rows === undefined) {
          for (const copy of plan.copies) context.annotations.mirror(copy);
          rows = new SharedRows(this.build(plan.child), context);
          this.#shared.set(plan.id, rows);
        }
        return rows.reader();
      }
      case "empty":
        return new EmptyOperator(plan.grid);
      case "range":
      case "text":
        throw new MnemeError("internal", `a ${plan.kind} cannot be evaluated by itself`);
      default:
        return unreachable(plan, "plan");
    }
  }

  #merged(operator: Operator): Operator {
    return new MergeOperator(operator, this.#context);
  }

  /** The samples of a range selector or subquery. */
  reader(range: RangePlan): SampleReader {
    return "kind" in range.source
      ? new SubqueryReader(this.build(range.source), this.#context)
      : new SelectReader(this.source(range.source), range.statsOnly, this.#context);
  }

  #rangeCall(plan: RangeCallPlan): Operator {
    if (RANGE_FUNCTIONS[plan.func] === undefined) {
      throw new MnemeError("internal", `no range function ${plan.func}`);
    }
    const { range } = plan;
    const params = plan.params.map((p) => this.build(p));
    const operator = new RangeOperator(this.reader(range), params, {
      func: plan.func,
      grid: plan.grid,
      refStart: range.references.first,
      refStep: range.references.step,
      range: range.range,
      modifier: range.modifier,
      lookback: range.lookback,
      rangePosition: range.position,
      firstPosition: plan.firstPosition,
    }, this.#context);
    return this.#merged(operator);
  }

  #aggregate(plan: AggregatePlan): Operator {
    const context = this.#context;
    const { op, grouping, position, paramPosition } = plan;
    const child = this.build(plan.child);
    switch (op) {
      case "topk":
      case "bottomk":
        return new RankOperator(child, this.build(plan.param!), op, grouping, position, context);
      case "limitk":
        return new LimitOperator(child, this.build(plan.param!), grouping);
      case "limit_ratio":
        return new LimitRatioOperator(child, this.build(plan.param!), paramPosition, context);
      case "quantile":
        return new QuantileOperator(
          child,
          this.build(plan.param!),
          grouping,
          position,
          paramPosition,
          context,
        );
      case "count_values":
        return new CountValuesOperator(
          child,
          textOf(plan.param!),
          grouping,
          formatHistogram,
          context,
        );
      default:
        return new AggregateOperator(child, op as FoldName, grouping, position, context);
    }
  }

  #binary(plan: BinaryPlan): Operator {
    const { op, returnBool, position } = plan;
    const context = this.#context;
    const left = this.build(plan.left);
    const right = this.build(plan.right);
    const leftScalar = isScalar(plan.left);
    const rightScalar = isScalar(plan.right);
    if (leftScalar && rightScalar) return new ScalarBinaryOperator(left, right, op);
    if (leftScalar || rightScalar) {
      return this.#merged(
        new VectorScalarOperator(
          leftScalar ? right : left,
          leftScalar ? left : right,
          { op, scalarOnLeft: leftScalar, returnBool, position },
          context,
        ),
      );
    }
    const match = new MatchOperator(
      left,
      right,
      { op, matching: plan.matching!, returnBool, position },
      context,
    );
    return new MergeOperator(match, context, (a, b) => match.conflict(a, b));
  }

  #call(plan: CallPlan): Operator {
    const context = this.#context;
    const { func, args } = plan;
    const float = FLOAT_FUNCTIONS[func];
    if (float !== undefined) return this.#row(plan, { kind: "float", apply: float });
    switch (func) {
      case "round":
      case "clamp":
      case "clamp_min":
      case "clamp_max":
        return this.#row(plan, { kind: func });
      case "timestamp":
      case "start_timestamp": {
        const arg = args[0]!;
        const selected = arg.kind === "select" && arg.yields !== "value";
        if (selected) return this.#row(plan, { kind: "none" });
        return func === "timestamp"
          ? this.#row(plan, { kind: "evaluation_time" })
          : new EmptyOperator(plan.grid);
      }
      case "scalar":
        return new ScalarOfVectorOperator(this.build(args[0]!));
      case "vector":
        return this.build(args[0]!);
      case "min_of":
        return new ScalarPairOperator(this.build(args[0]!), this.build(args[1]!), smaller);
      case "max_of":
        return new ScalarPairOperator(this.build(args[0]!), this.build(args[1]!), greater);
      case "sort":
      case "sort_desc":
      case "sort_by_label":
      case "sort_by_label_desc":
        return this.#sort(plan);
      case "label_replace": {
        const [dst, replacement, src, regex] = args.slice(1).map(textOf);
        const relabel = labelReplace(dst!, replacement!, src!, regex!);
        return this.#merged(new LabelOperator(this.build(args[0]!), relabel, dst!));
      }
      case "label_join": {
        const [dst, separator, ...sources] = args.slice(1).map(textOf);
        const relabel = labelJoin(dst!, separator!, sources);
        return this.#merged(new LabelOperator(this.build(args[0]!), relabel, dst!));
      }
      default:
        if (HISTOGRAM_CALLS.has(func)) {
          const built = args.map((a) => a.kind === "text" ? a.value : this.build(a));
          return this.#merged(buildHistogramCall(plan, built, context));
        }
        throw new MnemeError("internal", `function ${func} has no implementation`);
    }
  }

  #row(plan: CallPlan, rowFunction: RowFunction): Operator {
    const [child, ...params] = plan.args.map((a) => this.build(a));
    return this.#merged(new RowOperator(child!, params, rowFunction, this.#context));
  }

  #sort(plan: CallPlan): Operator {
    const { func, args, grid, position } = plan;
    const child = this.build(args[0]!);
    if (grid.count > 1) {
      this.#context.annotations.warn(TEXT_SORT_IN_RANGE, position);
      return child;
    }
    const key = func.startsWith("sort_by_label")
      ? { labels: args.slice(1).map(textOf) }
      : "value" as const;
    return new SortOperator(child, key, func.endsWith("_desc"), this.#context);
  }
}

/** The text of a literal argument. */
export function textOf(plan: Plan): string {
  if (plan.kind !== "text") throw new MnemeError("internal", "a string literal is expected");
  return plan.value;
}
