import assert from "node:assert/strict";
import { measure } from "./dedup_error.ts";

Deno.test("adaptive deduplication is nearer to the true rate than penalty where replicas fail", async () => {
  for (const changes of [{}, { missed: 0.1 }, { interval: 60_000, outageLength: 8 }]) {
    const figures = await measure("rate(x[5m])", 40, 1000, changes);
    const [ours, penalty] = [figures.get("adaptive")!, figures.get("penalty")!];
    const what = JSON.stringify({ changes, ours, penalty });
    assert.ok(ours.windows > 3000, what);
    assert.ok(ours.mean < penalty.mean && ours.p99 < penalty.p99, what);
    assert.ok(ours.wild <= penalty.wild && ours.empty === 0, what);
  }
});
