import assert from "node:assert/strict";
import { FakeClock, MnemeError, systemClock } from "../base/mod.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { type Labels, labelsFromRecord, labelValue, SampleBatch } from "../model/mod.ts";
import { openBlock, parseBlockMeta, SystemFiles } from "../tsdb/mod.ts";
import {
  type BlockSpec,
  generateBlock,
  generateBlocks,
  MIXED_PROFILE,
  planProfile,
  type SeriesSpec,
} from "./mod.ts";

const MAX_TIME = Date.UTC(2026, 10, 22, 19, 58, 2);
const EU1 = labelsFromRecord({ cluster: "eu1" });
const HOUR = 3_600_000;

async function inFolder(run: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-benchgen-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function spec(series: readonly Partial<SeriesSpec>[], hours = 2): BlockSpec {
  const minTime = 1_795_370_400_000;
  const maxTime = minTime + hours * HOUR;
  return {
    minTime,
    maxTime,
    externalLabels: EU1,
    resolution: 0,
    source: "blockgen",
    series: series.map((s, i) => ({
      labels: labelsFromRecord({ __name__: `m${i}` }),
      targets: 1,
      type: "GAUGE",
      minTime,
      maxTime: maxTime - 1,
      jitter: 10,
      scrapeInterval: 15_000,
      changeInterval: HOUR,
      max: 100,
      min: 10,
      ...s,
    })),
  };
}

const ULIDS = ["01M85QTY0DJ70BFQ5F3Q9SW317", "01M85QTY0E19WBK8DRSWV064WX"];

/** Makes a block and reads all of it back. */
function make(folder: string, block: BlockSpec, ulid = ULIDS[0]!) {
  const files = new SystemFiles();
  const meta = generateBlock(block, { files, directory: folder, ulid });
  return { meta, series: readSeries(folder, ulid) };
}

function readSeries(folder: string, ulid: string): { labels: Labels; samples: SampleBatch }[] {
  const block = openBlock(new SystemFiles(), `${folder}/${ulid}`);
  try {
    const selection = block.select([]);
    return selection.labels.map((labels, i) => {
      const samples = new SampleBatch();
      selection.read(i, samples);
      return { labels, samples };
    });
  } finally {
    block.close();
  }
}

Deno.test("generated blocks have the reference counts and times", async () => {
  await inFolder(async (folder) => {
    const plan = [...planProfile("continuous-365d-tiny", {
      maxTime: MAX_TIME,
      externalLabels: EU1,
    })].slice(0, 4);
    const metas: [number, number, number, number, number][] = [];
    let samples = 0;
    const made = await generateBlocks(plan, {
      directory: folder,
      files: new SystemFiles(),
      workers: 2,
      clock: systemClock,
      onSamples: (n) => samples += n,
      onBlock: ({ index, path, meta }) => {
        metas[index] = [
          meta.minTime,
          meta.maxTime,
          meta.stats.numSamples,
          meta.stats.numSeries,
          meta.stats.numChunks,
        ];
        assert.deepEqual([...Deno.readDirSync(path)].map((e) => e.name).sort(), [
          "chunks",
          "index",
          "meta.json",
          "tombstones",
        ]);
        const bytes = Deno.readFileSync(`${path}/meta.json`);
        const read = parseBlockMeta(bytes, "meta.json", path.slice(-26));
        assert.equal(read.thanos?.source, "blockgen");
        assert.deepEqual(read.thanos?.labels, EU1);
        assert.deepEqual(read.compaction.sources, [read.ulid]);
        assert.equal(Deno.readFileSync(`${path}/tombstones`).toHex(), "0130ba300100000000");
      },
    });
    assert.equal(made, 4);
    assert.equal(samples, 3 * 2400 + 9600);
    assert.deepEqual(metas, [
      [1795370415001, 1795377600002, 2400, 5, 20],
      [1795363215002, 1795370400003, 2400, 5, 20],
      [1795356015003, 1795363200004, 2400, 5, 20],
      [1795327215004, 1795356000005, 9600, 5, 80],
    ]);
  });
});

Deno.test("the same plan gives the same bytes, whatever the number of workers", async () => {
  await inFolder(async (folder) => {
    const plan = [
      spec([{ type: "GAUGE", targets: 3 }, { type: "COUNTER" }, { type: "RANDOM", targets: 2 }]),
      spec([{ type: "WALK" }, { type: "WAVE" }, { type: "STEADY_COUNTER", late: 2, lateShare: 1 }]),
      spec([{ type: "COUNTER" }]),
    ];
    const hashes: string[][] = [];
    for (const workers of [1, 3]) {
      const directory = `${folder}/${workers}`;
      Deno.mkdirSync(directory);
      const paths: string[] = [];
      await generateBlocks(plan, {
        directory,
        files: new SystemFiles(),
        workers,
        clock: systemClock,
        onBlock: ({ index, path }) => void (paths[index] = path),
      });
      hashes.push(paths.map((path) => {
        const hash = new ResultHash();
        for (const name of ["index", "chunks/000001", "tombstones"]) {
          hash.addBytes(Deno.readFileSync(`${path}/${name}`));
        }
        return hash.digest();
      }));
    }
    assert.deepEqual(hashes[0], hashes[1]);
    assert.equal(new Set(hashes[0]).size, 3);
  });
});

Deno.test("series are named by target, sorted, and keep their values when others join", async () => {
  await inFolder((folder) => {
    const alone = make(folder, spec([{ targets: 1, type: "RANDOM" }]), ULIDS[0]);
    const many = make(folder, spec([{ targets: 11, type: "RANDOM" }, {}]), ULIDS[1]);
    assert.deepEqual(
      many.series.map((s) =>
        labelValue(s.labels, "__name__") + labelValue(s.labels, "__blockgen_target__")
      ),
      ["m01", "m11", "m010", "m011", "m02", "m03", "m04", "m05", "m06", "m07", "m08", "m09"],
    );
    assert.deepEqual(many.series[0], alone.series[0]);
    assert.notDeepEqual(many.series[1]!.samples.v, alone.series[0]!.samples.v);
  });
});

Deno.test("GAUGE is a base value and a step that changes every change interval", async () => {
  await inFolder((folder) => {
    const { series: [gauge, still] } = make(
      folder,
      spec([{ changeInterval: HOUR }, { changeInterval: HOUR, jitter: 0 }], 4),
    );
    const { t, v, length } = gauge!.samples;
    assert.equal(length, 960);
    assert.equal(t[0], 1_795_370_415_000);
    assert.equal(t[959], 1_795_370_400_000 + 960 * 15_000);
    // 240 samples an hour: constant within an hour, the first hour at the base.
    for (let i = 0; i < 960; i++) assert.equal(v[i], v[i - i % 240]);
    const base = v[0]!;
    assert(base >= 10 && base <= 101);
    const steps = [1, 2, 3].map((h) => v[h * 240]! - base);
    assert(steps.every((s) => s !== 0 && Math.abs(s) <= 5));
    assert.equal(new Set(steps).size, 3);
    assert.equal(new Set(still!.samples.v.subarray(0, 960)).size, 1);
  });
});

Deno.test("RANDOM draws every sample, COUNTER never falls", async () => {
  await inFolder((folder) => {
    const { series: [random, counter] } = make(
      folder,
      spec([{ type: "RANDOM" }, { type: "COUNTER", jitter: 1000 }], 8),
    );
    const r = random!.samples;
    assert.equal(new Set(r.v.subarray(0, r.length)).size, r.length);
    for (let i = 0; i < r.length; i++) assert(r.v[i]! >= 10 && r.v[i]! <= 101);
    const c = counter!.samples;
    assert.equal(c.length, 1920);
    for (let i = 1; i < c.length; i++) assert(c.v[i]! >= c.v[i - 1]!, `sample ${i}`);
    // The pattern of increases repeats after five minutes as long as the rate does not change.
    for (let i = 1; i < 200; i++) {
      const now = c.v[i + 20]! - c.v[i + 19]!;
      const before = c.v[i]! - c.v[i - 1]!;
      assert(Math.abs(now - before) <= 1e-6 * Math.abs(before), `sample ${i}`);
    }
  });
});

Deno.test("series of bench-mixed-14d go on across blocks and stay in their ranges", async () => {
  await inFolder((folder) => {
    const all = [...planProfile(MIXED_PROFILE, { maxTime: 0, externalLabels: EU1 })];
    const only = (block: BlockSpec): BlockSpec => ({
      ...block,
      series: block.series.map((s) => ({ ...s, targets: 12 })),
    });
    const later = make(folder, only(all[99]!), ULIDS[0]);
    const earlier = make(folder, only(all[100]!), ULIDS[1]);
    assert.equal(earlier.meta.maxTime, later.meta.minTime);
    assert.equal(later.meta.maxTime - later.meta.minTime, 2 * HOUR);
    assert.equal(later.series.length, 60);
    let late = 0;
    let resets = 0;
    for (const [k, { labels, samples }] of later.series.entries()) {
      const name = labelValue(labels, "__name__");
      const before = earlier.series[k]!.samples;
      assert.deepEqual(earlier.series[k]!.labels, labels);
      assert.equal(samples.length, 480);
      const v = [before.v[before.length - 1]!, ...samples.v.subarray(0, 480)];
      for (let i = 0; i < 480; i++) {
        const delay = samples.t[i]! - (later.meta.minTime + i * 15_000);
        assert(delay >= 0 && delay <= 3);
        if (delay > 0) late++;
      }
      const step = v.slice(1).map((x, i) => x - v[i]!);
      const integers = v.every(Number.isInteger);
      switch (name) {
        case "bench_requests_total":
          assert(integers);
          resets += step.filter((s) => s < 0).length;
          assert(step.every((s) => s <= 24));
          break;
        case "bench_bytes_total":
          assert(integers);
          resets += step.filter((s) => s < 0).length;
          assert(step.every((s) => s <= 120_000));
          break;
        case "bench_inflight":
          assert(integers && v.every((x) => x >= 0 && x <= 100));
          assert(step.every((s) => Math.abs(s) <= 5), `${step}`);
          break;
        case "bench_temperature":
          assert(
            v.every((x) => x >= 8.9 && x <= 31.1 && Math.abs(x * 10 - Math.round(x * 10)) < 1e-9),
          );
          break;
        default:
          assert.equal(name, "bench_build_info");
          assert(v.every((x) => x === 1));
      }
    }
    // One in ten is late, of which a quarter by 0 ms.
    const share = late / (60 * 480);
    assert(share > 0.06 && share < 0.09, `${share}`);
    assert(resets <= 3);
    // Series of one target are scraped together.
    const at = (name: string) =>
      later.series.find((s) =>
        labelValue(s.labels, "__name__") === name &&
        labelValue(s.labels, "instance") === "instance-7"
      )!.samples.t;
    assert.deepEqual(at("bench_inflight"), at("bench_bytes_total"));
    assert.notDeepEqual(at("bench_inflight"), later.series[0]!.samples.t);
    assert.equal(labelValue(later.series[0]!.labels, "__blockgen_target__"), "");
  });
});

Deno.test("STEADY_COUNTER resets about once in its interval, in the middle of chunks too", async () => {
  await inFolder((folder) => {
    const { series } = make(
      folder,
      spec(
        [{ type: "STEADY_COUNTER", targets: 20, min: 0, max: 19, resetInterval: 24 * HOUR }],
        96,
      ),
    );
    for (const { samples } of series) {
      const { v, length } = samples;
      const resets: number[] = [];
      for (let i = 1; i < length; i++) if (v[i]! < v[i - 1]!) resets.push(i);
      assert(resets.length === 4 || resets.length === 3 || resets.length === 5, `${resets}`);
      // After a reset the counter starts near zero.
      for (const i of resets) assert(v[i]! >= 0 && v[i]! <= 24, `${v[i]}`);
    }
  });
});

Deno.test("a part of the range has the samples of the whole", async () => {
  await inFolder((folder) => {
    const types = ["STEADY_COUNTER", "WALK", "WAVE", "CONSTANT"] as const;
    const series = types.map((type) => ({
      type,
      late: 3,
      lateShare: 0.5,
      resetInterval: 20 * HOUR,
    }));
    const whole = spec(series, 10);
    const a = make(folder, whole, ULIDS[0]).series;
    const from = whole.minTime + 3.5 * HOUR + 7;
    const part = {
      ...whole,
      series: whole.series.map((s) => ({ ...s, minTime: from, maxTime: from + 5 * HOUR })),
    };
    const b = make(folder, part, ULIDS[1]).series;
    for (const [k, { samples }] of b.entries()) {
      const at = a[k]!.samples.t.indexOf(samples.t[0]!);
      assert(at > 0);
      assert.deepEqual(
        samples.v.subarray(0, samples.length),
        a[k]!.samples.v.subarray(at, at + samples.length),
      );
      assert.equal(samples.length, 1200);
    }
  });
});

Deno.test("a failing block leaves nothing behind and stops the rest", async () => {
  await inFolder(async (folder) => {
    const plan = [
      spec([{}]),
      spec([{ labels: labelsFromRecord({ a: "b" }) }, { labels: labelsFromRecord({ a: "b" }) }]),
      spec([{}]),
    ];
    const options = {
      directory: folder,
      files: new SystemFiles(),
      workers: 1,
      clock: new FakeClock(1),
    };
    await assert.rejects(generateBlocks(plan, options), (error: unknown) => {
      assert(error instanceof MnemeError);
      assert.equal(error.kind, "bad_data");
      assert.match(error.message, /Cannot write series \{__blockgen_target__="1", a="b"\}/);
      return true;
    });
    assert.equal([...Deno.readDirSync(folder)].length, 1);
    await assert.rejects(generateBlocks([spec([])], options), /no series appended; aborting\./);
    await assert.rejects(
      generateBlocks([spec([{}])], {
        ...options,
        onBlock: () => Promise.reject(new MnemeError("unavailable", "bucket is gone")),
      }),
      /bucket is gone/,
    );
    assert(![...Deno.readDirSync(folder)].some((e) => e.name.includes("tmp")));
  });
});

Deno.test("an abort stops the workers and removes what they had begun", async () => {
  await inFolder(async (folder) => {
    const abort = new AbortController();
    // Large enough that it cannot be complete before the abort.
    const plan = [spec([{ targets: 5000, type: "RANDOM" }], 200)];
    const generation = generateBlocks(plan, {
      directory: folder,
      files: new SystemFiles(),
      workers: 2,
      clock: systemClock,
      signal: abort.signal,
      onSamples: () => abort.abort(new MnemeError("canceled", "interrupted")),
    });
    await assert.rejects(generation, /interrupted/);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    await assert.rejects(
      generateBlocks(plan, {
        directory: folder,
        files: new SystemFiles(),
        workers: 1,
        clock: systemClock,
        signal: abort.signal,
      }),
      /interrupted/,
    );
  });
});

Deno.test("a plan beyond reason is refused before anything is made", async () => {
  await inFolder((folder) => {
    const files = new SystemFiles();
    const target = { files, directory: folder, ulid: ULIDS[0]! };
    assert.throws(
      () => generateBlock(spec([{ targets: 1e7 }, { targets: 1e7 }, { targets: 1e7 }]), target),
      /a block of 30000000 series is planned/,
    );
    assert.throws(
      () => generateBlock(spec([{ maxTime: 1e15, scrapeInterval: 1 }]), target),
      /samples is planned, at most/,
    );
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  });
});
