/**
 * Compaction benchmark: the compactor as a process over data set P (`bench-mixed-14d`, 168 raw
 * two-hour blocks, 80.6 M samples), until nothing is left to do.
 *
 *   deno task bench:compact [--data=.bench] [--repeat=3] [--no-downsampling] [--tiny=N] [--s3]
 *
 * Prints wall and CPU time from the start of the process to the end of its first iteration, peak
 * memory, samples and bytes a second, and requests to the bucket for each block. `--tiny=N` does the
 * same with N tiny blocks of one group that all overlap, for what a block costs. `--s3` has the
 * bucket on s3rver, on this machine and its cores.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { encodeXorChunk } from "../../lib/chunks/mod.ts";
import { labelsFromRecord, SampleBatch } from "../../lib/model/mod.ts";
import { FilesystemBucket, openBucket } from "../../lib/objstore/mod.ts";
import { freePort } from "../../lib/runtime/child_process.ts";
import { BlockWriter, makeThanosMeta, SystemFiles } from "../../lib/tsdb/mod.ts";
import { makeUlid } from "../../lib/base/mod.ts";
import { s3Document, startS3rver } from "../servers/object_storage.ts";
import { benchData, linkBlocks } from "./data.ts";

const root = new URL("../..", import.meta.url).pathname;

/** Figures of one run. */
interface Figures {
  readonly wall: number;
  readonly cpu: number;
  readonly peak: number;
  readonly requests: number;
  readonly compactions: number;
  readonly downsamplings: number;
}

/** A bucket to work on. */
interface Prepared {
  /** Its configuration. */
  readonly document: string;
  close(): Promise<void>;
}

async function prepare(source: string, folder: string, onS3: boolean): Promise<Prepared> {
  if (onS3) return await prepareS3(source);
  const directory = `${folder}/bucket`;
  // Objects of a bucket are replaced, never changed, so links are as good as copies.
  await linkBlocks(source, directory);
  return {
    document: JSON.stringify({ type: "FILESYSTEM", config: { directory } }),
    close: () => Promise.resolve(),
  };
}

async function prepareS3(source: string): Promise<Prepared> {
  const server = await startS3rver(["bench"]);
  const document = s3Document(server.port, "bench");
  const from = new FilesystemBucket(source);
  const to = await openBucket(document);
  for await (const { name } of from.iter("", { recursive: true })) {
    await to.upload(name, await from.get(name));
  }
  await to.close();
  return { document, close: () => server.stop() };
}

/** Bytes of all blocks below a folder. */
async function bytesOf(folder: string): Promise<number> {
  let size = 0;
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    size += entry.isDirectory ? await bytesOf(path) : (await Deno.stat(path)).size;
  }
  return size;
}

async function run(document: string, folder: string, args: readonly string[]): Promise<Figures> {
  const http = `127.0.0.1:${freePort()}`;
  const start = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      // As the images start it.
      "--v8-flags=--max-semi-space-size=4",
      `${root}cmd/main.ts`,
      "compact",
      `--objstore.config=${document}`,
      `--data-dir=${folder}/data`,
      "--consistency-delay=0s",
      "--downsample.concurrency=2",
      "--wait",
      "--wait-interval=24h",
      "--compact.cleanup-interval=0s",
      "--compact.progress-interval=0s",
      "--web.disable",
      `--http-address=${http}`,
      ...args,
    ],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  try {
    const log = await untilDone(child.stderr);
    const wall = (performance.now() - start) / 1000;
    const peak = await peakOf(child.pid);
    const text = await (await fetch(`http://${http}/metrics`)).text();
    const sum = (name: string) =>
      text.split("\n").filter((line) => line.startsWith(name))
        .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
    if (/level=error/.test(log)) throw new MnemeError("execution", `the compactor failed:\n${log}`);
    return {
      wall,
      peak,
      cpu: sum("process_cpu_seconds_total"),
      requests: sum("thanos_objstore_bucket_operations_total"),
      compactions: sum("thanos_compact_group_compactions_total"),
      downsamplings: sum("thanos_compact_downsample_total"),
    };
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}

/** Reads the log until the first iteration is done. */
async function untilDone(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let log = "";
  for await (const piece of stderr.values({ preventCancel: true })) {
    log += decoder.decode(piece, { stream: true });
    if (log.includes('msg="iteration done"')) {
      stderr.cancel().catch(() => {
        // The process is ended anyway.
      });
      return log;
    }
  }
  throw new MnemeError("execution", `the compactor ended:\n${log}`);
}

/** Peak resident memory, bytes; 0 where the system does not tell. */
async function peakOf(pid: number): Promise<number> {
  try {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Tiny blocks: `count` of one hour each that all overlap, with a series of their own and a common one. */
function makeTiny(folder: string, count: number): void {
  const files = new SystemFiles();
  files.mkdir(folder);
  for (let n = 0; n < count; n++) {
    const ulid = makeUlid(1_700_000_000_000 + n);
    const writer = new BlockWriter({ files, directory: folder, ulid, sync: false });
    const batch = new SampleBatch(240);
    for (let i = 0; i < 240; i++) {
      batch.t[i] = 1_700_000_000_000 + i * 15_000 + (n % 15_000);
      batch.v[i] = i * n;
    }
    batch.length = 240;
    const names = ["common", ...Array.from({ length: 20 }, (_, k) => `own_${n}_${k}`)].sort();
    for (const name of names) {
      writer.beginSeries(labelsFromRecord({ __name__: name }));
      for (let i = 0; i < 240; i += 120) {
        const data = encodeXorChunk(batch, i, i + 120);
        writer.addChunk(1, data, batch.t[i]!, batch.t[i + 119]!, 120);
      }
    }
    writer.finish({ thanos: makeThanosMeta({ labels: labelsFromRecord({ tiny: "1" }) }) });
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

if (import.meta.main) {
  let data = ".bench";
  let repeat = 3;
  let tiny = 0;
  let onS3 = false;
  const args: string[] = [];
  for (const arg of Deno.args) {
    const [name, value = ""] = arg.split("=", 2);
    if (name === "--data") data = value;
    else if (name === "--repeat") repeat = Number(value);
    else if (name === "--tiny") tiny = Number(value);
    else if (name === "--s3") onS3 = true;
    else if (name === "--no-downsampling") args.push("--downsampling.disable");
    else throw new MnemeError("bad_data", `unknown flag '${arg}'`);
  }
  const folder = await Deno.makeTempDir({ prefix: "mneme-bench-" });
  try {
    let source: string;
    let samples: number;
    let blocks: number;
    if (tiny > 0) {
      source = `${folder}/tiny`;
      makeTiny(source, tiny);
      samples = tiny * 21 * 240;
      blocks = tiny;
      args.push("--compact.enable-vertical-compaction");
    } else {
      source = await benchData(data, console.log);
      samples = 80_600_000;
      blocks = 168;
    }
    const bytes = await bytesOf(source);
    for (let i = 0; i < repeat; i++) {
      const work = `${folder}/run-${i}`;
      const bucket = await prepare(source, work, onS3);
      let f: Figures;
      try {
        f = await run(bucket.document, work, args);
      } finally {
        await bucket.close();
      }
      console.log(
        `wall ${f.wall.toFixed(2)} s, CPU ${f.cpu.toFixed(2)} s, peak ${megabytes(f.peak)} MB, ` +
          `${(samples / f.wall / 1e6).toFixed(1)} M samples/s, ` +
          `${(bytes / f.wall / 1e6).toFixed(0)} MB/s, ` +
          `${(f.requests / blocks).toFixed(1)} requests a block, ` +
          `${f.compactions} compactions, ${f.downsamplings} downsamplings`,
      );
      await Deno.remove(work, { recursive: true }).catch(() => {
        // On S3 there may be nothing on this disk.
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
