/** The HTTP calls that real Thanos answered over `bucket-compacted`, and how they are asked again. */
import { compareBodies } from "../answers.ts";
import type { Server, Stage } from "../mneme.ts";

/** Folder of the golden data. */
export const GOLDEN = new URL("../../../shared/golden/", import.meta.url).pathname;

/** A call as it was recorded. */
export interface RecordedCall {
  readonly name: string;
  readonly method?: string;
  readonly path: string;
  readonly params?: Record<string, string | string[]>;
  readonly status: number;
  readonly body: unknown;
}

/** All calls; undefined, with the reason printed, where the golden data are absent. */
export async function readCalls(): Promise<RecordedCall[] | undefined> {
  try {
    const text = await Deno.readTextFile(`${GOLDEN}http-answers.jsonl`);
    return text.trim().split("\n").map((line) => JSON.parse(line) as RecordedCall);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("skipped: ../shared/golden is not there");
    return undefined;
  }
}

/** A querier over a store gateway over the bucket in a folder, as the recorded one was. */
export async function serve(stage: Stage, bucket: string): Promise<Server> {
  const store = await stage.store(bucket);
  return await stage.mneme("query", [
    `--endpoint=${store.grpc}`,
    "--query.replica-label=replica",
  ]);
}

/** What a querier answers: the status, and the body as JSON, or as text where it is none. */
export async function ask(
  querier: Server,
  call: RecordedCall,
): Promise<Pick<RecordedCall, "status" | "body">> {
  const answer = await fetch(requestOf(querier.http, call));
  const text = await answer.text();
  return {
    status: answer.status,
    body: typeof call.body === "string" ? text : parsed(text),
  };
}

/** The first difference of an answer from another one in words; undefined when they are equal. */
export function differenceOf(
  expected: Pick<RecordedCall, "status" | "body">,
  actual: Pick<RecordedCall, "status" | "body">,
): string | undefined {
  if (expected.status === actual.status) return compareBodies(expected.body, actual.body);
  const told = JSON.stringify(actual.body).slice(0, 300);
  return `status ${actual.status}, expected ${expected.status}: ${told}`;
}

function requestOf(base: string, call: RecordedCall): Request {
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
