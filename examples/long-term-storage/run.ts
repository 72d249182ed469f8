/**
 * The second tutorial on this machine: a year of metrics in S3, shipped, queried and downsampled.
 *
 *   deno run -A examples/long-term-storage/run.ts [--data-dir=long-term-data] [--once]
 *
 * Needs `prometheus` on PATH. Listens on 127.0.0.1 only; Ctrl-C stops everything. An S3 elsewhere is
 * used when S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY are set.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { playTutorial, type TutorialRun, untilStopped } from "../tutorial.ts";
import { type BucketAccess, LongTermStorage } from "./long_term.ts";

const HELP = `usage: deno run -A examples/long-term-storage/run.ts [<flags>]

Generates a year of blocks for a Prometheus, ships them to S3 with a sidecar, reads them
with a store gateway and a querier, and downsamples them with a compactor.

Flags:
  --data-dir=long-term-data   Folder for the data of all parts.
  --any-ports                 Use whatever ports are free.
  --once                      Stop after the answers instead of waiting for Ctrl-C.
  --help                      Show this text.
`;

const PORTS = {
  prometheus: 9090,
  sidecarHttp: 19090,
  sidecarGrpc: 19190,
  storeHttp: 19091,
  storeGrpc: 19191,
  queryHttp: 29090,
  queryGrpc: 29190,
  compactHttp: 19095,
  s3: 9000,
};
/** The S3 of the environment; all four variables or none. */
function bucketOfEnvironment(): BucketAccess | undefined {
  const names = ["S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"] as const;
  const found = names.map((name) => [name, Deno.env.get(name) ?? ""] as const);
  const missing = found.filter(([, value]) => value === "").map(([name]) => name);
  if (missing.length === names.length) return undefined;
  if (missing.length > 0) {
    throw new MnemeError(
      "bad_data",
      `set ${missing.join(" and ")} too, or none of ${names.join(", ")}`,
    );
  }
  return Object.fromEntries(found) as unknown as BucketAccess;
}

const METRIC = "continuous_app_metric0";

async function play(
  { ports, folder, once, signal, onLine }: TutorialRun<typeof PORTS>,
): Promise<void> {
  console.log("1. A year of blocks for Prometheus, S3, a Prometheus and its sidecar …");
  await using storage = await LongTermStorage.start({
    folder,
    ports,
    bucket: bucketOfEnvironment(),
    signal,
    onLine,
  });
  console.log("2. The sidecar ships the blocks …");
  await storage.shipped();
  console.log("3. A store gateway and a querier …");
  await storage.read();
  const shipped = await storage.blocks();
  console.log(`   ${shipped["0"]} raw blocks in the bucket`);
  const raw = await storage.year(`avg(${METRIC})`);
  console.log(
    `   avg(${METRIC}) over the year: ${raw.points.length} points in ${raw.ms.toFixed(0)} ms`,
  );
  console.log("4. The compactor downsamples …");
  await storage.compact();
  const all = await storage.blocksUntil({ "0": shipped["0"], "300000": 9, "3600000": 5 });
  console.log(
    `   ${all["0"]} raw blocks, ${all["300000"]} at 5m and ${all["3600000"]} at 1h resolution`,
  );
  const coarse = await storage.year(`avg(${METRIC})`, { max_source_resolution: "1h" });
  console.log(
    `   the same from downsampled blocks: ${coarse.points.length} points in ${
      coarse.ms.toFixed(0)
    } ms`,
  );
  if (once) return;
  console.log(`\nAll is up: ${storage.url}`);
  console.log(`  stores   curl -s ${storage.url}/api/v1/stores`);
  console.log(
    `  blocks   curl -s http://127.0.0.1:${ports.compactHttp}/api/v1/blocks?view=global`,
  );
  console.log("Ctrl-C stops everything.");
  await untilStopped(storage.children, signal);
}

if (import.meta.main) {
  const tutorial = {
    name: "long-term-storage",
    help: HELP,
    folder: "long-term-data",
    ports: PORTS,
    play,
  };
  Deno.exit(await playTutorial(tutorial, Deno.args));
}
