/**
 * Queries with the bucket on S3 against the same bucket on the local disk.
 *
 *   deno task bench:query-s3 [--repeat=5] [--data=.bench] [--only=3,5]
 *
 * Three pairs of store gateway and querier over data set P: FILESYSTEM, S3 behind a 256 MB caching
 * bucket in memory, and S3 without one. The S3 server is s3rver on this machine, which takes a share
 * of its cores; its latency is that of the loopback. Prints the median of each, the ratio to
 * FILESYSTEM, and the requests of the first and of later repetitions of each query. Every
 * repetition moves the end of the query by one step.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { openBucket } from "../../lib/objstore/mod.ts";
import { ChildProcess, freePort } from "../../lib/runtime/child_process.ts";
import { s3Document, startS3rver } from "../servers/object_storage.ts";
import { benchData } from "./data.ts";
import { QUERIES, type QueryRow, requestOf } from "./queries.ts";

const root = new URL("../..", import.meta.url).pathname;
const CACHE = "type: IN-MEMORY\nconfig: {max_size: 256MB, max_item_size: 32MB}";
/** The ratio to FILESYSTEM that a warm cache should keep. */
const TARGET = 1.5;
/** What a store gateway takes beside its caches, bytes. */
const MEMORY_TARGET = 300e6;
/** As the packed file and the image start every part. */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=8";

interface Options {
  repeat: number;
  data: string;
  only: Set<number> | undefined;
}

function parseOptions(args: readonly string[]): Options {
  const options: Options = { repeat: 5, data: ".bench", only: undefined };
  for (const arg of args) {
    const [name, value = ""] = arg.split("=", 2);
    if (name === "--repeat") options.repeat = Number(value);
    else if (name === "--data") options.data = value;
    else if (name === "--only") options.only = new Set(value.split(",").map(Number));
    else {
      throw new MnemeError("bad_data", `unknown flag '${arg}'; known: --repeat, --data, --only`);
    }
  }
  if (!Number.isInteger(options.repeat) || options.repeat < 1) {
    throw new MnemeError("bad_data", "--repeat must be a whole number of 1 or more");
  }
  return options;
}

/** A store gateway and a querier over it. */
interface Side {
  readonly name: string;
  readonly store: ChildProcess;
  readonly query: ChildProcess;
  readonly storeHttp: string;
  readonly queryHttp: string;
}

async function startSide(
  name: string,
  document: string,
  folder: string,
  more: readonly string[] = [],
): Promise<Side> {
  const [grpc, storeHttp, queryGrpc, queryHttp] = Array.from(
    { length: 4 },
    () => `127.0.0.1:${freePort()}`,
  ) as [string, string, string, string];
  const run = (command: string, args: readonly string[]) =>
    ChildProcess.start({
      name: command,
      command: Deno.execPath(),
      args: ["run", "-A", "--no-check", V8_FLAGS, `${root}cmd/${command}.ts`, ...args],
    });
  const store = run("store", [
    `--objstore.config=${document}`,
    `--data-dir=${folder}/${name}`,
    `--grpc-address=${grpc}`,
    `--http-address=${storeHttp}`,
    ...more,
  ]);
  const query = run("query", [
    `--endpoint=${grpc}`,
    `--grpc-address=${queryGrpc}`,
    `--http-address=${queryHttp}`,
  ]);
  await store.waitUntilReady(`http://${storeHttp}/-/ready`);
  await query.waitUntilReady(`http://${queryHttp}/-/ready`);
  return { name, store, query, storeHttp, queryHttp };
}

async function ask(
  side: Side,
  row: QueryRow,
  shift: number,
): Promise<{ ms: number; text: string }> {
  const start = performance.now();
  const answer = await fetch(`http://${side.queryHttp}${requestOf(row, shift)}`);
  const text = await answer.text();
  const ms = performance.now() - start;
  if (!answer.ok) {
    throw new MnemeError(
      "execution",
      `${row.query} on ${side.name}: ${answer.status} ${text.slice(0, 400)}`,
    );
  }
  return { ms, text };
}

/** Answers without the figures of how they were made. */
function resultOf(text: string): string {
  return JSON.stringify(JSON.parse(text).data.result);
}

/** Bucket operations and bytes so far. */
async function traffic(side: Side): Promise<{ requests: number; bytes: number }> {
  const text = await (await fetch(`http://${side.storeHttp}/metrics`)).text();
  let requests = 0;
  let bytes = 0;
  for (
    const [, value] of text.matchAll(/^thanos_objstore_bucket_operations_total\{.*\} (\S+)$/gm)
  ) {
    requests += Number(value);
  }
  const fetched = /^thanos_objstore_bucket_operation_fetched_bytes_total\{.*\} (\S+)$/gm;
  for (const [, value] of text.matchAll(fetched)) bytes += Number(value);
  return { requests, bytes };
}

/** Bytes in the caches of a store gateway: index cache and caching bucket. */
async function cacheBytes(side: Side): Promise<number> {
  const text = await (await fetch(`http://${side.storeHttp}/metrics`)).text();
  const sizes =
    /^thanos_(?:store_index_cache_total_size_bytes|cache_inmemory_items_size_bytes)\{.*\} (\S+)$/gm;
  let bytes = 0;
  for (const [, value] of text.matchAll(sizes)) bytes += Number(value);
  return bytes;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const m = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[m]! : (sorted[m - 1]! + sorted[m]!) / 2;
}

/** Copies a folder tree into a bucket, meta.json of each block last. */
async function fill(document: string, folder: string): Promise<void> {
  const bucket = await openBucket(document);
  try {
    for (const block of Deno.readDirSync(folder)) {
      if (block.name.length !== 26) continue;
      const files = ["index", "meta.json"];
      for (const chunk of Deno.readDirSync(`${folder}/${block.name}/chunks`)) {
        files.unshift(`chunks/${chunk.name}`);
      }
      for (const file of files) {
        const bytes = await Deno.readFile(`${folder}/${block.name}/${file}`);
        await bucket.upload(`${block.name}/${file}`, bytes);
      }
    }
  } finally {
    await bucket.close();
  }
}

interface Column {
  readonly ms: number;
  readonly first: number;
  readonly firstBytes: number;
  readonly later: number;
}

async function measure(side: Side, row: QueryRow, repeat: number, expected: string | undefined) {
  const before = await traffic(side);
  let answer = await ask(side, row, 0);
  for (let i = 0; answer.text.includes('"result":[]') && i < 50; i++) {
    // The querier is ready before it has met the store; ask again.
    await new Promise((resolve) => setTimeout(resolve, 200));
    answer = await ask(side, row, 0);
  }
  const result = resultOf(answer.text);
  if (expected !== undefined && result !== expected) {
    throw new MnemeError("execution", `${side.name} answers ${row.query} differently`);
  }
  const warm = await traffic(side);
  const times: number[] = [];
  for (let i = 1; i <= repeat; i++) times.push((await ask(side, row, i)).ms);
  const after = await traffic(side);
  const column: Column = {
    ms: median(times),
    first: warm.requests - before.requests,
    firstBytes: warm.bytes - before.bytes,
    later: (after.requests - warm.requests) / repeat,
  };
  return { column, result };
}

async function main(): Promise<number> {
  const options = parseOptions(Deno.args);
  const folder = await Deno.realPath(await benchData(options.data, (line) => console.log(line)));
  const work = await Deno.makeTempDir({ prefix: "mneme-bench-" });
  const server = await startS3rver(["bench"]);
  const sides: Side[] = [];
  try {
    const s3 = s3Document(server.port, "bench");
    console.log("filling the S3 bucket");
    await fill(s3, folder);
    const disk = JSON.stringify({ type: "FILESYSTEM", config: { directory: folder } });
    sides.push(await startSide("disk", disk, work));
    sides.push(
      await startSide("cached", s3, work, [`--store.caching-bucket.config=${CACHE}`]),
    );
    sides.push(await startSide("uncached", s3, work));
    const cell = (text: string, width = 9) => text.padStart(width);
    console.log(`\nmedian of ${options.repeat}, ms; requests: first / each later one\n`);
    console.log(
      " #" + cell("disk") + cell("S3") + cell("ratio", 7) + cell("no cache", 10) +
        cell("requests", 14) + cell("KiB/request", 13) + "  query",
    );
    let logs = 0;
    let counted = 0;
    for (const [index, row] of QUERIES.entries()) {
      if (options.only !== undefined && !options.only.has(index + 1)) continue;
      let expected: string | undefined;
      const columns: Column[] = [];
      for (const side of sides) {
        const { column, result } = await measure(side, row, options.repeat, expected);
        if (!row.hasTies) expected ??= result;
        columns.push(column);
      }
      const [onDisk, cached, uncached] = columns as [Column, Column, Column];
      const ratio = cached.ms / onDisk.ms;
      logs += Math.log(ratio);
      counted++;
      const each = cached.first === 0 ? 0 : cached.firstBytes / cached.first / 1024;
      console.log(
        String(index + 1).padStart(2) + cell(onDisk.ms.toFixed(1)) + cell(cached.ms.toFixed(1)) +
          cell(ratio.toFixed(2), 7) + cell(uncached.ms.toFixed(1), 10) +
          cell(`${cached.first} / ${cached.later.toFixed(1)}`, 14) + cell(each.toFixed(0), 13) +
          `  ${row.query}  ${row.shape}`,
      );
    }
    const mean = Math.exp(logs / Math.max(1, counted));
    const memory: string[] = [];
    for (const side of sides) {
      const peak = side.store.peakMemory() ?? NaN;
      const cached = await cacheBytes(side);
      memory.push(
        `${side.name} ${megabytes(peak)} (${megabytes(cached)} in caches, ` +
          `${megabytes(peak - cached)} without)`,
      );
    }
    console.log(
      `\ngeometric mean of ${counted} ratios: ${mean.toFixed(2)} (target ${TARGET})` +
        `\npeak memory of the store gateways: ${memory.join(", ")}` +
        `\ntarget: ${megabytes(MEMORY_TARGET)} and what is in caches`,
    );
    return mean <= TARGET ? 0 : 1;
  } finally {
    await Promise.all(sides.flatMap(({ store, query }) => [store.stop(), query.stop()]));
    await server.stop();
    await Deno.remove(work, { recursive: true });
  }
}

if (import.meta.main) Deno.exitCode = await main();
