/**
 * Data of every kind that a graph can show: a bucket that a compactor has downsampled and still has
 * work in, native histograms, and exemplars of a traced querier that a Prometheus scrapes.
 */
import { makeUlid } from "../../lib/base/mod.ts";
import {
  emptyHistogram,
  labelsFromRecord,
  SampleBatch,
  spansOfIndexes,
} from "../../lib/model/mod.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { addBlock } from "../../lib/store/testing/small_bucket.ts";
import { floatSeries, type SeriesData } from "../../lib/storeapi/testing/fixtures.ts";
import { type Server, type Stage, until } from "../mneme.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The start of one of the 14-day ranges that a compactor joins no further, ms. */
export const BEGIN = 1460 * 14 * DAY;
/** Blocks of 14 days, each downsampled to 5m and 1h. */
const LARGE = 3;
/** Where large blocks end and small ones, which stay raw, begin, ms. */
export const LARGE_END = BEGIN + LARGE * 14 * DAY;
/** End of the small blocks, ms. */
export const END = LARGE_END + 6 * HOUR;

/** The running whole. */
export interface DataScene {
  readonly query: Server;
  readonly compact: Server;
  /** Name of the store gateway as the querier knows it. */
  readonly storeName: string;
}

/** A scene with everything in place: downsampled, set aside, planned, scraped. */
export async function openDataScene(stage: Stage, traceUrl: string): Promise<DataScene> {
  const folder = `${stage.folder}/bucket`;
  await Deno.mkdir(folder);
  const bucket = new FilesystemBucket(folder);
  let ids = 0;
  const block = (labels: Record<string, string>, series: readonly SeriesData[], maxTime: number) =>
    addBlock(bucket, {
      id: makeUlid(Date.now() - DAY + ids++ * 1000, (target) => target.fill(7)),
      labels,
      series,
      minTime: series[0]!.samples.t[0]!,
      maxTime,
    });
  for (let i = 0; i < LARGE; i++) {
    const from = BEGIN + i * 14 * DAY;
    await block({ cluster: "past" }, [gauge("queue_length", from, 14 * DAY)], from + 14 * DAY);
  }
  for (let at = LARGE_END; at < END; at += 2 * HOUR) {
    await block({ cluster: "past" }, [gauge("queue_length", at, 2 * HOUR)], at + 2 * HOUR);
  }
  await block({ cluster: "past", kind: "native" }, [latency(LARGE_END, 2 * HOUR)], END);
  // Many series whose subqueries take long: a query that is worth an end.
  const wide = Array.from(
    { length: 4000 },
    (_, i) =>
      floatSeries({ __name__: "wide_gauge", instance: String(i) }, LARGE_END, 72, {
        step: 5 * MINUTE,
      }),
  );
  await block({ cluster: "wide" }, wide, END);
  for (const shift of [0, HOUR]) {
    const from = LARGE_END + shift;
    await block({ cluster: "torn" }, [gauge("torn_gauge", from, 2 * HOUR)], from + 2 * HOUR);
  }
  const compact = await stage.mneme("compact", [
    `--objstore.config=${configOf(folder)}`,
    `--data-dir=${stage.folder}/compact`,
    "--wait",
    "--wait-interval=10h",
    "--compact.progress-interval=1s",
    "--block-viewer.global.sync-block-interval=1s",
    "--consistency-delay=0s",
  ]);
  await until("the end of the first iteration", () => counted(compact), 90_000);
  // What comes now waits for the next iteration: it is planned, and stays so.
  for (let i = 0; i < 5; i++) {
    const from = LARGE_END + i * 2 * HOUR;
    await block({ cluster: "later" }, [gauge("late_gauge", from, 2 * HOUR)], from + 2 * HOUR);
  }
  const store = await stage.store(folder);
  const prometheus = await stage.startPrometheus(
    "prometheus",
    configFor([]),
    ["--enable-feature=exemplar-storage"],
  );
  const sidecar = await stage.mneme("sidecar", [`--prometheus.url=${prometheus.http}`]);
  const query = await stage.mneme("query", [
    `--endpoint=${store.grpc}`,
    `--endpoint=${sidecar.grpc}`,
    // Nobody listens there: a querier goes on when its collector does not.
    `--tracing.config=type: OTLP
config: {client_type: http, endpoint: "127.0.0.1:9", insecure: true, sampler_type: neversample}`,
    `--web.trace-url=${traceUrl}`,
  ]);
  await Deno.writeTextFile(
    prometheus.configFile,
    configFor([new URL(prometheus.http).host], new URL(query.http).host),
  );
  const reloaded = await fetch(`${prometheus.http}/-/reload`, { method: "POST" });
  if (!reloaded.ok) throw new Error(`reload: ${await reloaded.text()}`);
  await reloaded.body?.cancel();
  await until("what the querier told Prometheus", async () => {
    const form = new URLSearchParams({ query: 'http_requests_total{job="querier"}' });
    const { data } = await (await fetch(`${query.http}/api/v1/query?${form}`)).json();
    return data.result.length > 0;
  }, 60_000);
  return { query, compact, storeName: store.grpc };
}

/** True once the compactor has been through everything. */
async function counted(compact: Server): Promise<boolean> {
  const text = await (await fetch(`${compact.http}/metrics`)).text();
  return /^thanos_compact_iterations_total [1-9]/m.test(text);
}

function configOf(folder: string): string {
  return `type: FILESYSTEM\nconfig:\n  directory: ${JSON.stringify(folder)}`;
}

/** A configuration as JSON, which is YAML. */
function configFor(self: readonly string[], querier?: string): string {
  return JSON.stringify({
    global: { scrape_interval: "1s", external_labels: { cluster: "now" } },
    scrape_configs: [
      { job_name: "prometheus", static_configs: [{ targets: self }] },
      ...(querier === undefined
        ? []
        : [{ job_name: "querier", static_configs: [{ targets: [querier] }] }]),
    ],
  });
}

/** A wave of one sample a minute with a spike each hour: an average hides it, a maximum does not. */
function gauge(name: string, from: number, span: number): SeriesData {
  const count = span / MINUTE;
  const samples = new SampleBatch(count);
  for (let i = 0; i < count; i++) {
    const t = from + i * MINUTE;
    samples.t[i] = t;
    samples.v[i] = 100 + Math.round(20 * Math.sin(t / (6 * HOUR))) + (t % HOUR === 0 ? 500 : 0);
  }
  samples.length = count;
  return { labels: labelsFromRecord({ __name__: name, job: "queue" }), samples };
}

/** A native histogram that grows fastest in its middle buckets. */
function latency(from: number, span: number): SeriesData {
  const samples = new SampleBatch();
  const indexes = Int32Array.from({ length: 12 }, (_, i) => i - 6);
  for (let scrape = 1; scrape * MINUTE <= span; scrape++) {
    const h = emptyHistogram(1);
    h.positiveSpans = spansOfIndexes(indexes);
    h.positiveBuckets = Float64Array.from(indexes, (i) => scrape * (10 - Math.abs(i)));
    h.count = h.positiveBuckets.reduce((a, b) => a + b);
    h.sum[0] = h.count * 1.5;
    h.integer = true;
    samples.appendHistogram(from + (scrape - 1) * MINUTE, h);
  }
  return { labels: labelsFromRecord({ __name__: "native_latency", job: "web" }), samples };
}
