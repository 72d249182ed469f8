/**
 * How much sooner downsampled data answer: the same query of the same store gateway and querier,
 * once of raw data and once with `max_source_resolution=5m`.
 *
 *   deno task bench:downsampled [--repeat=9] [--data=.bench] [--cpu-prof=folder]
 *
 * Two buckets, compacted and downsampled by our own compactor first: data set P
 * (`bench-mixed-14d`; the newest two days stay raw, as nobody downsamples what may still grow) and a
 * year (`continuous-365d-tiny`). Raw and 5m take turns, every repetition with its end moved by one
 * step, without a result cache. Answers of the first repetition are compared: the same series and
 * times, values near each other. The aim is a ratio of 5.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { ChildProcess, freePort } from "../../lib/runtime/child_process.ts";
import { generateBlocks, runCommand } from "../mneme.ts";
import { benchData, linkBlocks } from "./data.ts";
import { QUERIES, type QueryRow, requestOf } from "./queries.ts";

const root = new URL("../..", import.meta.url).pathname;
/** As the packed file and the image start every part. */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=8";
const AIM = 5;
const DAY = 86_400;
/** The year ends with 2025, 7 s off its scrape grid. */
const YEAR_END = 1_767_225_600 + 7 - DAY;

interface Options {
  repeat: number;
  data: string;
  cpuProf: string | undefined;
}

function parseOptions(args: readonly string[]): Options {
  const options: Options = { repeat: 9, data: ".bench", cpuProf: undefined };
  for (const arg of args) {
    const [name, value = ""] = arg.split("=", 2);
    if (name === "--repeat") options.repeat = Number(value);
    else if (name === "--data") options.data = value;
    else if (name === "--cpu-prof") options.cpuProf = value;
    else {
      throw new MnemeError(
        "bad_data",
        `unknown flag '${arg}'; known: --repeat, --data, --cpu-prof`,
      );
    }
  }
  if (!Number.isInteger(options.repeat) || options.repeat < 1) {
    throw new MnemeError("bad_data", "--repeat must be a whole number of 1 or more");
  }
  return options;
}

/** A row, and how far apart a value of raw data and one of 5m data may be. */
interface Row extends QueryRow {
  /** Part of the value that nearly all (99 %) differ by at most. */
  readonly near: number;
}

function year(query: string, stepSeconds: number, shape: string, near: number): Row {
  return {
    query,
    shape,
    rangeSeconds: 360 * DAY,
    stepSeconds,
    endSeconds: YEAR_END,
    maxSourceResolution: "5m",
    tolerance: 0,
    hasTies: false,
    near,
  };
}

/** The rows of the year, each of one series with a sample every 15 s. */
const YEAR: readonly Row[] = [
  year("max_over_time(continuous_app_metric0[6h])", DAY / 4, "360 d / 6 h", 0.15),
  year("avg_over_time(continuous_app_metric1[1d])", DAY, "360 d / 1 d", 0.01),
  year("rate(continuous_app_metric2[1d])", DAY, "360 d / 1 d", 0.05),
];

const children: ChildProcess[] = [];

function mneme(name: string, args: string[], options: Options): ChildProcess {
  const { cpuProf } = options;
  const child = ChildProcess.start({
    name,
    command: Deno.execPath(),
    args: [
      "run",
      "-A",
      "--no-check",
      V8_FLAGS,
      ...(cpuProf === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${cpuProf}`]),
      `${root}cmd/${name}.ts`,
      ...args,
    ],
  });
  children.push(child);
  return child;
}

/** Compacts and downsamples a bucket until nothing is left to do. */
async function compact(bucket: string, folder: string): Promise<void> {
  const started = performance.now();
  const { code, stderr } = await runCommand([
    "cmd/compact.ts",
    `--objstore.config=${JSON.stringify({ type: "FILESYSTEM", config: { directory: bucket } })}`,
    `--data-dir=${folder}`,
    "--consistency-delay=0s",
    "--delete-delay=0s",
    "--downsample.concurrency=2",
    "--compact.progress-interval=0s",
    `--http-address=127.0.0.1:${freePort()}`,
  ]);
  if (code !== 0) throw new MnemeError("execution", `the compactor failed:\n${stderr}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const kinds = new Map<number, number>();
  for await (const { name, isDirectory } of Deno.readDir(bucket)) {
    if (!isDirectory || name === "debug") continue;
    const files = await Array.fromAsync(Deno.readDir(`${bucket}/${name}`));
    // What is marked is gone with the next run.
    if (files.some((file) => file.name === "deletion-mark.json")) continue;
    const meta = JSON.parse(await Deno.readTextFile(`${bucket}/${name}/meta.json`));
    const resolution: number = meta.thanos.downsample.resolution;
    kinds.set(resolution, (kinds.get(resolution) ?? 0) + 1);
  }
  const text = [...kinds].sort(([a], [b]) => a - b).map(([resolution, count]) =>
    `${count} ${resolution === 0 ? "raw" : `of ${resolution / 60_000}m`}`
  );
  console.log(`compacted and downsampled in ${seconds} s; blocks: ${text.join(", ")}`);
}

interface Answer {
  readonly ms: number;
  readonly text: string;
}

async function ask(base: string, row: QueryRow, shift: number, more = ""): Promise<Answer> {
  const url = `${base}${requestOf(row, shift)}${more}`;
  const start = performance.now();
  const answer = await fetch(url);
  const text = await answer.text();
  const ms = performance.now() - start;
  if (!answer.ok) throw new MnemeError("execution", `${row.query}: ${text.slice(0, 400)}`);
  return { ms, text };
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

interface MatrixSeries {
  readonly metric: Record<string, string>;
  readonly values: readonly [number, string][];
}

/** How the values differ; throws when series or times are missing. */
function differences(raw: string, coarse: string): number[] {
  const all = (text: string) =>
    new Map(
      (JSON.parse(text).data.result as MatrixSeries[]).map((series) => [
        JSON.stringify(series.metric),
        new Map(series.values),
      ]),
    );
  const a = all(raw);
  const b = all(coarse);
  if (a.size === 0) throw new MnemeError("execution", "the answer is empty");
  const out: number[] = [];
  let missing = 0;
  for (const [metric, values] of a) {
    const other = b.get(metric);
    if (other === undefined) throw new MnemeError("execution", `no ${metric} at 5m`);
    for (const [time, value] of values) {
      const x = Number(value);
      const y = other.get(time);
      if (y === undefined) missing++;
      else if (x !== Number(y)) out.push(Math.abs(x - Number(y)) / Math.abs(x));
      else out.push(0);
    }
  }
  // The first window of a series may be too short for two points.
  if (a.size !== b.size || missing > a.size) {
    throw new MnemeError("execution", `${b.size} series for ${a.size}, ${missing} points missing`);
  }
  return out;
}

/** Which resolutions answer, as the answer itself says. */
async function coverage(base: string, row: QueryRow): Promise<string> {
  const { text } = await ask(base, row, 0, "&analyze=true");
  const stretches = JSON.parse(text).data.analysis.coverage as {
    resolution: number;
    minTime: number;
    maxTime: number;
  }[];
  const days = new Map<number, number>();
  for (const { resolution, minTime, maxTime } of stretches) {
    days.set(resolution, (days.get(resolution) ?? 0) + (maxTime - minTime) / 86_400_000);
  }
  return [...days].sort(([x], [y]) => y - x).map(([resolution, count]) =>
    `${count.toFixed(1)} d ${resolution === 0 ? "raw" : `of ${resolution / 60_000}m`}`
  ).join(", ");
}

async function measure(
  name: string,
  bucket: string,
  rows: readonly Row[],
  options: Options,
): Promise<boolean> {
  const work = await Deno.makeTempDir({ prefix: "mneme-bench-" });
  await compact(bucket, `${work}/compact`);
  const [storeGrpc, storeHttp, queryGrpc, queryHttp] = Array.from({ length: 4 }, freePort) as [
    number,
    number,
    number,
    number,
  ];
  const store = mneme("store", [
    `--objstore.config=type: FILESYSTEM\nconfig:\n  directory: ${await Deno.realPath(bucket)}`,
    `--data-dir=${work}/store`,
    `--grpc-address=127.0.0.1:${storeGrpc}`,
    `--http-address=127.0.0.1:${storeHttp}`,
  ], options);
  const query = mneme("query", [
    `--endpoint=127.0.0.1:${storeGrpc}`,
    `--grpc-address=127.0.0.1:${queryGrpc}`,
    `--http-address=127.0.0.1:${queryHttp}`,
  ], options);
  await store.waitUntilReady(`http://127.0.0.1:${storeHttp}/-/ready`);
  await query.waitUntilReady(`http://127.0.0.1:${queryHttp}/-/ready`);
  const base = `http://127.0.0.1:${queryHttp}`;
  console.log(`\n${name}: median of ${options.repeat}, ms\n`);
  console.log(`     raw        5m   ratio  query`);
  let reached = true;
  for (const row of rows) {
    const { maxSourceResolution: _, ...raw } = row;
    let first = await ask(base, raw, 0);
    for (let i = 0; first.text.includes('"result":[]') && i < 50; i++) {
      // The querier is ready before it has met the store; ask again.
      await new Promise((resolve) => setTimeout(resolve, 200));
      first = await ask(base, raw, 0);
    }
    const apart = differences(first.text, (await ask(base, row, 0)).text);
    const served = await coverage(base, row);
    if (!served.includes("of 5m")) throw new MnemeError("execution", `not of 5m data: ${served}`);
    const times: [number[], number[]] = [[], []];
    for (let i = 1; i <= options.repeat; i++) {
      const order = i % 2 === 0 ? [0, 1] as const : [1, 0] as const;
      for (const k of order) times[k].push((await ask(base, k === 0 ? raw : row, i)).ms);
    }
    const [a, b] = times.map(median) as [number, number];
    const most = quantile(apart, 0.99);
    const sane = most <= row.near;
    if (a / b < AIM || !sane) reached = false;
    console.log(
      `${a.toFixed(1).padStart(8)}  ${b.toFixed(1).padStart(8)}  ${(a / b).toFixed(2).padStart(6)}${
        a / b < AIM ? " " : "*"
      } ${row.query}  ${row.shape}\n` +
        `${" ".repeat(29)}${served}; 99 % of ${apart.length} values within ${
          (most * 100).toFixed(2)
        } %${sane ? "" : `: NOT NEAR, ${row.near * 100} % expected`}`,
    );
  }
  await Promise.all([query.stop(), store.stop()]);
  await Deno.remove(work, { recursive: true });
  return reached;
}

async function main(): Promise<number> {
  const options = parseOptions(Deno.args);
  const source = await benchData(options.data, console.log);
  const work = await Deno.makeTempDir({ prefix: "mneme-bench-", dir: options.data });
  try {
    await linkBlocks(source, `${work}/bucket-p`);
    const rows = QUERIES.filter((row) => row.maxSourceResolution === "5m");
    const p = await measure(
      "data set P",
      `${work}/bucket-p`,
      rows.map((row) => ({ ...row, near: 0.1 })),
      options,
    );
    await generateBlocks(`${work}/bucket-year`, "continuous-365d-tiny", 'cluster="bench"');
    const y = await measure("the year", `${work}/bucket-year`, YEAR, options);
    console.log(`\n* at least ${AIM} times sooner${p && y ? ": every row" : ""}`);
    return p && y ? 0 : 1;
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    await Deno.remove(work, { recursive: true });
  }
}

let code = 1;
try {
  code = await main();
} catch (error) {
  console.error(`bench:downsampled: ${error instanceof Error ? error.message : String(error)}`);
}
Deno.exit(code);
