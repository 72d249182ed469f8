/**
 * What asking many costs: ratios of the same series from several stores, or in two replicas, to the
 * plain case, and the price of looking after many endpoints.
 *
 *   deno task bench:fanout [--repeat=9] [--series=1000] [--hours=24] [--seconds=20] [--only=stores,replicas,polling]
 *
 * Stores are store gateways in processes of their own over buckets made here; a querier for each
 * case is asked in turns, the median of each is taken, and the CPU that all processes used is set
 * against it: on a busy machine that is the steadier figure. Two replicas are measured from one
 * store that holds both, from two stores, and over a day of data set P (`bench-mixed-14d`, the
 * second replica scraping 7 s later). The last row is CPU of a querier with 100 endpoints and no
 * query, in percent of a core.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { generateBlock, MIXED_PROFILE, planProfile } from "../../lib/benchgen/mod.ts";
import { labelsFromRecord, MAX_TIME, MIN_TIME, SampleBatch } from "../../lib/model/mod.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { serveRpc } from "../../lib/rpc/mod.ts";
import { openBlock, SystemFiles } from "../../lib/tsdb/mod.ts";
import { infoService } from "../../lib/storeapi/mod.ts";
import { floatSeries, type SeriesData } from "../../lib/storeapi/testing/fixtures.ts";
import { addBlock, blockId } from "../../lib/store/testing/small_bucket.ts";
import { type Server, Stage } from "../mneme.ts";

const START = 1_790_208_000_000;
const HOUR = 3_600_000;
const STEP = 15_000;
const ENDPOINTS = 100;

const SHIFT = 7000;
const PARTS = ["stores", "replicas", "polling"];

interface Options {
  repeat: number;
  series: number;
  hours: number;
  seconds: number;
  only: readonly string[];
}

function parseOptions(args: readonly string[]): Options {
  const options: Options = { repeat: 9, series: 1000, hours: 24, seconds: 20, only: PARTS };
  for (const arg of args) {
    const [, name = "", value = ""] = /^--(\w+)=(\S+)$/.exec(arg) ?? [];
    const parts = value.split(",");
    if (name === "only" && parts.every((part) => PARTS.includes(part))) options.only = parts;
    else if (name !== "only" && name in options && /^[1-9]\d*$/.test(value)) {
      options[name as "repeat" | "series" | "hours" | "seconds"] = Number(value);
    } else {
      throw new MnemeError(
        "bad_data",
        `unknown or wrong flag '${arg}'; known: --repeat, --series, --hours, --seconds, ` +
          `--only=${PARTS.join(",")}`,
      );
    }
  }
  return options;
}

function seriesOf(from: number, to: number, hours: number, shift: number): SeriesData[] {
  const samples = Math.floor(hours * HOUR / STEP);
  return Array.from({ length: to - from }, (_, i) =>
    floatSeries(
      { __name__: "requests_total", instance: `host-${String(from + i).padStart(5, "0")}` },
      START + shift,
      samples,
      { step: STEP, value: from + i },
    ));
}

/** A store over one bucket with one block a label set. */
async function storeOf(
  stage: Stage,
  name: string,
  blocks: readonly { readonly labels: Record<string, string>; readonly series: SeriesData[] }[],
): Promise<Server> {
  const folder = `${stage.folder}/${name}`;
  await Deno.mkdir(folder);
  const bucket = new FilesystemBucket(folder);
  for (const [n, block] of blocks.entries()) await addBlock(bucket, { id: blockId(n), ...block });
  return await stage.store(folder);
}

const querierOver = (stage: Stage, stores: readonly Server[]) =>
  stage.mneme("query", [
    ...stores.map((store) => `--endpoint=${store.grpc}`),
    "--query.replica-label=replica",
  ]);

interface Question {
  readonly query: string;
  /** Start and end of the data, ms. */
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

async function time(querier: Server, asked: Question, round: number): Promise<number> {
  const end = asked.to / 1000 - 60 - round;
  const params = new URLSearchParams({
    query: asked.query,
    start: String(asked.from / 1000 + 3600 - 60 - round),
    end: String(end),
    step: String(asked.step),
  });
  const began = performance.now();
  const answer = await fetch(`${querier.http}/api/v1/query_range?${params}`);
  const text = await answer.text();
  const ms = performance.now() - began;
  const body = JSON.parse(text);
  if (body.status !== "success" || body.warnings !== undefined || body.data.result.length === 0) {
    throw new MnemeError("execution", `unexpected answer: ${text.slice(0, 300)}`);
  }
  return ms;
}

/** CPU that a process has used, seconds. */
async function cpuOf(server: Server): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)![1]);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** A querier and the stores behind it. */
interface Side {
  readonly querier: Server;
  readonly stores: readonly Server[];
}

/** What a side used of all its rounds. */
class Used {
  readonly ms: number[] = [];
  querier = 0;
  stores = 0;
}

async function measure(
  { querier, stores }: Side,
  question: Question,
  round: number,
  used: Used,
): Promise<void> {
  const before = [await cpuOf(querier), await Promise.all(stores.map(cpuOf))] as const;
  const ms = await time(querier, question, Math.max(0, round));
  if (round < 0) return;
  used.ms.push(ms);
  used.querier += await cpuOf(querier) - before[0];
  const after = await Promise.all(stores.map(cpuOf));
  for (let i = 0; i < after.length; i++) used.stores += after[i]! - before[1][i]!;
}

/** Medians of two sides asked in turns, and their ratio. */
async function compare(
  title: string,
  plain: Side,
  other: Side,
  question: Question,
  options: Options,
  most: number,
): Promise<void> {
  const used = [new Used(), new Used()] as const;
  for (let round = -3; round < options.repeat; round++) {
    for (const [i, side] of [plain, other].entries()) {
      await measure(side, question, round, used[i]!);
    }
  }
  const ratio = median(used[1].ms) / median(used[0].ms);
  const line = (what: string, a: number, b: number, rest = "") =>
    console.log(
      `${what.padEnd(46)} ${a.toFixed(1).padStart(8)} ms → ${b.toFixed(1).padStart(8)} ms` +
        `  ×${(b / a).toFixed(2)}${rest}`,
    );
  line(
    title,
    median(used[0].ms),
    median(used[1].ms),
    `  (goal ×${most}${ratio <= most ? "" : ", missed"})`,
  );
  const each = (seconds: number) => seconds * 1000 / options.repeat;
  line("  CPU of the querier", each(used[0].querier), each(used[1].querier));
  line("  CPU of the stores", each(used[0].stores), each(used[1].stores));
  const all = (u: Used) => each(u.querier + u.stores);
  line("  CPU of all", all(used[0]), all(used[1]));
  const peak = ({ querier }: Side) => `${((querier.child.peakMemory() ?? 0) / 1e6).toFixed(0)} MB`;
  console.log(`${"  peak memory of the querier".padEnd(46)} ${peak(plain)} → ${peak(other)}`);
}

const ratesOf = (hours: number): Question => ({
  query: "sum(rate(requests_total[5m]))",
  from: START,
  to: START + hours * HOUR,
  step: 60,
});

async function fanOut(options: Options): Promise<void> {
  await using stage = await Stage.open();
  const { series, hours } = options;
  const one = await storeOf(stage, "one", [
    { labels: { cluster: "a" }, series: seriesOf(0, series, hours, 0) },
  ]);
  const parts: Server[] = [];
  for (let i = 0; i < 8; i++) {
    parts.push(
      await storeOf(stage, `part-${i}`, [{
        labels: { cluster: `c${i}` },
        series: seriesOf(Math.floor(series * i / 8), Math.floor(series * (i + 1) / 8), hours, 0),
      }]),
    );
  }
  const plain = { querier: await querierOver(stage, [one]), stores: [one] };
  const eight = { querier: await querierOver(stage, parts), stores: parts };
  await compare(
    `8 stores of ${series / 8} series to one of ${series}`,
    plain,
    eight,
    ratesOf(hours),
    options,
    1.3,
  );
}

async function replicas(options: Options): Promise<void> {
  const { series, hours } = options;
  const replica = (name: string, shift: number) => ({
    labels: { cluster: "a", replica: name },
    series: seriesOf(0, series, hours, shift),
  });
  await compareReplicas(
    `${series} series`,
    options,
    [[replica("0", 0)], [replica("1", SHIFT)]],
    [ratesOf(hours)],
  );
  const from = START;
  const to = START + MIXED_HOURS * HOUR;
  await compareReplicas("P", options, await mixedReplicas(), [
    { query: "sum by (job) (rate(bench_requests_total[5m]))", from, to, step: 60 },
    { query: "avg by (path) (avg_over_time(bench_temperature[5m]))", from, to, step: 60 },
  ]);
}

/** The blocks of one replica. */
type Replica = readonly {
  readonly labels: Record<string, string>;
  readonly series: SeriesData[];
}[];

async function compareReplicas(
  name: string,
  options: Options,
  [first, second]: readonly [Replica, Replica],
  questions: readonly Question[],
): Promise<void> {
  await using stage = await Stage.open();
  const one = await storeOf(stage, "one", first);
  const other = await storeOf(stage, "other", second);
  const both = await storeOf(stage, "both", [...first, ...second]);
  const side = async (...stores: Server[]) => ({
    querier: await querierOver(stage, stores),
    stores,
  });
  const [plain, pair, apart] = [await side(one), await side(both), await side(one, other)];
  for (const question of questions) {
    if (questions.length > 1) console.log(question.query);
    const compared = (title: string, to: Side) =>
      compare(`2 replicas of ${name}${title}`, plain, to, question, options, 1.6);
    await compared(", one store, to one", pair);
    await compared(", two stores, to one", apart);
  }
}

const MIXED_HOURS = 24;

/** The first day of data set P, and the same scraped a little later. */
async function mixedReplicas(): Promise<[Replica, Replica]> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-bench-" });
  const files = new SystemFiles();
  const pair: [Replica[number][], Replica[number][]] = [[], []];
  try {
    const plan = [
      ...planProfile(MIXED_PROFILE, { maxTime: 0, externalLabels: labelsFromRecord({}) }),
    ]
      .filter((block) => block.maxTime <= START + MIXED_HOURS * HOUR);
    for (const [n, spec] of plan.entries()) {
      const ulid = blockId(n);
      generateBlock(spec, { files, directory: folder, ulid });
      const block = openBlock(files, `${folder}/${ulid}`);
      const selection = block.select([]);
      for (const [i, shift] of [0, SHIFT].entries()) {
        pair[i]!.push({
          labels: { cluster: "bench", replica: String(i) },
          series: selection.labels.map((labels, k) => {
            const samples = new SampleBatch();
            selection.read(k, samples);
            for (let at = 0; at < samples.length; at++) samples.t[at]! += shift;
            return { labels, samples };
          }),
        });
      }
      block.close();
    }
    return pair;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function polling(options: Options): Promise<void> {
  await using stage = await Stage.open();
  const servers = await Promise.all(Array.from({ length: ENDPOINTS }, () =>
    serveRpc({
      address: "127.0.0.1:0",
      services: [infoService(() => ({
        labelSets: [],
        componentType: "store",
        store: {
          minTime: MIN_TIME,
          maxTime: MAX_TIME,
          supportsSharding: true,
          supportsWithoutReplicaLabels: true,
          tsdbInfos: [],
        },
      }))],
    })));
  const querier = await stage.mneme("query", servers.map((s) => `--endpoint=${s.address}`));
  const cpu = () => cpuOf(querier);
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const [before, began] = [await cpu(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, options.seconds * 1000));
  const percent = (await cpu() - before) / ((performance.now() - began) / 1000) * 100;
  console.log(
    `${`${ENDPOINTS} endpoints polled, CPU of the querier`.padEnd(52)} ${percent.toFixed(2)} %` +
      `  (goal 2 %${percent < 2 ? "" : ", missed"})`,
  );
  for (const server of servers) await server.stop(0);
}

const options = parseOptions(Deno.args);
// As the packed file and the image start every part.
Deno.env.set("DENO_V8_FLAGS", "--max-semi-space-size=8");
if (options.only.includes("stores")) await fanOut(options);
if (options.only.includes("replicas")) await replicas(options);
if (options.only.includes("polling")) await polling(options);
Deno.exit(0);
