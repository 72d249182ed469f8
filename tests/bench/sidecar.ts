/**
 * Memory of a sidecar whose Prometheus is read again and again.
 *
 *   deno task bench:sidecar [--reads=50] [--plain] [--data=.bench]
 *
 * Data set P lies in a real Prometheus; each read is a Series call for 1,000 series over one day,
 * streamed to the end. Prints the peak of the sidecar after 1, 8 and all reads, what it holds
 * afterwards, and the time of a read. --plain starts it without the runtime's memory flag that the
 * packages set.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { makeMatcher } from "../../lib/model/mod.ts";
import { connectRpc } from "../../lib/rpc/mod.ts";
import { ChildProcess, freePort, isOnPath } from "../../lib/runtime/child_process.ts";
import { RemoteStore, type SeriesRequest } from "../../lib/storeapi/mod.ts";
import { benchData, linkBlocks } from "./data.ts";

const root = new URL("../..", import.meta.url).pathname;
const TARGET = 150e6;
const DAY = 86_400_000;
/** Ends of the reads step back from here, a day before the data end, ms. */
const END = Date.UTC(2026, 9, 7);
const STEP = 60_000;

interface Options {
  reads: number;
  plain: boolean;
  data: string;
}

function parseOptions(args: readonly string[]): Options {
  const options: Options = { reads: 50, plain: false, data: ".bench" };
  for (const arg of args) {
    const [name, value = ""] = arg.split("=", 2);
    if (name === "--reads") options.reads = Number(value);
    else if (arg === "--plain") options.plain = true;
    else if (name === "--data") options.data = value;
    else {
      throw new MnemeError("bad_data", `unknown flag '${arg}'; known: --reads, --plain, --data`);
    }
  }
  if (!Number.isInteger(options.reads) || options.reads < 1) {
    throw new MnemeError("bad_data", "--reads must be a whole number of 1 or more");
  }
  return options;
}

function requestOf(read: number): SeriesRequest {
  const maxTime = END - read * STEP;
  return {
    minTime: maxTime - DAY,
    maxTime,
    matchers: [makeMatcher("=~", "__name__", "bench_.*")],
    maxResolutionWindow: 0,
    aggregates: [0],
    partialResponse: "abort",
    skipChunks: false,
    withoutReplicaLabels: [],
    limit: 0,
    responseBatchSize: 64,
  };
}

const megabytes = (bytes: number | undefined) =>
  bytes === undefined ? "?" : `${(bytes / 1e6).toFixed(0)} MB`;

async function main(): Promise<number> {
  const options = parseOptions(Deno.args);
  if (!isOnPath("prometheus")) {
    console.log(
      "bench:sidecar needs a real prometheus on PATH (Debian: apt-get install prometheus).",
    );
    return 1;
  }
  const bucket = await benchData(options.data, (line) => console.log(line));
  const data = `${options.data}/prometheus`;
  await linkBlocks(bucket, data);
  const configFile = `${options.data}/prometheus.yml`;
  await Deno.writeTextFile(
    configFile,
    "global: {scrape_interval: 1h, external_labels: {cluster: bench}}\n",
  );
  const [promHttp, grpc, http] = [freePort(), freePort(), freePort()];
  const prometheus = ChildProcess.start({
    name: "prometheus",
    command: "prometheus",
    args: [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${data}`,
      "--storage.tsdb.retention.time=100y",
      "--storage.tsdb.min-block-duration=2h",
      "--storage.tsdb.max-block-duration=2h",
      `--web.listen-address=127.0.0.1:${promHttp}`,
      "--log.level=error",
    ],
  });
  const flags = options.plain ? [] : ["--v8-flags=--max-semi-space-size=8"];
  const sidecar = ChildProcess.start({
    name: "sidecar",
    command: Deno.execPath(),
    args: [
      "run",
      "-A",
      ...flags,
      `${root}cmd/sidecar.ts`,
      `--prometheus.url=http://127.0.0.1:${promHttp}`,
      `--grpc-address=127.0.0.1:${grpc}`,
      `--http-address=127.0.0.1:${http}`,
    ],
  });
  try {
    await prometheus.waitUntilReady(`http://127.0.0.1:${promHttp}/-/ready`);
    await sidecar.waitUntilReady(`http://127.0.0.1:${http}/-/ready`);
    const client = connectRpc(`127.0.0.1:${grpc}`);
    const store = new RemoteStore(client);
    const { signal } = new AbortController();
    console.log(`idle: ${megabytes(sidecar.residentMemory())}`);
    let worst = 0;
    const times: number[] = [];
    for (let read = 0; read < options.reads; read++) {
      const began = performance.now();
      let series = 0;
      let samples = 0;
      let last = "";
      for await (const frame of store.series(requestOf(read), { signal, tenant: "" })) {
        for (const { labels, chunks } of frame.series) {
          const text = labels.join("\0");
          // A long series goes on in the next message.
          if (text !== last) series++;
          last = text;
          samples += chunks.length * 120;
        }
      }
      times.push(performance.now() - began);
      if (series !== 1000) throw new MnemeError("execution", `${series} series, expected 1000`);
      const done = read + 1;
      if (done === 1 || done === 8 || done === options.reads) {
        const peak = sidecar.peakMemory();
        worst = Math.max(worst, peak ?? 0);
        console.log(
          `peak after ${String(done).padStart(3)} reads of ${series} series × 1 d ` +
            `(about ${(samples / 1e6).toFixed(1)} M samples): ${megabytes(peak)}`,
        );
      }
    }
    client.close();
    times.sort((a, b) => a - b);
    console.log(
      `afterwards: ${megabytes(sidecar.residentMemory())}; median of a read: ` +
        `${times[times.length >> 1]!.toFixed(0)} ms; target of the peak: ${megabytes(TARGET)}`,
    );
    return worst <= TARGET ? 0 : 1;
  } finally {
    await sidecar.stop();
    await prometheus.stop();
  }
}

if (import.meta.main) Deno.exitCode = await main();
