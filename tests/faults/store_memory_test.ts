/** A store gateway asked for more than its memory, many times at once. */
import { strict as assert } from "node:assert";
import { MnemeError } from "../../lib/base/mod.ts";
import { labelsFromRecord, makeMatcher, SampleBatch } from "../../lib/model/mod.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { connectRpc } from "../../lib/rpc/mod.ts";
import { RemoteStore } from "../../lib/storeapi/mod.ts";
import { callContext, seriesRequest } from "../../lib/storeapi/testing/fixtures.ts";
import { addBlock, blockId } from "../../lib/store/testing/small_bucket.ts";
import { Stage } from "../mneme.ts";

const T0 = 1_790_208_000_000;
const MIB = 1024 * 1024;
const BLOCKS = 10;
const SERIES = 10_000;

/** Blocks with many series each, all different. */
async function makeBucket(folder: string): Promise<void> {
  const bucket = new FilesystemBucket(folder);
  for (let n = 0; n < BLOCKS; n++) {
    const series = Array.from({ length: SERIES }, (_, i) => {
      const samples = new SampleBatch(20);
      for (let k = 0; k < 20; k++) {
        samples.t[k] = T0 + n * 7_200_000 + k * 15_000;
        samples.v[k] = Math.sin(i * k);
      }
      samples.length = 20;
      const name = i < 10 ? "few" : `many_${n}`;
      const pod = `pod-${n}-${i}-with-a-name-of-usual-length`;
      return { labels: labelsFromRecord({ __name__: name, job: `job-${i % 4}`, pod }), samples };
    });
    await addBlock(bucket, { id: blockId(n), series });
  }
  await bucket.close();
}

Deno.test({
  name: "requests beyond --store.memory-budget fail with one sentence, and the process keeps to it",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using stage = await Stage.open();
    const folder = `${stage.folder}/bucket`;
    await makeBucket(folder);
    const budget = 512;
    const server = await stage.store(folder, [
      `--store.memory-budget=${budget}MB`,
      "--index-cache-size=32MB",
      "--store.grpc.series-max-concurrency=0",
    ]);
    const client = connectRpc(server.grpc);
    const store = new RemoteStore(client);
    const ask = async (pattern: string) => {
      const matchers = [makeMatcher("=~", "__name__", pattern)];
      const request = seriesRequest({ matchers, partialResponse: "abort" });
      let count = 0;
      for await (const frame of store.series(request, callContext())) count += frame.series.length;
      return count;
    };
    const outcome = (pattern: string) => ask(pattern).catch((error: unknown) => error);
    try {
      const [fitting, large] = await Promise.all([
        Promise.all(Array.from({ length: 25 }, (_, i) => outcome(`many_${i % BLOCKS}`))),
        Promise.all(Array.from({ length: 25 }, () => outcome("many_.+"))),
      ]);
      // Where much is asked at once, each is answered whole or told what to narrow.
      const isTold = (error: unknown) =>
        error instanceof MnemeError && error.kind === "limit" && !error.message.includes("\n") &&
        /memory.*--store\.memory-budget.*narrow its time range/.test(error.message);
      for (const answer of fitting) {
        assert.ok(answer === SERIES - 10 || isTold(answer), `${answer}`);
      }
      assert.ok(fitting.some((answer) => answer === SERIES - 10), String(fitting[0]));
      for (const error of large) assert.ok(isTold(error), String(error));
      // Whoever asks for little is answered.
      assert.equal(await ask("few"), BLOCKS * 10);
      const peak = server.child.peakMemory();
      console.log(`peak ${Math.round((peak ?? 0) / MIB)} MB of ${budget} MB`);
      // Resident memory is the system's to round; what is checked is that it does not grow on.
      if (peak !== undefined) assert.ok(peak < budget * MIB * 1.1, `peak ${peak}`);
    } finally {
      client.close();
    }
  },
});
