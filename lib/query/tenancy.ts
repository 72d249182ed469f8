/** Enforced tenancy: every selector of a query gets the tenant's matcher in place of any of its own. */
import { makeMatcher, type Matcher } from "../model/mod.ts";
import type { Expr } from "../promql/mod.ts";

/** The matchers with exactly one on the tenant label, that of the tenant. */
export function enforceMatchers(
  matchers: readonly Matcher[],
  label: string,
  tenant: string,
): Matcher[] {
  return [makeMatcher("=", label, tenant), ...matchers.filter((m) => m.name !== label)];
}

/** The expression over the tenant's series only. */
export function enforceTenant(expr: Expr, label: string, tenant: string): Expr {
  const enforced = <E extends Expr>(inner: E): E => enforceTenant(inner, label, tenant) as E;
  switch (expr.type) {
    case "VectorSelector":
      return { ...expr, matchers: enforceMatchers(expr.matchers, label, tenant) };
    case "MatrixSelector":
      return { ...expr, selector: enforced(expr.selector) };
    case "SubqueryExpr":
    case "UnaryExpr":
    case "ParenExpr":
    case "StepInvariantExpr":
      return { ...expr, expr: enforced(expr.expr) };
    case "Call":
      return { ...expr, args: expr.args.map(enforced) };
    case "AggregateExpr":
      return {
        ...expr,
        expr: enforced(expr.expr),
        param: expr.param === null ? null : enforced(expr.param),
      };
    case "BinaryExpr":
      return { ...expr, lhs: enforced(expr.lhs), rhs: enforced(expr.rhs) };
    case "NumberLiteral":
    case "StringLiteral":
      return expr;
  }
}
