import assert from "node:assert/strict";
import { parseExpr, printExpr } from "../promql/mod.ts";
import { enforceTenant } from "./tenancy.ts";

Deno.test("enforceTenant() reaches every selector and replaces the tenant's matcher", () => {
  const table: [string, string][] = [
    ["up", 'up{tenant="t"}'],
    ['{__name__="up"}', '{__name__="up",tenant="t"}'],
    ['up{tenant!="t", a="b"} @ 5 offset 1m', 'up{a="b",tenant="t"} @ 5.000 offset 1m'],
    ["1 + 2", "1 + 2"],
    [
      "topk(scalar(k), rate(a[5m])) / on (x) group_left () -(b) > bool max_over_time(c[1h:1m])",
      'topk(scalar(k{tenant="t"}), rate(a{tenant="t"}[5m])) / on (x) group_left () ' +
      '-(b{tenant="t"}) > bool max_over_time(c{tenant="t"}[1h:1m])',
    ],
    [
      'label_replace(up, "a", "$1", "b", "(.*)")',
      'label_replace(up{tenant="t"}, "a", "$1", "b", "(.*)")',
    ],
  ];
  for (const [query, expected] of table) {
    const text = printExpr(enforceTenant(parseExpr(query), "tenant", "t"));
    // Whatever the order of matchers in the text, both mean the same.
    assert.equal(printExpr(parseExpr(text)), printExpr(parseExpr(expected)), query);
  }
});
