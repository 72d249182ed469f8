/**
 * Start of a store gateway over a bucket with very many blocks.
 *
 *   deno task bench:store-start [--blocks=10000] [--data=.bench]
 *
 * The bucket is made of the golden raw blocks: each copy has its own id, `compaction.sources` and
 * external label; indexes and chunks are hard links. Cold = an empty data directory, warm = started
 * again on it. Prints time to ready, bucket operations and peak memory, and says what is beyond its
 * target.
 */
import { makeUlid, MnemeError } from "../../lib/base/mod.ts";
import { ChildProcess, freePort } from "../../lib/runtime/child_process.ts";

const root = new URL("../..", import.meta.url).pathname;
const golden = `${root}../shared/golden/bucket-in`;

/** Targets: seconds to ready, bucket operations, bytes of memory. */
const TARGETS = {
  cold: { seconds: 4, operations: 10_500, memory: 300 * 1024 * 1024 },
  warm: { seconds: 0.7, operations: 200, memory: 300 * 1024 * 1024 },
} as const;

interface Options {
  readonly blocks: number;
  readonly data: string;
}

function parseOptions(args: readonly string[]): Options {
  const options = { blocks: 10_000, data: ".bench" };
  for (const arg of args) {
    const [name, value = ""] = arg.split("=", 2);
    if (name === "--blocks") options.blocks = Number(value);
    else if (name === "--data") options.data = value;
    else throw new MnemeError("bad_data", `unknown flag '${arg}'; known: --blocks, --data`);
  }
  if (!Number.isInteger(options.blocks) || options.blocks < 1) {
    throw new MnemeError("bad_data", "--blocks must be a whole number of 1 or more");
  }
  return options;
}

interface Meta {
  ulid: string;
  minTime: number;
  compaction: { sources: string[] };
  thanos: { labels: Record<string, string>; segment_files?: string[] };
}

/** Makes (or finds) a bucket of `count` blocks; returns its path. */
export async function manyBlocks(folder: string, count: number): Promise<string> {
  const bucket = `${folder}/bucket-${count}-blocks`;
  const done = `${folder}/bucket-${count}-blocks.done`;
  if (await Deno.stat(done).then(() => true, () => false)) return bucket;
  await Deno.remove(bucket, { recursive: true }).catch(() => undefined);
  await Deno.mkdir(bucket, { recursive: true });
  const sources = [...Deno.readDirSync(golden)].map((e) => e.name).filter((n) => n.length === 26)
    .sort();
  const files = `${folder}/golden-raw`;
  await Deno.remove(files, { recursive: true }).catch(() => undefined);
  for (const source of sources) {
    // A copy of our own to link to: links do not reach across file systems.
    await Deno.mkdir(`${files}/${source}/chunks`, { recursive: true });
    for (const name of ["index", "chunks/000001"]) {
      await Deno.copyFile(`${golden}/${source}/${name}`, `${files}/${source}/${name}`);
    }
  }
  for (let i = 0; i < count; i++) {
    const source = sources[i % sources.length]!;
    const meta = JSON.parse(Deno.readTextFileSync(`${golden}/${source}/meta.json`)) as Meta;
    const id = makeUlid(meta.minTime + i, (bytes) => {
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, i);
    });
    meta.ulid = id;
    meta.compaction.sources = [id];
    meta.thanos.labels.copy = String(Math.floor(i / sources.length));
    Deno.mkdirSync(`${bucket}/${id}/chunks`, { recursive: true });
    for (const name of ["index", "chunks/000001"]) {
      Deno.linkSync(`${files}/${source}/${name}`, `${bucket}/${id}/${name}`);
    }
    Deno.writeTextFileSync(`${bucket}/${id}/meta.json`, JSON.stringify(meta, undefined, "\t"));
  }
  await Deno.writeTextFile(done, "");
  return bucket;
}

/** Figures of one start. */
export interface StartFigures {
  readonly seconds: number;
  readonly operations: number;
  readonly byOperation: Readonly<Record<string, number>>;
  readonly memory: number;
  readonly loaded: number;
}

/** Starts a store gateway, waits until it is ready, and stops it again. */
export async function startOnce(bucket: string, dataDirectory: string): Promise<StartFigures> {
  const http = `127.0.0.1:${freePort()}`;
  const began = performance.now();
  const child = ChildProcess.start({
    name: "store",
    command: Deno.execPath(),
    args: [
      "run",
      "-A",
      "--no-check",
      `${root}cmd/store.ts`,
      `--objstore.config=${JSON.stringify({ type: "FILESYSTEM", config: { directory: bucket } })}`,
      `--data-dir=${dataDirectory}`,
      `--http-address=${http}`,
      `--grpc-address=127.0.0.1:${freePort()}`,
    ],
  });
  try {
    let seconds = NaN;
    for (const end = began + 120_000; performance.now() < end;) {
      try {
        const answer = await fetch(`http://${http}/-/ready`);
        await answer.body?.cancel();
        if (answer.ok) {
          seconds = (performance.now() - began) / 1000;
          break;
        }
      } catch {
        // Not listening yet.
      }
      if (!child.running) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (Number.isNaN(seconds)) {
      throw new MnemeError("unavailable", `store was not ready:\n${child.tail.join("\n")}`);
    }
    const metrics = await (await fetch(`http://${http}/metrics`)).text();
    const byOperation: Record<string, number> = {};
    let operations = 0;
    const counted = /^thanos_objstore_bucket_operations_total\{.*operation="(\w+)".*\} (\S+)$/gm;
    for (const [, operation, n] of metrics.matchAll(counted)) {
      if (Number(n) > 0) byOperation[operation!] = Number(n);
      operations += Number(n);
    }
    const loaded = Number(/^thanos_bucket_store_blocks_loaded (\S+)$/m.exec(metrics)?.[1]);
    return { seconds, operations, byOperation, memory: child.peakMemory() ?? NaN, loaded };
  } finally {
    await child.stop();
  }
}

function report(kind: keyof typeof TARGETS, figures: StartFigures): boolean {
  const target = TARGETS[kind];
  const operations = Object.entries(figures.byOperation).map(([k, v]) => `${k} ${v}`).join(", ");
  const misses = (["seconds", "operations", "memory"] as const).filter((what) =>
    !(figures[what] <= target[what])
  );
  console.log(
    `${kind}: ready in ${figures.seconds.toFixed(2)} s, ${figures.operations} bucket operations ` +
      `(${operations}), peak ${(figures.memory / 1024 / 1024).toFixed(0)} MB, ` +
      `${figures.loaded} blocks loaded` +
      (misses.length === 0 ? "" : `; beyond its target: ${misses.join(", ")}`),
  );
  return misses.length === 0;
}

if (import.meta.main) {
  const options = parseOptions(Deno.args);
  if (!await Deno.stat(golden).then(() => true, () => false)) {
    console.log(`skipped: ${golden} is not there`);
    Deno.exit(0);
  }
  const bucket = await manyBlocks(options.data, options.blocks);
  const data = await Deno.makeTempDir({ prefix: "mneme-bench-" });
  try {
    const cold = report("cold", await startOnce(bucket, data));
    const warm = report("warm", await startOnce(bucket, data));
    Deno.exitCode = cold && warm ? 0 : 1;
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}
