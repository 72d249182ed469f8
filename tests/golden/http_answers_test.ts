/**
 * Replays 408 HTTP calls that real Thanos answered over `bucket-compacted`, against our store
 * gateway and querier as processes.
 */
import assert from "node:assert/strict";
import { copyTree, Stage } from "../mneme.ts";
import {
  ask,
  differenceOf,
  GOLDEN,
  readCalls,
  type RecordedCall,
  serve,
} from "./recorded_calls.ts";

/** Answers that differ on purpose or are not built yet, each with its reason. */
const KNOWN_GAPS: Readonly<Record<string, string>> = {};

Deno.test("the querier answers recorded HTTP calls as Thanos does", async () => {
  const calls = await readCalls();
  if (calls === undefined) return;
  await using stage = await Stage.open();
  const bucket = `${stage.folder}/bucket`;
  await copyTree(`${GOLDEN}bucket-compacted`, bucket);
  const querier = await serve(stage, bucket);
  const failures: string[] = [];
  const unexpected: string[] = [];
  let passed = 0;
  for (const call of calls) {
    const difference = differenceOf(call, await ask(querier, call));
    if (difference === undefined) {
      passed++;
      if (call.name in KNOWN_GAPS) unexpected.push(call.name);
    } else if (call.name in KNOWN_GAPS) {
      console.log(`known: ${call.name}: ${KNOWN_GAPS[call.name]}`);
    } else {
      failures.push(`${call.name} ${JSON.stringify(call.params ?? {})}: ${difference}`);
    }
  }
  console.log(`${passed} of ${calls.length} recorded answers equal`);
  assert.deepEqual(unexpected, [], "listed as known gaps, but equal");
  assert.equal(failures.length, 0, failures.join("\n"));
});

/** Recorded answers over `bucket-compacted` that hold over `bucket-compacted-dedup`, word for word. */
const HOLD_DEDUPLICATED = 217;

/** The question tells replicas apart, which the compactor has made one. */
function asksForReplicas(call: RecordedCall): boolean {
  return /replica|"dedup"/.test(JSON.stringify(call.params ?? {})) || call.path.includes("replica");
}

Deno.test("over a bucket that the compactor deduplicated, recorded calls are answered in the same form", async () => {
  const calls = await readCalls();
  if (calls === undefined) return;
  await using stage = await Stage.open();
  const bucket = `${stage.folder}/bucket`;
  await copyTree(`${GOLDEN}bucket-compacted-dedup`, bucket);
  const querier = await serve(stage, bucket);
  const failures: string[] = [];
  let equal = 0;
  for (const call of calls) {
    const answer = await ask(querier, call);
    const difference = differenceOf(call, answer);
    if (difference === undefined) equal++;
    else if (call.status !== 200 && !asksForReplicas(call)) {
      failures.push(`${call.name}: ${difference}`);
    } else if (!asksForReplicas(call)) {
      // Samples of a merged block are others than those of two replicas merged for a query; what
      // kind of answer it is must not change.
      const type = (of: unknown) => (of as { data?: { resultType?: string } }).data?.resultType;
      if (answer.status !== 200 || type(answer.body) !== type(call.body)) {
        failures.push(`${call.name}: ${difference}`);
      }
    }
  }
  console.log(`${equal} of ${calls.length} recorded answers equal over the deduplicated bucket`);
  assert.deepEqual(failures, []);
  assert.ok(equal >= HOLD_DEDUPLICATED, `only ${equal} answers are equal`);
});
