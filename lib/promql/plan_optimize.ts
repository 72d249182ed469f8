/** Rewrites of a plan; each pass is a pure function from plan to plan. */
import { formatMatcher } from "../model/mod.ts";
import {
  arithmeticValue,
  compareValue,
  isComparison,
  isTrim,
  type ValueOperator,
} from "./kernel_binary.ts";
import { childrenOf, isScalar, mapChildren, type Plan } from "./plan.ts";
import { describeNode } from "./plan_print.ts";
import type { SelectSpec } from "./source.ts";
import type { SelectHints } from "./storage.ts";

/** A rewrite. */
export type Pass = (plan: Plan) => Plan;

/** Applies all passes. */
export function optimize(plan: Plan): Plan {
  return PASSES.reduce((p, pass) => pass(p), plan);
}

/** Scalar operators between constants become constants. */
export function foldConstants(plan: Plan): Plan {
  const node = mapChildren(plan, foldConstants);
  switch (node.kind) {
    case "binary": {
      const { left, right, op } = node;
      if (left.kind !== "constant" || right.kind !== "constant" || isTrim(op)) return node;
      return { kind: "constant", grid: node.grid, value: scalarBinary(op, left, right) };
    }
    case "negate":
      return node.child.kind === "constant"
        ? { kind: "constant", grid: node.grid, value: -node.child.value }
        : node;
    case "step_invariant":
      return node.child.kind === "constant" ? { ...node.child, grid: node.grid } : node;
    default:
      return node;
  }
}

function scalarBinary(
  op: Exclude<ValueOperator, "</" | ">/">,
  left: { value: number },
  right: { value: number },
): number {
  if (!isComparison(op)) return arithmeticValue(op, left.value, right.value);
  return compareValue(op, left.value, right.value) ? 1 : 0;
}

/**
 * Selects with the same matchers and purpose whose time ranges touch become one select over both:
 * `rate(x[5m]) / rate(x[10m])` fetches x once. Ranges far apart stay apart, so that nothing between
 * them is fetched. Gives every hint the extent of the whole query on the way.
 */
export function mergeSelects(plan: Plan): Plan {
  const specs = new Set<SelectSpec>();
  collectSpecs(plan, specs);
  if (specs.size === 0) return plan;
  let queryStart = Infinity;
  let queryEnd = -Infinity;
  for (const { hints } of specs) {
    queryStart = Math.min(queryStart, hints.start);
    queryEnd = Math.max(queryEnd, hints.end);
  }
  const groups = new Map<string, SelectSpec[]>();
  for (const spec of specs) {
    const { func, step, by, grouping } = spec.hints;
    const key = JSON.stringify([spec.matchers.map(formatMatcher), func, step, by, grouping]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [spec]);
    else group.push(spec);
  }
  const merged = new Map<SelectSpec, SelectSpec>();
  for (const group of groups.values()) {
    group.sort((a, b) => a.hints.start - b.hints.start);
    for (let i = 0; i < group.length;) {
      let hints: SelectHints = group[i]!.hints;
      let j = i + 1;
      for (; j < group.length && group[j]!.hints.start <= hints.end + 1; j++) {
        const next = group[j]!.hints;
        hints = {
          ...hints,
          end: Math.max(hints.end, next.end),
          range: Math.max(hints.range, next.range),
          window: Math.min(hints.window ?? hints.range, next.window ?? next.range),
        };
      }
      const spec = { matchers: group[i]!.matchers, hints: { ...hints, queryStart, queryEnd } };
      for (; i < j; i++) merged.set(group[i]!, spec);
    }
  }
  return replaceSpecs(plan, merged);
}

function collectSpecs(plan: Plan, specs: Set<SelectSpec>): void {
  if (plan.kind === "select") specs.add(plan.spec);
  else if (plan.kind === "range" && !("kind" in plan.source)) specs.add(plan.source);
  else if (plan.kind === "range_call" && !("kind" in plan.range.source)) {
    specs.add(plan.range.source);
  }
  for (const child of childrenOf(plan)) collectSpecs(child, specs);
}

function replaceSpecs(plan: Plan, by: ReadonlyMap<SelectSpec, SelectSpec>): Plan {
  const node = mapChildren(plan, (child) => replaceSpecs(child, by));
  if (node.kind === "select") return { ...node, spec: by.get(node.spec)! };
  if (node.kind === "range" && !("kind" in node.source)) {
    return { ...node, source: by.get(node.source)! };
  }
  if (node.kind === "range_call" && !("kind" in node.range.source)) {
    return { ...node, range: { ...node.range, source: by.get(node.range.source)! } };
  }
  return node;
}

/**
 * Equal subtrees become one that is evaluated once. Scalars are cheap to compute again and stay.
 * Subtrees count as equal when they are also written alike, so that what is annotated about one
 * holds for the places of the others.
 */
export function shareSubtrees(plan: Plan): Plan {
  const finder = new EqualSubtrees();
  finder.number(plan);
  if (!finder.found) return plan;
  finder.count(plan);
  const shared = new Map<number, Subtree[]>();
  const rewrite = (node: Plan): Plan => {
    const subtree = finder.get(node);
    if (finder.occurrences(subtree) < 2 || !isShareable(node)) return mapChildren(node, rewrite);
    const others = shared.get(subtree.id);
    if (others === undefined) shared.set(subtree.id, [subtree]);
    else others.push(subtree);
    const child = mapChildren(node, rewrite);
    return { kind: "shared", grid: node.grid, id: subtree.id, child, copies: [] };
  };
  const rewritten = rewrite(plan);
  const complete = (plain: Plan): Plan => {
    const node = mapChildren(plain, complete);
    if (node.kind !== "shared") return node;
    const [first, ...others] = shared.get(node.id)!;
    return {
      ...node,
      copies: others.map((o) => ({ from: first!.min, to: first!.max, delta: o.min - first!.min })),
    };
  };
  return complete(rewritten);
}

function isShareable(plan: Plan): boolean {
  return plan.kind !== "text" && plan.kind !== "empty" && plan.kind !== "range" && !isScalar(plan);
}

/** A subtree: its number (equal ones share it) and the places in the text it speaks of. */
interface Subtree {
  readonly id: number;
  readonly min: number;
  readonly max: number;
}

/** Numbers subtrees so that equal ones get equal numbers. */
class EqualSubtrees {
  #ids = new Map<string, number>();
  #counts: number[] = [];
  #subtrees = new Map<Plan, Subtree>();
  found = false;

  get(plan: Plan): Subtree {
    return this.#subtrees.get(plan)!;
  }

  occurrences(subtree: Subtree): number {
    return this.#counts[subtree.id]!;
  }

  /** Counts how often each is evaluated if no equal one is evaluated twice. */
  count(plan: Plan): void {
    const { id } = this.get(plan);
    if (++this.#counts[id]! > 1 && isShareable(plan)) return;
    for (const child of childrenOf(plan)) this.count(child);
  }

  /** Numbers a subtree and all below it. */
  number(plan: Plan): Subtree {
    const children = childrenOf(plan).map((child) => this.number(child));
    const own = positionsOf(plan);
    const min = Math.min(...own, ...children.map((c) => c.min));
    const max = Math.max(...own, ...children.map((c) => c.max));
    const { start, step, count } = plan.grid;
    const text = JSON.stringify([
      describeNode(plan),
      start,
      step,
      count,
      own.map((p) => p - min),
      children.map((c) => [c.id, c.min - min]),
    ]);
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(text, id);
      this.#counts.push(0);
    } else this.found ||= isShareable(plan);
    const subtree = { id, min, max };
    this.#subtrees.set(plan, subtree);
    return subtree;
  }
}

/** Places in the text that annotations of a node may name. */
function positionsOf(plan: Plan): number[] {
  switch (plan.kind) {
    case "select":
    case "range":
    case "binary":
      return [plan.position];
    case "range_call":
      return [plan.range.position, plan.firstPosition];
    case "call":
      return [plan.position, ...plan.argPositions];
    case "aggregate":
      return plan.param === null ? [plan.position] : [plan.position, plan.paramPosition];
    default:
      return [];
  }
}

const PASSES: readonly Pass[] = [foldConstants, mergeSelects, shareSubtrees];
