/** Merging replicas on the way against decoding all of them first and merging step by step. */
import assert from "node:assert/strict";
import { dump } from "../base/testing/dump.ts";
import { Random } from "../base/testing/random.ts";
import { encodeSamples, encodeXorChunk, ENCODING_XOR } from "../chunks/mod.ts";
import { bitsOf, SampleBatch, setStaleAt } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import {
  type Aggregate,
  type ReadOptions,
  ReplicaReader,
  SeriesReader,
  splitOverlap,
} from "./mod.ts";
import { batchOf, coarseChunk } from "./testing/coarse.ts";
import { modelPenalty, randomReplica } from "./testing/model_penalty.ts";

const AGGREGATES = ["avg", "count", "sum", "min", "max", "counter"] as const;

/** All chunks decoded, then merged by the written rules. */
function eager(chunks: readonly AggrChunk[], options: ReadOptions): SampleBatch {
  const reader = new ReplicaReader();
  const replicas = splitOverlap(chunks).map((replica) => {
    const batch = new SampleBatch();
    reader.read(replica, options.aggregate, options.minTime, options.maxTime, batch);
    return batch;
  });
  return replicas.length === 1 ? replicas[0]! : modelPenalty(replicas, options.counterCorrected);
}

/** Servers that scrape one target on their own: like ones most of the time, each with its troubles. */
function servers(random: Random): SampleBatch[] {
  const interval = random.pick([1000, 15_000, 60_000]);
  const count = random.between(1, 600);
  const [gaps, jitter, resets] = [
    random.pick([0, 0.003, 0.05]),
    random.pick([0, 4, 300]),
    0.004,
  ];
  const start = random.chance(0.1) ? -count * interval / 2 : 1_790_208_000_000;
  return Array.from({ length: random.pick([2, 2, 2, 3, 4]) }, () => {
    const times: number[] = [];
    const values: number[] = [];
    const stale: number[] = [];
    const phase = random.pick([0, 0, 3, random.below(interval)]);
    let value = random.below(1000);
    for (let i = random.chance(0.3) ? random.below(count) : 0; i < count; i++) {
      if (random.chance(gaps)) i += random.pick([1, 2, 5, 100]);
      value = random.chance(resets) ? random.below(20) : value + random.below(100);
      if (random.chance(0.01)) stale.push(times.length);
      times.push(
        start + i * interval + phase + (random.chance(0.3) ? random.below(jitter + 1) : 0),
      );
      values.push(random.chance(0.002) ? NaN : value);
      if (random.chance(0.005)) {
        // Nobody writes this, and nothing forbids it.
        times.push(times.at(-1)!);
        values.push(value + 1);
      }
      if (random.chance(0.002)) break;
    }
    const batch = batchOf(times, values);
    for (const at of stale) setStaleAt(bitsOf(batch.v), at);
    return batch;
  });
}

/** Samples a few ms apart, so that times often are equal, or exactly as far apart as counts. */
function neighbours(random: Random): SampleBatch[] {
  return Array.from({ length: random.between(2, 3) }, () => {
    const times: number[] = [];
    // Enough of them to get past the first penalty.
    for (let t = random.below(5); t < 6000; t += random.pick([1, 1, 1, 2, 3, 5])) times.push(t);
    return batchOf(times, times.map(() => random.below(1000)));
  });
}

/** Chunks as replicas have them: of any length, some given twice, some of two lengths at once. */
function chunksOf(random: Random, batch: SampleBatch): AggrChunk[] {
  const out: AggrChunk[] = [];
  const size = random.pick([1, 7, 30, 120]);
  for (let from = 0; from < batch.length;) {
    const to = Math.min(batch.length, from + random.between(1, size));
    for (const { minTime, maxTime, chunk } of encodeSamples(batch, from, to)) {
      out.push({ minTime, maxTime, raw: chunk });
      if (random.chance(0.02)) out.push({ minTime, maxTime, raw: chunk });
    }
    if (random.chance(0.02)) from = Math.max(0, from - 5);
    from = to;
  }
  return out;
}

/** Some of a replica's time as downsampled chunks, as another level of blocks has it. */
function partlyCoarse(random: Random, batch: SampleBatch): AggrChunk[] {
  const out: AggrChunk[] = [];
  for (let from = 0; from < batch.length;) {
    const to = Math.min(batch.length, from + random.between(20, 200));
    if (random.chance(0.5)) {
      const part = new SampleBatch();
      for (let i = from; i < to; i++) {
        // Downsampling leaves markers and other NaNs out.
        if (batch.h?.[i] === undefined && batch.v[i]! === batch.v[i]!) {
          part.appendRange(batch, i, i + 1);
        }
      }
      if (part.length > 0 && part.h === null) out.push(coarseChunk(part, 300_000));
    } else {
      for (const { minTime, maxTime, chunk } of encodeSamples(batch, from, to)) {
        out.push({ minTime, maxTime, raw: chunk });
      }
    }
    from = to;
  }
  return out;
}

function inOrder(chunks: AggrChunk[]): AggrChunk[] {
  return chunks.sort((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime);
}

function optionsFor(
  random: Random,
  chunks: readonly AggrChunk[],
  aggregate: Aggregate,
): ReadOptions {
  const first = chunks[0]?.minTime ?? 0;
  const last = Math.max(first, ...chunks.map((c) => c.maxTime));
  const span = last - first + 1;
  return {
    aggregate,
    dedup: "penalty",
    counterCorrected: random.chance(aggregate === "counter" ? 0.9 : 0.2),
    minTime: random.chance(0.5) ? -Infinity : first + random.below(span),
    maxTime: random.chance(0.5) ? Infinity : last - random.below(span),
  };
}

Deno.test("SeriesReader merges by penalty as if all was decoded: servers, raw and downsampled", () => {
  const reader = new SeriesReader();
  const out = new SampleBatch();
  for (let seed = 1; seed <= 1500; seed++) {
    const random = new Random(seed);
    const batches = random.chance(0.6)
      ? servers(random)
      : random.chance(0.4)
      ? neighbours(random)
      : Array.from(
        { length: random.between(2, 4) },
        () => randomReplica(random, random.pick(["floats", "counter", "mixed"] as const)),
      );
    const coarse = random.chance(0.3);
    const chunks = inOrder(
      batches.flatMap((batch) => coarse ? partlyCoarse(random, batch) : chunksOf(random, batch)),
    );
    const options = optionsFor(random, chunks, random.pick(AGGREGATES));
    reader.read(chunks, options, out);
    const what = `seed ${seed}: ${batches.length} replicas, ${options.aggregate}, ` +
      `${coarse ? "partly downsampled" : "raw"}, corrected ${options.counterCorrected}`;
    assert(dump(out) === dump(eager(chunks, options)), what);
    if (seed % 50 === 0) reader.release();
  }
});

/** A chunk that counts how often its data are looked at. */
class WatchedChunk {
  reads = 0;
  readonly encoding = ENCODING_XOR;
  readonly #data: Uint8Array;
  constructor(data: Uint8Array) {
    this.#data = data;
  }
  get data(): Uint8Array {
    this.reads++;
    return this.#data;
  }
}

/** A server that scrapes each 15 s, without the samples of [gapFrom, gapTo) by number. */
function watchedServer(phase: number, gapFrom = 0, gapTo = 0): AggrChunk[] {
  const chunks: AggrChunk[] = [];
  for (let c = 0; c < 20; c++) {
    const numbers = Array.from({ length: 120 }, (_, i) => c * 120 + i)
      .filter((n) => n < gapFrom || n >= gapTo);
    const times = numbers.map((n) => n * 15_000 + phase);
    const raw = new WatchedChunk(encodeXorChunk(batchOf(times, numbers), 0, times.length));
    chunks.push({ minTime: times[0]!, maxTime: times.at(-1)!, raw });
  }
  return chunks;
}

Deno.test("SeriesReader decodes of the replica not in use only what may be chosen", () => {
  for (const aggregate of ["avg", "counter"] as const) {
    for (
      const [gap, decoded] of [
        [[0, 0], { avg: [1, 20], counter: [1, 20] }],
        // From the gap on the first replica is in use.
        [[700, 750], { avg: [16, 7], counter: [20, 7] }],
      ] as const
    ) {
      const a = watchedServer(0);
      const b = watchedServer(7000, ...gap);
      const options: ReadOptions = {
        aggregate,
        dedup: "penalty",
        counterCorrected: true,
        minTime: -Infinity,
        maxTime: Infinity,
      };
      const chunks = inOrder([...a, ...b]);
      const out = new SampleBatch();
      new SeriesReader().read(chunks, options, out);
      const counts = [a, b].map((replica) =>
        replica.filter(({ raw }) => (raw as WatchedChunk).reads > 0).length
      );
      assert.deepEqual(counts, decoded[aggregate], `${aggregate}, gap ${gap}`);
      assert.equal(dump(out), dump(eager(chunks, options)));
    }
  }
});

Deno.test("SeriesReader decodes all where a chunk is seen to tell wrong times", () => {
  const raw = (seconds: number[], changes: Partial<AggrChunk> = {}): AggrChunk => {
    const times = seconds.map((s) => s * 1000);
    const batch = batchOf(times, seconds);
    const chunk = { encoding: ENCODING_XOR, data: encodeXorChunk(batch, 0, batch.length) };
    return { minTime: times[0]!, maxTime: times.at(-1)!, raw: chunk, ...changes };
  };
  const first = raw([0, 15, 30, 200, 215, 230, 1000, 1015]);
  const chunks = inOrder([
    first,
    raw([1, 16, 31]),
    raw([90, 105, 120, 450, 700], { minTime: 300_000 }),
  ]);
  for (const aggregate of ["avg", "counter"] as const) {
    const options: ReadOptions = {
      aggregate,
      dedup: "penalty",
      counterCorrected: false,
      minTime: -Infinity,
      maxTime: Infinity,
    };
    const out = new SampleBatch();
    new SeriesReader().read(chunks, options, out);
    assert.equal(dump(out), dump(eager(chunks, options)));
  }
});

Deno.test("SeriesReader misses the asked part of a chunk also where it need not be decoded", () => {
  const raw = inOrder([...watchedServer(0), ...watchedServer(7000)]);
  const { minTime, maxTime } = raw[20]!;
  const chunks = raw.map((c, i) => i === 20 ? { minTime, maxTime, sum: c.raw! } : c);
  const options = { dedup: "penalty", counterCorrected: false, maxTime: Infinity } as const;
  const read = (aggregate: Aggregate, from = -Infinity) =>
    new SeriesReader().read(chunks, { ...options, aggregate, minTime: from }, new SampleBatch());
  for (const aggregate of ["avg", "min", "counter"] as const) {
    assert.throws(() => read(aggregate), /no valid chunk found/);
  }
  read("sum");
  read("min", maxTime + 1);
});
