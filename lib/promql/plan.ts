/**
 * The logical plan: what a query does, with every time resolved.
 *
 * A node has the grid it is evaluated on; selectors carry absolute reference times, so offsets, `@`
 * and lookback exist no more. Plans are values: passes make new ones.
 */
import type { Labels, Matcher } from "../model/mod.ts";
import type { ValueOperator } from "./kernel_binary.ts";
import type { Matching } from "./matching.ts";
import type { Grouping } from "./op_aggregate.ts";
import type { References, SelectYield } from "./op_select.ts";
import type { SetName } from "./op_set.ts";
import type { SelectSpec } from "./source.ts";
import type { SelectHints } from "./storage.ts";
import type { Grid } from "./tile.ts";

/** A number, the same at every step. */
export interface ConstantPlan {
  readonly kind: "constant";
  readonly grid: Grid;
  readonly value: number;
}

/** The evaluation time in seconds. */
export interface TimePlan {
  readonly kind: "time";
  readonly grid: Grid;
}

/** A text; only as an argument or as the whole query. */
export interface TextPlan {
  readonly kind: "text";
  readonly grid: Grid;
  readonly value: string;
}

/** An instant selector. */
export interface SelectPlan {
  readonly kind: "select";
  readonly grid: Grid;
  readonly spec: SelectSpec;
  readonly references: References;
  readonly lookback: number;
  readonly yields: SelectYield;
  /** Interpolate between the neighbours instead of taking the newest sample. */
  readonly smoothed: boolean;
  /** Only count and sum of histograms are asked for. */
  readonly statsOnly: boolean;
  readonly position: number;
}

/** Samples in windows: of a selector or of an inner plan on its own grid. */
export interface RangePlan {
  readonly kind: "range";
  readonly grid: Grid;
  readonly source: SelectSpec | Plan;
  readonly references: References;
  readonly range: number;
  readonly modifier: "" | "anchored" | "smoothed";
  readonly lookback: number;
  /** Only count and sum of histograms are asked for. */
  readonly statsOnly: boolean;
  readonly position: number;
}

/** A range function over windows. */
export interface RangeCallPlan {
  readonly kind: "range_call";
  readonly grid: Grid;
  readonly func: string;
  readonly range: RangePlan;
  readonly params: readonly Plan[];
  readonly firstPosition: number;
}

/** Any other function. */
export interface CallPlan {
  readonly kind: "call";
  readonly grid: Grid;
  readonly func: string;
  readonly args: readonly Plan[];
  readonly position: number;
  /** Places of the arguments. */
  readonly argPositions: readonly number[];
}

/** absent(), absent_over_time(): the row it yields when nothing is there. */
export interface AbsentPlan {
  readonly kind: "absent";
  readonly grid: Grid;
  readonly child: Plan;
  readonly labels: Labels;
}

/** info(): joins labels of info metrics. */
export interface InfoPlan {
  readonly kind: "info";
  readonly grid: Grid;
  readonly child: Plan;
  readonly references: References;
  readonly lookback: number;
  readonly hints: SelectHints;
  /** Matchers of the second argument: on the info metric's name, and on its other labels. */
  readonly nameMatchers: readonly Matcher[];
  readonly labelMatchers: readonly Matcher[];
}

/** An aggregation. */
export interface AggregatePlan {
  readonly kind: "aggregate";
  readonly grid: Grid;
  readonly op: string;
  readonly child: Plan;
  readonly param: Plan | null;
  readonly grouping: Grouping;
  readonly position: number;
  readonly paramPosition: number;
}

/** scalar op scalar, scalar op vector, vector op scalar, vector op vector. */
export interface BinaryPlan {
  readonly kind: "binary";
  readonly grid: Grid;
  readonly op: ValueOperator;
  readonly left: Plan;
  readonly right: Plan;
  readonly matching: Matching | null;
  readonly returnBool: boolean;
  readonly position: number;
}

/** and, or, unless. */
export interface SetPlan {
  readonly kind: "set";
  readonly grid: Grid;
  readonly op: SetName;
  readonly left: Plan;
  readonly right: Plan;
  readonly matching: Matching;
}

/** Unary minus. */
export interface NegatePlan {
  readonly kind: "negate";
  readonly grid: Grid;
  readonly child: Plan;
}

/** Evaluates the child at one step and repeats it over the grid. */
export interface StepInvariantPlan {
  readonly kind: "step_invariant";
  readonly grid: Grid;
  readonly child: Plan;
}

/** A subtree that occurs more than once; evaluated once. */
export interface SharedPlan {
  readonly kind: "shared";
  readonly grid: Grid;
  readonly id: number;
  readonly child: Plan;
  /** What is annotated at places [from, to] holds as well delta further on. */
  readonly copies: readonly {
    readonly from: number;
    readonly to: number;
    readonly delta: number;
  }[];
}

/** Nothing at any step. */
export interface EmptyPlan {
  readonly kind: "empty";
  readonly grid: Grid;
}

/** A node of the plan. */
export type Plan =
  | ConstantPlan
  | TimePlan
  | TextPlan
  | SelectPlan
  | RangePlan
  | RangeCallPlan
  | CallPlan
  | AbsentPlan
  | InfoPlan
  | AggregatePlan
  | BinaryPlan
  | SetPlan
  | NegatePlan
  | StepInvariantPlan
  | SharedPlan
  | EmptyPlan;

/** Functions that yield a scalar. */
const SCALAR_CALLS: ReadonlySet<string> = new Set(["scalar", "min_of", "max_of"]);

/** True when a plan yields a scalar. */
export function isScalar(plan: Plan): boolean {
  switch (plan.kind) {
    case "constant":
    case "time":
      return true;
    case "call":
      return SCALAR_CALLS.has(plan.func);
    case "binary":
      return isScalar(plan.left) && isScalar(plan.right);
    case "negate":
    case "step_invariant":
    case "shared":
      return isScalar(plan.child);
    default:
      return false;
  }
}

/** The direct children of a node, in order. */
export function childrenOf(plan: Plan): readonly Plan[] {
  switch (plan.kind) {
    case "range":
      return "kind" in plan.source ? [plan.source] : [];
    case "range_call":
      return [...childrenOf(plan.range), ...plan.params];
    case "call":
      return plan.args;
    case "absent":
    case "info":
    case "negate":
    case "step_invariant":
    case "shared":
      return [plan.child];
    case "aggregate":
      return plan.param === null ? [plan.child] : [plan.param, plan.child];
    case "binary":
    case "set":
      return [plan.left, plan.right];
    default:
      return [];
  }
}

/** A copy of a node whose children went through `f`; the node itself when none changed. */
export function mapChildren(plan: Plan, f: (child: Plan) => Plan): Plan {
  switch (plan.kind) {
    case "range": {
      if (!("kind" in plan.source)) return plan;
      const source = f(plan.source);
      return source === plan.source ? plan : { ...plan, source };
    }
    case "range_call": {
      const range = mapChildren(plan.range, f) as RangePlan;
      const params = plan.params.map(f);
      const same = range === plan.range && params.every((p, i) => p === plan.params[i]);
      return same ? plan : { ...plan, range, params };
    }
    case "call": {
      const args = plan.args.map(f);
      return args.every((a, i) => a === plan.args[i]) ? plan : { ...plan, args };
    }
    case "absent":
    case "info":
    case "negate":
    case "step_invariant":
    case "shared": {
      const child = f(plan.child);
      return child === plan.child ? plan : { ...plan, child };
    }
    case "aggregate": {
      const child = f(plan.child);
      const param = plan.param === null ? null : f(plan.param);
      return child === plan.child && param === plan.param ? plan : { ...plan, child, param };
    }
    case "binary":
    case "set": {
      const left = f(plan.left);
      const right = f(plan.right);
      return left === plan.left && right === plan.right ? plan : { ...plan, left, right };
    }
    default:
      return plan;
  }
}
