/**
 * What asking many costs: ratios of the same series from several stores, or in two replicas, to the
 * plain case, and the price of looking after many endpoints.
 *
 *   deno task bench:fanout [--repeat=9] [--series=1000] [--hours=24] [--seconds=20]
 *
 * Stores are store gateways in processes of their own over buckets made here; a querier for each
 * case is asked in turns, the median of each is taken. The last row is CPU of a querier with 100
 * endpoints and no query, in percent of a core.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { MAX_TIME, MIN_TIME } from "../../lib/model/mod.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { serveRpc } from "../../lib/rpc/mod.ts";
import { infoService } from "../../lib/storeapi/mod.ts";
import { floatSeries, type SeriesData } from "../../lib/storeapi/testing/fixtures.ts";
import { addBlock, blockId } from "../../lib/store/testing/small_bucket.ts";
import { type Server, Stage } from "../mneme.ts";

const START = 1_790_208_000_000;
const HOUR = 3_600_000;
const STEP = 15_000;
const ENDPOINTS = 100;

interface Options {
  repeat: number;
  series: number;
  hours: number;
  seconds: number;
}

function parseOptions(args: readonly string[]): Options {
  const options: Options = { repeat: 9, series: 1000, hours: 24, seconds: 20 };
  for (const arg of args) {
    const [, name = "", value = ""] = /^--(\w+)=(\d+)$/.exec(arg) ?? [];
    if (!(name in options) || Number(value) < 1) {
      throw new MnemeError(
        "bad_data",
        `unknown or wrong flag '${arg}'; known: --repeat, --series, --hours, --seconds`,
      );
    }
    options[name as keyof Options] = Number(value);
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

async function time(
  querier: Server,
  hours: number,
  round: number,
): Promise<{ ms: number; result: string }> {
  const end = START / 1000 + hours * 3600 - 60 - round;
  const params = new URLSearchParams({
    query: "sum(rate(requests_total[5m]))",
    start: String(end - (hours - 1) * 3600),
    end: String(end),
    step: "60",
  });
  const began = performance.now();
  const answer = await fetch(`${querier.http}/api/v1/query_range?${params}`);
  const text = await answer.text();
  const ms = performance.now() - began;
  const body = JSON.parse(text);
  if (body.status !== "success" || body.warnings !== undefined || body.data.result.length !== 1) {
    throw new MnemeError("execution", `unexpected answer: ${text.slice(0, 300)}`);
  }
  return { ms, result: body.data.result[0].values.at(-1)[1] };
}

/** CPU that a process has used, seconds. */
async function cpuOf(server: Server): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)![1]);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Medians of two queriers asked in turns, and their ratio. */
async function compare(
  title: string,
  plain: Server,
  other: Server,
  options: Options,
  most: number,
): Promise<void> {
  const times: [number[], number[]] = [[], []];
  const used = [0, 0];
  for (let round = -2; round < options.repeat; round++) {
    for (const [i, querier] of [plain, other].entries()) {
      const before = await cpuOf(querier);
      const { ms } = await time(querier, options.hours, Math.max(0, round));
      if (round < 0) continue;
      times[i]!.push(ms);
      used[i]! += await cpuOf(querier) - before;
    }
  }
  const [a, b] = [median(times[0]), median(times[1])];
  const ratio = b / a;
  console.log(
    `${title.padEnd(52)} ${a.toFixed(1)} ms → ${b.toFixed(1)} ms  ×${ratio.toFixed(2)}` +
      `  (goal ×${most}${ratio <= most ? "" : ", missed"}; CPU of the querier ` +
      `×${(used[1]! / used[0]!).toFixed(2)})`,
  );
}

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
  const [plain, eight] = [await querierOver(stage, [one]), await querierOver(stage, parts)];
  await compare(`8 stores of ${series / 8} series to one of ${series}`, plain, eight, options, 1.3);
}

async function replicas(options: Options): Promise<void> {
  await using stage = await Stage.open();
  const { series, hours } = options;
  const replica = (name: string, shift: number) => ({
    labels: { cluster: "a", replica: name },
    series: seriesOf(0, series, hours, shift),
  });
  const one = await storeOf(stage, "one", [replica("0", 0)]);
  const both = await storeOf(stage, "both", [replica("0", 0), replica("1", 7000)]);
  const [plain, pair] = [await querierOver(stage, [one]), await querierOver(stage, [both])];
  await compare(`2 replicas of ${series} series to one`, plain, pair, options, 1.6);
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
await fanOut(options);
await replicas(options);
await polling(options);
Deno.exit(0);
