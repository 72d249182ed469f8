/** The syntax tree of `/parse_query`: its parts, and each part as text again. */
import { formatDuration } from "./durations.ts";
import { formatName, quote } from "./labels.ts";

/** A node; which members it has depends on its type. Durations in ms. */
export interface SyntaxNode {
  readonly type: string;
  readonly [member: string]: unknown;
}

interface MatcherNode {
  readonly name: string;
  readonly type: string;
  readonly value: string;
}

function node(value: unknown): SyntaxNode | undefined {
  return typeof value === "object" && value !== null && "type" in value
    ? value as SyntaxNode
    : undefined;
}

/** The parts a node is made of, in the order of its text. */
export function syntaxChildren(tree: SyntaxNode): SyntaxNode[] {
  const members = tree.type === "aggregation"
    ? [tree.param, tree.expr]
    : tree.type === "binaryExpr"
    ? [tree.lhs, tree.rhs]
    : tree.type === "call"
    ? tree.args as readonly unknown[]
    : [tree.expr];
  return members.flatMap((member) => node(member) ?? []);
}

/** A node as PromQL. */
export function printNode(tree: SyntaxNode): string {
  const child = (member: unknown) => {
    const found = node(member);
    return found === undefined ? "" : printNode(found);
  };
  switch (tree.type) {
    case "numberLiteral":
      return String(tree.val);
    case "stringLiteral":
      return quote(String(tree.val));
    case "vectorSelector":
      return selector(tree) + modifiers(tree);
    case "matrixSelector":
      return `${selector(tree)}[${span(tree, "range")}]${modifiers(tree)}`;
    case "subquery":
      return `${child(tree.expr)}[${span(tree, "range")}:${
        Number(tree.step) > 0 ? span(tree, "step") : ""
      }]${modifiers(tree)}`;
    case "call":
      return `${(tree.func as { name: string }).name}(${
        (tree.args as unknown[]).map(child).join(", ")
      })`;
    case "aggregation": {
      const grouping = tree.grouping as readonly string[];
      const by = tree.without || grouping.length > 0
        ? ` ${tree.without ? "without" : "by"} (${grouping.map(formatName).join(", ")}) `
        : "";
      const param = child(tree.param);
      return `${tree.op}${by}(${param === "" ? "" : `${param}, `}${child(tree.expr)})`;
    }
    case "binaryExpr":
      return `${child(tree.lhs)} ${tree.op}${tree.bool ? " bool" : ""}${matching(tree)} ${
        child(tree.rhs)
      }`;
    case "unaryExpr":
      return `${tree.op}${child(tree.expr)}`;
    case "parenExpr":
      return `(${child(tree.expr)})`;
    default:
      return "…";
  }
}

function selector(tree: SyntaxNode): string {
  const name = String(tree.name ?? "");
  const matchers = (tree.matchers as readonly MatcherNode[])
    .filter((m) => !(m.name === "__name__" && m.type === "=" && m.value === name && name !== ""))
    .map((m) => `${formatName(m.name)}${m.type}${quote(m.value)}`);
  const plain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
  if (!plain && name !== "") matchers.unshift(quote(name));
  const inside = matchers.length > 0 || !plain ? `{${matchers.join(", ")}}` : "";
  return `${plain ? name : ""}${inside}`;
}

function span(tree: SyntaxNode, member: string): string {
  // A computed duration has no text here; its tree says what it is made of.
  return tree[`${member}Expr`] ? "…" : formatDuration(Number(tree[member]));
}

function modifiers(tree: SyntaxNode): string {
  const { timestamp, startOrEnd } = tree;
  const at = typeof timestamp === "number"
    ? ` @ ${timestamp / 1000}`
    : startOrEnd
    ? ` @ ${startOrEnd}()`
    : "";
  const offset = Number(tree.offset ?? 0);
  return at + (offset !== 0 ? ` offset ${formatDuration(offset)}` : "") +
    (tree.anchored ? " anchored" : "") + (tree.smoothed ? " smoothed" : "");
}

function matching(tree: SyntaxNode): string {
  const m = tree.matching as {
    readonly card: string;
    readonly labels: readonly string[];
    readonly include: readonly string[];
    readonly on: boolean;
  } | null;
  if (m === null) return "";
  const labels = m.on || m.labels.length > 0
    ? ` ${m.on ? "on" : "ignoring"} (${m.labels.map(formatName).join(", ")})`
    : "";
  const side = m.card === "many-to-one" ? "left" : m.card === "one-to-many" ? "right" : "";
  return labels + (side === "" ? "" : ` group_${side} (${m.include.map(formatName).join(", ")})`);
}
