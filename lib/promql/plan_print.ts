/** Plans as text and as trees, for explain, tests and finding equal subtrees. */
import { formatDuration, formatFloatGeneral } from "../base/mod.ts";
import { formatLabels, formatMatcher, type Matcher, METRIC_NAME, quoteGo } from "../model/mod.ts";
import type { Matching } from "./matching.ts";
import { childrenOf, type Plan, type RangePlan } from "./plan.ts";
import type { SelectSpec } from "./source.ts";
import type { Grid } from "./tile.ts";

/** A node of an explained plan. */
export interface ExplainNode {
  readonly name: string;
  readonly children: readonly ExplainNode[];
}

/** A plan as a tree of one-line descriptions. */
export function explainTree(plan: Plan): ExplainNode {
  return { name: describeNode(plan), children: childrenOf(plan).map(explainTree) };
}

/** A plan as indented lines. */
export function explainText(plan: Plan, indent = ""): string {
  let text = `${indent}${describeNode(plan)}\n`;
  for (const child of childrenOf(plan)) text += explainText(child, indent + "  ");
  return text;
}

/** One line that says everything about a node but its children. */
export function describeNode(plan: Plan): string {
  switch (plan.kind) {
    case "constant":
      return formatFloatGeneral(plan.value);
    case "time":
      return `time() ${gridText(plan.grid)}`;
    case "text":
      return quoteGo(plan.value);
    case "select": {
      const what = plan.yields === "value" ? "" : ` ${plan.yields}`;
      const smoothed = (plan.smoothed ? " smoothed" : "") + (plan.statsOnly ? " stats only" : "");
      return `select ${specText(plan.spec)}${what}${smoothed} ${
        referenceText(plan.references.first, plan.references.step, plan.grid)
      } lookback ${formatDuration(plan.lookback)}`;
    }
    case "range":
      return rangeText(plan);
    case "range_call":
      return `${plan.func}(${rangeText(plan.range)})`;
    case "call":
      return `${plan.func}() ${gridText(plan.grid)}`;
    case "absent":
      return `absent ${formatLabels(plan.labels)} ${gridText(plan.grid)}`;
    case "empty":
      return "empty";
    case "info":
      return `info ${selectorText([...plan.nameMatchers, ...plan.labelMatchers])} ${
        gridText(plan.grid)
      }`;
    case "aggregate": {
      const { grouping } = plan;
      const clause = grouping.without
        ? ` without (${grouping.labels.join(", ")})`
        : grouping.labels.length > 0
        ? ` by (${grouping.labels.join(", ")})`
        : "";
      return `${plan.op}${clause}`;
    }
    case "binary":
      return `${plan.op}${plan.returnBool ? " bool" : ""}${matchingText(plan.matching)}`;
    case "set":
      return `${plan.op}${matchingText(plan.matching)}`;
    case "negate":
      return "unary -";
    case "step_invariant":
      return `step invariant, repeated ${gridText(plan.grid)}`;
    case "shared":
      return `shared #${plan.id}`;
  }
}

function rangeText(plan: RangePlan): string {
  const { references, grid, source, statsOnly } = plan;
  const modifier = plan.modifier + (statsOnly ? " stats only" : "");
  const what = "kind" in source ? "subquery" : specText(source);
  return `${what}[${formatDuration(plan.range)}]${modifier === "" ? "" : " " + modifier} ${
    referenceText(references.first, references.step, grid)
  }`;
}

function referenceText(first: number, step: number, grid: Grid): string {
  return gridText({ start: first, step, count: step === 0 ? 1 : grid.count });
}

function gridText(grid: Grid): string {
  return grid.count === 1
    ? `at ${grid.start}`
    : `from ${grid.start} step ${grid.step} × ${grid.count}`;
}

function specText(spec: SelectSpec): string {
  const { hints } = spec;
  const use = hints.func === "" ? "" : ` for ${hints.func}`;
  return `${selectorText(spec.matchers)} in [${hints.start}, ${hints.end}]${use}`;
}

/** Matchers as a selector. */
export function selectorText(matchers: readonly Matcher[]): string {
  const name = matchers.find((m) => m.name === METRIC_NAME && m.type === "=");
  const rest = matchers.filter((m) => m !== name).map(formatMatcher);
  const head = name === undefined ? "" : name.value;
  return rest.length === 0 && head !== "" ? head : `${head}{${rest.join(",")}}`;
}

function matchingText(matching: Matching | null): string {
  if (matching === null) return "";
  let text = "";
  if (matching.on || matching.labels.length > 0) {
    text += ` ${matching.on ? "on" : "ignoring"} (${matching.labels.join(", ")})`;
  }
  if (matching.cardinality === "many-to-one" || matching.cardinality === "one-to-many") {
    const side = matching.cardinality === "many-to-one" ? "left" : "right";
    text += ` group_${side} (${matching.include.join(", ")})`;
  }
  if (matching.fillLeft !== undefined) text += ` fill_left (${matching.fillLeft})`;
  if (matching.fillRight !== undefined) text += ` fill_right (${matching.fillRight})`;
  return text;
}
