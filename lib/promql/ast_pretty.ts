/**
 * Text of a tree over several lines: what is longer than a line is split at its structure, two
 * blanks a level, as Prometheus' format_query does.
 */
import { utf8Length } from "../base/mod.ts";
import type { Expr } from "./ast.ts";
import {
  printAggregateHead,
  printBinaryHead,
  printExpr,
  printModifiers,
  printSubqueryBrackets,
} from "./ast_print.ts";

/** Longest text that stays on one line, bytes of UTF-8. */
const LINE_WIDTH = 100;

/** The text over as many lines as it needs. */
export function prettyExpr(expr: Expr): string {
  return pretty(expr, 0);
}

function pretty(expr: Expr, level: number): string {
  const indent = "  ".repeat(level);
  switch (expr.type) {
    case "SubqueryExpr":
    case "AggregateExpr":
    case "BinaryExpr":
    case "Call":
    case "ParenExpr": {
      const line = printExpr(expr);
      // A subquery that fits stands at the left margin: as in Prometheus, so that texts are equal.
      if (utf8Length(line) <= LINE_WIDTH) {
        return expr.type === "SubqueryExpr" ? line : indent + line;
      }
      break;
    }
    case "UnaryExpr":
      return indent + expr.op + pretty(expr.expr, level).trim();
    case "StepInvariantExpr":
      return pretty(expr.expr, level);
    default:
      // Selectors and literals have no place to split at.
      return indent + printExpr(expr);
  }
  switch (expr.type) {
    case "SubqueryExpr":
      return pretty(expr.expr, level) + printSubqueryBrackets(expr) + printModifiers(expr);
    case "AggregateExpr": {
      const param = expr.param === null ? "" : `${pretty(expr.param, level + 1)},\n`;
      const body = pretty(expr.expr, level + 1);
      return `${indent}${printAggregateHead(expr)}(\n${param}${body}\n${indent})`;
    }
    case "BinaryExpr": {
      const lhs = pretty(expr.lhs, level + 1);
      return `${lhs}\n${indent}${printBinaryHead(expr)}\n${pretty(expr.rhs, level + 1)}`;
    }
    case "Call": {
      const args = expr.args.map((arg) => pretty(arg, level + 1)).join(",\n");
      return `${indent}${expr.func}(\n${args}\n${indent})`;
    }
    case "ParenExpr":
      return `${indent}(\n${pretty(expr.expr, level + 1)}\n${indent})`;
  }
}
