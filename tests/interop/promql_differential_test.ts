/** Our engine and a real Prometheus agree on random queries. */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { runDifferential } from "./promql_differential.ts";

Deno.test({
  name: "2,000 random queries give what a real Prometheus gives",
  async fn() {
    if (!isOnPath("prometheus")) {
      console.log("skipped: prometheus is not on PATH");
      return;
    }
    const seed = Number(Deno.env.get("MNEME_SEED") ?? Math.floor(Date.now() / 1000));
    const queries = Number(Deno.env.get("MNEME_QUERIES") ?? 2000);
    console.log(`seed ${seed} (MNEME_SEED=${seed} repeats it)`);
    const differences: string[] = [];
    const { agreed, differ, populated } = await runDifferential({
      queries,
      seed,
      report: (text) => differences.push(text),
    });
    assert.equal(differ, 0, differences.slice(0, 10).join("\n"));
    assert.equal(agreed, queries);
    assert.ok(populated > queries / 3, `only ${populated} of ${queries} queries have samples`);
  },
});
