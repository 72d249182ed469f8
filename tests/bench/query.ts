/**
 * Query benchmark: Mneme (store gateway and querier over gRPC) against a real Prometheus on the
 * same blocks.
 *
 *   deno task bench:query [--repeat=7] [--warm=100] [--data=.bench] [--only=3,5] [--engine|--sidecar]
 *
 * With --sidecar, a sidecar beside that same Prometheus takes the store gateway's place.
 *
 * Every row is asked --warm times before (on either side, for at most 1 s each): servers run for
 * weeks, and a row that was asked seven times in its life is still being compiled.
 *
 * Both sides hold data set P (`bench-mixed-14d`): the same 168 raw two-hour blocks. Each query is
 * asked alternately, every repetition with its end moved by one step, without a result cache; the
 * answers of the first repetition are compared (off the scrape grid, where left-open and
 * left-closed ranges agree). Rows under 10 ms are shown but left out of the mean.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { ChildProcess, freePort, isOnPath } from "../../lib/runtime/child_process.ts";
import { type Answer, compareAnswers } from "../answers.ts";
import { benchData, linkBlocks } from "./data.ts";
import { encodeResult } from "../../lib/api/mod.ts";
import { Engine } from "../../lib/promql/mod.ts";
import { BlockStorage } from "../../lib/query/mod.ts";
import { QUERIES, type QueryRow, requestOf, timesOf } from "./queries.ts";

interface Options {
  repeat: number;
  /** Most questions before those that count. */
  warm: number;
  data: string;
  only: Set<number> | undefined;
  /** Ask the engine in this process, from block files to JSON, instead of store and querier. */
  engine: boolean;
  /** A sidecar of the Prometheus that is compared with, instead of a store. */
  sidecar: boolean;
}

function parseOptions(args: readonly string[]): Options {
  const options: Options = {
    repeat: 7,
    warm: 100,
    data: ".bench",
    only: undefined,
    engine: false,
    sidecar: false,
  };
  for (const arg of args) {
    const [name, value = ""] = arg.split("=", 2);
    if (name === "--repeat") options.repeat = Number(value);
    else if (name === "--warm") options.warm = Number(value);
    else if (name === "--data") options.data = value;
    else if (name === "--only") options.only = new Set(value.split(",").map(Number));
    else if (arg === "--engine") options.engine = true;
    else if (arg === "--sidecar") options.sidecar = true;
    else {throw new MnemeError(
        "bad_data",
        `unknown flag '${arg}'; known: --repeat, --warm, --data, --only, --engine, --sidecar`,
      );}
  }
  if (!Number.isInteger(options.repeat) || options.repeat < 1) {
    throw new MnemeError("bad_data", "--repeat must be a whole number of 1 or more");
  }
  return options;
}

/** Longest time that one side is asked before it counts, ms. */
const WARM_MS = 1000;

const root = new URL("../..", import.meta.url).pathname;
const children: ChildProcess[] = [];
/** As the packed file and the image start every part. */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=8";

function mneme(name: string, args: string[]): ChildProcess {
  const child = ChildProcess.start({
    name,
    command: Deno.execPath(),
    args: ["run", "-A", V8_FLAGS, `${root}cmd/${name}.ts`, ...args],
  });
  children.push(child);
  return child;
}

/** The engine alone: blocks on disk, no server. */
function engineAsker(
  bucket: string,
): (row: QueryRow, shift: number) => Promise<{ ms: number; text: string }> {
  const storage = BlockStorage.open(bucket);
  const engine = new Engine();
  return async (row, shift) => {
    const { start, end, step } = timesOf(row, shift);
    const began = performance.now();
    const { query } = row;
    const { value } = step === 0
      ? await engine.instantQuery({ query, time: end, storage })
      : await engine.rangeQuery({ query, start, end, step, storage });
    const pieces = [...encodeResult(value, { analysis: "{}", warnings: [] })];
    const ms = performance.now() - began;
    return { ms, text: await new Blob(pieces).text() };
  };
}

async function ask(
  base: string,
  row: QueryRow,
  shift: number,
): Promise<{ ms: number; text: string }> {
  const url = `${base}${requestOf(row, shift)}`;
  const start = performance.now();
  const answer = await fetch(url);
  const text = await answer.text();
  const ms = performance.now() - start;
  if (!answer.ok) {
    throw new MnemeError("execution", `${row.query} on ${base}: ${text.slice(0, 400)}`);
  }
  return { ms, text };
}

/** Our series carry the blocks' external label; Prometheus knows none. */
function withoutExternal(answer: Answer): Answer {
  for (const series of answer.data?.result as { metric?: Record<string, string> }[]) {
    if (series.metric !== undefined) delete series.metric.cluster;
  }
  return answer;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const m = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[m]! : (sorted[m - 1]! + sorted[m]!) / 2;
}

async function main(): Promise<number> {
  const options = parseOptions(Deno.args);
  if (!isOnPath("prometheus")) {
    console.log(
      "bench:query needs a real prometheus on PATH (Debian: apt-get install prometheus).",
    );
    return 1;
  }
  const bucket = await benchData(options.data, (line) => console.log(line));
  const promData = `${options.data}/prometheus`;
  await linkBlocks(bucket, promData);
  const configFile = `${options.data}/prometheus.yml`;
  await Deno.writeTextFile(
    configFile,
    "global: {scrape_interval: 1h, external_labels: {cluster: bench}}\n",
  );
  const work = await Deno.makeTempDir({ prefix: "mneme-bench-" });

  const [storeGrpc, storeHttp, queryGrpc, queryHttp, promHttp] = Array.from(
    { length: 5 },
    () => freePort(),
  ) as [number, number, number, number, number];
  const servers = options.engine ? undefined : {
    store: options.sidecar
      ? mneme("sidecar", [
        `--prometheus.url=http://127.0.0.1:${promHttp}`,
        `--grpc-address=127.0.0.1:${storeGrpc}`,
        `--http-address=127.0.0.1:${storeHttp}`,
      ])
      : mneme("store", [
        `--objstore.config=type: FILESYSTEM\nconfig:\n  directory: ${await Deno.realPath(bucket)}`,
        `--data-dir=${work}/store`,
        `--grpc-address=127.0.0.1:${storeGrpc}`,
        `--http-address=127.0.0.1:${storeHttp}`,
      ]),
    query: mneme("query", [
      `--endpoint=127.0.0.1:${storeGrpc}`,
      `--grpc-address=127.0.0.1:${queryGrpc}`,
      `--http-address=127.0.0.1:${queryHttp}`,
    ]),
  };
  const prometheus = ChildProcess.start({
    name: "prometheus",
    command: "prometheus",
    args: [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${promData}`,
      "--storage.tsdb.retention.time=100y",
      // The blocks stay as they are: both sides answer from the same 168.
      "--storage.tsdb.min-block-duration=2h",
      "--storage.tsdb.max-block-duration=2h",
      `--web.listen-address=127.0.0.1:${promHttp}`,
      "--log.level=error",
    ],
  });
  children.push(prometheus);
  await servers?.store.waitUntilReady(`http://127.0.0.1:${storeHttp}/-/ready`);
  await servers?.query.waitUntilReady(`http://127.0.0.1:${queryHttp}/-/ready`);
  await prometheus.waitUntilReady(`http://127.0.0.1:${promHttp}/-/ready`);

  const idle = [servers?.store.residentMemory(), servers?.query.residentMemory()];
  const ours = options.engine
    ? engineAsker(bucket)
    : (row: QueryRow, shift: number) => ask(`http://127.0.0.1:${queryHttp}`, row, shift);
  const theirs = `http://127.0.0.1:${promHttp}`;
  console.log(`\nmedian of ${options.repeat}, ms; ratio = Mneme / Prometheus\n`);
  console.log(
    `${" #"}  ${"Mneme".padStart(8)}  ${"Prom".padStart(8)}  ${"ratio".padStart(6)}  query`,
  );
  let logSum = 0;
  let counted = 0;
  let worst = 0;
  let different = 0;
  for (const [index, row] of QUERIES.entries()) {
    if (options.only !== undefined && !options.only.has(index + 1)) continue;
    // The first answers are compared.
    let a = await ours(row, 0);
    for (let i = 0; a.text.includes('"result":[]') && i < 50; i++) {
      // The querier is ready before it has met the store; ask again.
      await new Promise((resolve) => setTimeout(resolve, 200));
      a = await ours(row, 0);
    }
    const b = await ask(theirs, row, 0);
    const difference = compareAnswers(
      JSON.parse(b.text),
      withoutExternal(JSON.parse(a.text)),
      row.tolerance,
    );
    if (difference !== undefined && !row.hasTies) {
      different++;
      console.log(`    DIFFERENT ANSWER: ${difference}`);
    }
    const warming = performance.now();
    for (let i = 0; i < options.warm && performance.now() - warming < 2 * WARM_MS; i++) {
      await ours(row, i);
      await ask(theirs, row, i);
    }
    const mine: number[] = [];
    const other: number[] = [];
    for (let i = 1; i <= options.repeat; i++) {
      const first = i % 2 === 0;
      if (first) mine.push((await ours(row, i)).ms);
      other.push((await ask(theirs, row, i)).ms);
      if (!first) mine.push((await ours(row, i)).ms);
    }
    const m = median(mine);
    const p = median(other);
    const ratio = m / p;
    const short = p < 10;
    if (!short) {
      logSum += Math.log(ratio);
      counted++;
      worst = Math.max(worst, ratio);
    }
    console.log(
      `${String(index + 1).padStart(2)}  ${m.toFixed(1).padStart(8)}  ${
        p.toFixed(1).padStart(8)
      }  ` +
        `${ratio.toFixed(2).padStart(6)}${short ? "*" : " "} ${row.query}  ${row.shape}`,
    );
  }
  const mb = (bytes: number | undefined) =>
    bytes === undefined ? "?" : `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(
    `\n* under 10 ms on Prometheus: not in the mean` +
      `\ngeometric mean of ${counted} rows: ${
        Math.exp(logSum / Math.max(1, counted)).toFixed(2)
      }, worst ${worst.toFixed(2)}, different answers: ${different}` +
      `\npeak memory (idle at the start): ${
        servers === undefined
          ? ""
          : `${servers.store.name} ${mb(servers.store.peakMemory())} (${mb(idle[0])}), query ${
            mb(servers.query.peakMemory())
          } (${mb(idle[1])}), `
      }prometheus ${mb(prometheus.peakMemory())}`,
  );
  await Deno.remove(work, { recursive: true });
  return different === 0 ? 0 : 1;
}

let code = 1;
try {
  code = await main();
} catch (error) {
  console.error(`bench:query: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await Promise.all(children.map((child) => child.stop()));
}
Deno.exit(code);
