/** Questions to the HTTP API in tests, and tests over the golden bucket. */
import type { Server } from "./mneme.ts";
import { copyTree, Stage } from "./mneme.ts";

/** A parsed JSON answer, of whatever shape. */
// deno-lint-ignore no-explicit-any
export type Body = any;

/** Calls `/api/v1/<path>` by GET; a list of values is a repeated parameter. */
export async function ask(
  server: Pick<Server, "http">,
  path: string,
  params: Readonly<Record<string, string | readonly string[]>> = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; headers: Headers; body: Body }> {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) search.append(name, one);
  }
  const answer = await fetch(`${server.http}/api/v1/${path}?${search}`, { headers });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}

const GOLDEN = new URL("../../shared/golden/bucket-compacted", import.meta.url).pathname;

/** The last second of the golden bucket, as a parameter. */
export const GOLDEN_TIME = "1790650817";

/** A query over the golden bucket with one series in its answer. */
export const COUNT_QUERY = { query: "count(http_requests_total)", time: GOLDEN_TIME } as const;

/** A test with processes over a copy of the golden bucket; skipped where that is not there. */
export function goldenTest(
  name: string,
  fn: (stage: Stage, bucket: string) => Promise<void>,
): void {
  Deno.test({
    name,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      try {
        await Deno.stat(GOLDEN);
      } catch {
        console.log(`skipped: ${GOLDEN} is not there`);
        return;
      }
      await using stage = await Stage.open();
      const bucket = `${stage.folder}/bucket`;
      await copyTree(GOLDEN, bucket);
      await fn(stage, bucket);
    },
  });
}
