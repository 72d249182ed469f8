/** A real Prometheus reads native histograms we wrote and computes with them as our engine does. */
import assert from "node:assert/strict";
import { Random } from "../../lib/base/testing/random.ts";
import { encodeSamples } from "../../lib/chunks/mod.ts";
import {
  bitsOf,
  copyHistogram,
  copyToSchema,
  emptyHistogram,
  type FloatHistogram,
  histogramJson,
  labelsFromRecord,
  labelsToRecord,
  SampleBatch,
  scaleHistogram,
  setStaleAt,
  spansOfIndexes,
} from "../../lib/model/mod.ts";
import { Engine, type MatrixSeries } from "../../lib/promql/mod.ts";
import { BlockStorage } from "../../lib/query/mod.ts";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { BlockWriter, SystemFiles } from "../../lib/tsdb/mod.ts";
import { closeEnough } from "../answers.ts";
import { Stage } from "../mneme.ts";

const START = 1_790_798_400_000;
const SCRAPES = 400;

/** A counter histogram that gains buckets, loses resolution, is reset and goes stale. */
function makeSeries(random: Random, integer: boolean): SampleBatch {
  const batch = new SampleBatch();
  let schema = 3;
  const counts = new Map<number, number>();
  let zero = 1000;
  for (let scrape = 0; scrape < SCRAPES; scrape++) {
    const t = START + scrape * 15_000 + 4000;
    if (scrape === 300) {
      const stale = emptyHistogram();
      setStaleAt(bitsOf(stale.sum), 0);
      if (integer) stale.integer = true;
      batch.appendHistogram(t, stale);
      continue;
    }
    if (scrape > 300 && scrape < 310) continue;
    if (scrape === 150) schema = 2;
    if (scrape === 230) {
      counts.clear();
      zero = 900;
    }
    for (let i = 0; i < 6; i++) {
      const index = random.between(-20, 20);
      counts.set(index, (counts.get(index) ?? 1000) + random.below(9));
    }
    zero += random.below(3);
    let h = emptyHistogram(3);
    const indexes = [...counts.keys()].sort((a, b) => a - b);
    h.positiveSpans = spansOfIndexes(Int32Array.from(indexes));
    h.positiveBuckets = Float64Array.from(indexes, (i) => counts.get(i)!);
    h.negativeSpans = spansOfIndexes(Int32Array.of(3, 4));
    h.negativeBuckets = Float64Array.of(500 + scrape, 700 + 2 * scrape);
    h.zeroThreshold = 2 ** -10;
    h.zeroCount = zero;
    h.count = zero + h.positiveBuckets.reduce((a, b) => a + b) +
      h.negativeBuckets.reduce((a, b) => a + b);
    h.sum[0] = h.count * 1.25;
    if (schema !== 3) h = copyToSchema(h, schema);
    if (integer) h.integer = true;
    else scaleHistogram(h, 0.5);
    batch.appendHistogram(t, h);
  }
  return batch;
}

function writeBlock(directory: string): void {
  const random = new Random(11);
  const files = new SystemFiles();
  files.mkdir(directory);
  const writer = new BlockWriter({
    files,
    directory,
    ulid: "01M00000000000000000000000",
    sync: false,
  });
  for (const instance of ["a", "b"]) {
    for (const kind of ["float", "integer"]) {
      writer.beginSeries(labelsFromRecord({ __name__: "latency", instance, kind }));
      const batch = makeSeries(random, kind === "integer");
      for (const { chunk, minTime, maxTime } of encodeSamples(batch)) {
        let n = 0;
        for (let i = 0; i < batch.length; i++) {
          if (batch.t[i]! >= minTime && batch.t[i]! <= maxTime) n++;
        }
        writer.addChunk(chunk.encoding, chunk.data, minTime, maxTime, n);
      }
    }
  }
  writer.finish({ minTime: START, maxTime: START + 7_200_000 });
}

/**
 * What both versions compute alike. Over ranges of integer histograms Prometheus 2.42 sees the same
 * sample again and again (2026-11-24), so ranges are of float histograms.
 */
const QUERIES = [
  "latency",
  'latency{kind="integer"}',
  "sum(latency)",
  "sum by (kind) (latency)",
  "latency + latency",
  'rate(latency{kind="float"}[2m])',
  'increase(latency{kind="float"}[5m])',
  'sum by (instance) (rate(latency{kind="float"}[10m]))',
  "histogram_count(latency)",
  'histogram_sum(rate(latency{kind="float"}[5m]))',
  'histogram_count(sum(increase(latency{kind="float"}[15m])))',
  'count_over_time(latency{kind="float"}[10m])',
  "count(latency)",
  "latency offset 5m",
  "histogram_fraction(0.5, 2, latency)",
];

interface JsonHistogram {
  readonly count: string;
  readonly sum: string;
  readonly buckets?: readonly (readonly [number, string, string, string])[];
}

function sameHistogram(a: JsonHistogram, b: JsonHistogram): boolean {
  const x = a.buckets ?? [];
  const y = b.buckets ?? [];
  return closeEnough(a.count, b.count) && closeEnough(a.sum, b.sum) && x.length === y.length &&
    x.every((bucket, i) =>
      // Bounds are compared as text: they must not differ in the last digit.
      bucket[0] === y[i]![0] && bucket[1] === y[i]![1] && bucket[2] === y[i]![2] &&
      closeEnough(bucket[3], y[i]![3])
    );
}

Deno.test({
  name: "real Prometheus computes with our native histograms as our engine does",
  async fn() {
    if (!isOnPath("prometheus")) {
      console.log("skipped: prometheus is not on PATH");
      return;
    }
    await using stage = await Stage.open();
    const folder = `${stage.folder}/data`;
    writeBlock(folder);
    const storage = BlockStorage.open(folder);
    try {
      const base = await stage.prometheus(folder);
      const engine = new Engine();
      let samples = 0;
      for (const query of QUERIES) {
        const [start, end, step] = [START + 487_000, START + 6_000_000, 45_000];
        const params = new URLSearchParams({
          query,
          start: String(start / 1000),
          end: String(end / 1000),
          step: String(step / 1000),
        });
        const answer = await (await fetch(`${base}/api/v1/query_range?${params}`)).json();
        assert.equal(answer.status, "success", JSON.stringify(answer).slice(0, 300));
        const { value } = await engine.rangeQuery({ query, storage, start, end, step });
        assert.ok(value.type === "matrix");
        const theirs = answer.data.result;
        assert.equal(value.series.length, theirs.length, query);
        for (let s = 0; s < theirs.length; s++) {
          const ours: MatrixSeries = value.series[s]!;
          assert.deepEqual({ ...labelsToRecord(ours.labels) }, theirs[s].metric);
          const expected: [number, string | JsonHistogram][] = [
            ...theirs[s].values ?? [],
            ...theirs[s].histograms ?? [],
          ];
          assert.equal(ours.t.length, expected.length, query);
          for (let i = 0; i < expected.length; i++) {
            const [time, want] = expected[i]!;
            const where = `${query} ${JSON.stringify(theirs[s].metric)} at ${time}`;
            assert.equal(ours.t[i]! / 1000, time, where);
            const h: FloatHistogram | undefined = ours.h?.[i];
            samples++;
            if (typeof want === "string") {
              assert.ok(h === undefined && closeEnough(String(ours.v[i]), want), where);
            } else {
              assert.ok(h !== undefined, where);
              const got = JSON.parse(histogramJson(copyHistogram(h)));
              assert.ok(
                sameHistogram(got, want),
                `${where}\n got ${JSON.stringify(got)}\nwant ${JSON.stringify(want)}`,
              );
            }
          }
        }
      }
      assert.ok(samples > 3000, `only ${samples} samples were compared`);
    } finally {
      storage.close();
    }
  },
});
