/** A store gateway killed while it writes its data directory: the next one answers the same. */
import { strict as assert } from "node:assert";
import { Random } from "../../lib/base/testing/random.ts";
import { makeMatcher } from "../../lib/model/mod.ts";
import { connectRpc } from "../../lib/rpc/mod.ts";
import { RemoteStore } from "../../lib/storeapi/mod.ts";
import { callContext, seriesRequest } from "../../lib/storeapi/testing/fixtures.ts";
import { manyBlocks } from "../bench/store_start.ts";
import { type Server, Stage } from "../mneme.ts";

const golden = new URL("../../../shared/golden/bucket-in", import.meta.url).pathname;
const BLOCKS = 150;

async function seriesOf(server: Server): Promise<number> {
  const client = connectRpc(server.grpc);
  try {
    const request = seriesRequest({
      matchers: [makeMatcher("=", "__name__", "http_requests_total")],
      partialResponse: "abort",
    });
    let count = 0;
    for await (const frame of new RemoteStore(client).series(request, callContext())) {
      count += frame.series.length;
    }
    return count;
  } finally {
    client.close();
  }
}

Deno.test({
  name: "kill -9 while metas and index headers are written costs nothing but their making",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    if (!await Deno.stat(golden).then(() => true, () => false)) {
      return console.log(`skipped: ${golden} is not there`);
    }
    await using stage = await Stage.open();
    const bucket = await manyBlocks(stage.folder, BLOCKS);
    const data = `${stage.folder}/data`;
    const args = [
      `--objstore.config=${JSON.stringify({ type: "FILESYSTEM", config: { directory: bucket } })}`,
      `--data-dir=${data}`,
      "--store.index-header-lazy-download-strategy=eager",
    ];
    const random = new Random(9);
    let headers = 0;
    for (let round = 0; round < 3; round++) {
      const server = stage.launch("store", args);
      const end = Date.now() + 30_000;
      // Killed at a moment of its own in each round, once it has begun to write.
      while (countHeaders(data) <= headers + random.below(40) && Date.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        if (countHeaders(data) === BLOCKS) break;
      }
      server.child.kill("SIGKILL");
      await server.child.exit;
      headers = countHeaders(data);
    }
    assert.ok(headers > 0, "nothing was written");
    // What a crash of the system may leave: empty and cut files under their right names.
    let n = 0;
    for (const { name } of Deno.readDirSync(data)) {
      const path = `${data}/${name}/index-header`;
      if (name.length !== 26 || !exists(path) || n++ % 7 > 1) continue;
      Deno.truncateSync(path, n % 2 === 0 ? 0 : Math.floor(Deno.statSync(path).size / 2));
    }
    const server = await stage.mneme("store", args);
    const fresh = await stage.mneme("store", [args[0]!, "--no-cache-index-header"]);
    const expected = await seriesOf(fresh);
    assert.ok(expected > 0);
    assert.equal(await seriesOf(server), expected);
    const leftovers = [...Deno.readDirSync(data)].filter(({ name }) =>
      name.length === 26 && exists(`${data}/${name}/index-header.tmp`)
    );
    assert.deepEqual(leftovers, []);
  },
});

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function countHeaders(data: string): number {
  if (!exists(data)) return 0;
  let count = 0;
  for (const { name } of Deno.readDirSync(data)) {
    if (name.length === 26 && exists(`${data}/${name}/index-header`)) count++;
  }
  return count;
}
