/**
 * Replays 408 HTTP calls that real Thanos answered over `bucket-compacted`, against our store
 * gateway and querier as processes.
 */
import assert from "node:assert/strict";
import { compareBodies } from "../answers.ts";
import { copyTree, Stage } from "../mneme.ts";

const GOLDEN = new URL("../../../shared/golden/", import.meta.url).pathname;

interface Call {
  readonly name: string;
  readonly method?: string;
  readonly path: string;
  readonly params?: Record<string, string | string[]>;
  readonly status: number;
  readonly body: unknown;
}

/** Answers that differ on purpose or are not built yet, each with its reason. */
const KNOWN_GAPS: Readonly<Record<string, string>> = {};

async function readCalls(): Promise<Call[] | undefined> {
  try {
    const text = await Deno.readTextFile(`${GOLDEN}http-answers.jsonl`);
    return text.trim().split("\n").map((line) => JSON.parse(line) as Call);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function requestOf(base: string, call: Call): Request {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(call.params ?? {})) {
    for (const v of Array.isArray(value) ? value : [value]) params.append(name, v);
  }
  if (call.method === "POST") {
    return new Request(`${base}${call.path}`, { method: "POST", body: params, redirect: "manual" });
  }
  const query = params.size === 0 ? "" : `?${params}`;
  return new Request(`${base}${call.path}${query}`, {
    method: call.method ?? "GET",
    redirect: "manual",
  });
}

/** The body as JSON; a text that is none compares as itself. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

Deno.test({
  name: "the querier answers recorded HTTP calls as Thanos does",
  async fn() {
    const calls = await readCalls();
    if (calls === undefined) {
      console.log("skipped: ../shared/golden is not there");
      return;
    }
    await using stage = await Stage.open();
    const bucket = `${stage.folder}/bucket`;
    await copyTree(`${GOLDEN}bucket-compacted`, bucket);
    const store = await stage.store(bucket);
    const query = await stage.mneme("query", [
      `--endpoint=${store.grpc}`,
      "--query.replica-label=replica",
    ]);
    const failures: string[] = [];
    const unexpected: string[] = [];
    let passed = 0;
    for (const call of calls) {
      const answer = await fetch(requestOf(query.http, call));
      const text = await answer.text();
      const difference = answer.status !== call.status
        ? `status ${answer.status}, expected ${call.status}: ${text.slice(0, 300)}`
        : compareBodies(call.body, typeof call.body === "string" ? text : parsed(text));
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
  },
});

/** Recorded answers over `bucket-compacted` that hold over `bucket-compacted-dedup`, word for word. */
const HOLD_DEDUPLICATED = 217;

/** The question tells replicas apart, which the compactor has made one. */
function asksForReplicas(call: Call): boolean {
  return /replica|"dedup"/.test(JSON.stringify(call.params ?? {})) || call.path.includes("replica");
}

Deno.test({
  name:
    "over a bucket that the compactor deduplicated, recorded calls are answered in the same form",
  async fn() {
    const calls = await readCalls();
    if (calls === undefined) {
      console.log("skipped: ../shared/golden is not there");
      return;
    }
    await using stage = await Stage.open();
    const bucket = `${stage.folder}/bucket`;
    await copyTree(`${GOLDEN}bucket-compacted-dedup`, bucket);
    const store = await stage.store(bucket);
    const query = await stage.mneme("query", [
      `--endpoint=${store.grpc}`,
      "--query.replica-label=replica",
    ]);
    const failures: string[] = [];
    let equal = 0;
    for (const call of calls) {
      const answer = await fetch(requestOf(query.http, call));
      const text = await answer.text();
      const body = typeof call.body === "string" ? text : parsed(text);
      const difference = answer.status === call.status
        ? compareBodies(call.body, body)
        : `status ${answer.status}, expected ${call.status}`;
      if (difference === undefined) equal++;
      else if (call.status !== 200 && !asksForReplicas(call)) {
        failures.push(`${call.name}: ${difference}`);
      } else if (!asksForReplicas(call)) {
        // Samples of a merged block are others than those of two replicas merged for a query; what
        // kind of answer it is must not change.
        const type = (of: unknown) => (of as { data?: { resultType?: string } }).data?.resultType;
        if (answer.status !== 200 || type(body) !== type(call.body)) {
          failures.push(`${call.name}: ${difference}`);
        }
      }
    }
    console.log(`${equal} of ${calls.length} recorded answers equal over the deduplicated bucket`);
    assert.deepEqual(failures, []);
    assert.ok(equal >= HOLD_DEDUPLICATED, `only ${equal} answers are equal`);
  },
});
