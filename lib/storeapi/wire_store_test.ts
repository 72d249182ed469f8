import assert from "node:assert/strict";
import { CorruptionError, MnemeError } from "../base/mod.ts";
import { runBench } from "../base/testing/bench.ts";
import { truncations } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import {
  labelPairs,
  type Labels,
  labelsFromPairs,
  makeMatcher,
  type Matcher,
} from "../model/mod.ts";
import { type Plain, ProtobufOracle } from "../rpc/testing/protobuf_oracle.ts";
import { seriesRequest } from "./testing/fixtures.ts";
import type {
  AggrChunk,
  ComponentInfo,
  LabelValuesRequest,
  Series,
  SeriesRequest,
  StringsResponse,
} from "./types.ts";
import { decodeInfo, encodeInfo } from "./wire_info.ts";
import {
  decodeLabelNamesRequest,
  decodeLabelValuesRequest,
  decodeSeriesFrame,
  decodeSeriesRequest,
  decodeStringsResponse,
  encodeHints,
  encodeLabelNamesRequest,
  encodeLabelValuesRequest,
  encodeSeriesBatch,
  encodeSeriesRequest,
  encodeStringsResponse,
  encodeWarning,
} from "./wire_store.ts";
import { bench } from "./wire_store_bench.ts";

const oracle = await ProtobufOracle.load(
  "google/protobuf/any.proto",
  "types.proto",
  "store.proto",
  "info.proto",
);
const MAX = Number.MAX_SAFE_INTEGER;
const TIMES = [0, 1, -1, 127, 128, 1790208000000, -62135596800000, MAX, -MAX];
const TEXTS = ["a", "job", "ünïcode", "x".repeat(127), "y".repeat(200), "😀".repeat(40)];

const texts = (r: Random) => Array.from({ length: r.below(4) }, () => r.pick(TEXTS));

function randomLabels(r: Random): Labels {
  const pairs: [string, string][] = [["__name__", r.pick(["up", "down"])]];
  for (let i = r.below(5); i > 0; i--) pairs.push([`l${r.below(8)}`, r.pick(TEXTS)]);
  return labelsFromPairs(pairs);
}

function randomMatchers(r: Random): Matcher[] {
  return Array.from(
    { length: r.below(4) },
    () => makeMatcher(r.pick(["=", "!=", "=~", "!~"]), r.pick(TEXTS), r.pick(["", "a|b", ".*"])),
  );
}

function randomChunk(r: Random): AggrChunk {
  const part = () => ({
    encoding: r.between(1, 3),
    data: Uint8Array.from({ length: r.pick([0, 1, 126, 127, 128, 300]) }, () => r.below(256)),
  });
  const times = { minTime: r.pick(TIMES), maxTime: r.pick(TIMES) };
  const chunk: AggrChunk = r.chance(0.5) ? { ...times, raw: part() } : {
    ...times,
    ...(r.chance(0.1) ? { raw: part() } : {}),
    ...(r.chance(0.5) ? { count: part() } : {}),
    ...(r.chance(0.5) ? { sum: part() } : {}),
    ...(r.chance(0.3) ? { min: part() } : {}),
    ...(r.chance(0.3) ? { max: part() } : {}),
    ...(r.chance(0.3) ? { counter: part() } : {}),
  };
  if (r.chance(0.6)) {
    const hashes = new Array<number>(12).fill(0);
    PARTS.forEach((name, i) => {
      if (chunk[name] === undefined) return;
      hashes[2 * i] = r.pick([0, 1, r.bits()]);
      hashes[2 * i + 1] = r.bits();
    });
    chunk.hashes = hashes;
  }
  return chunk;
}

const PARTS = ["raw", "count", "sum", "min", "max", "counter"] as const;

/** A chunk as plain fields; hashes of 0 count as absent. */
function plainChunk(c: AggrChunk): Plain {
  const out: Plain = { min_time: c.minTime, max_time: c.maxTime };
  PARTS.forEach((name, i) => {
    const part = c[name];
    if (part === undefined) return;
    const high = BigInt(c.hashes?.[2 * i] ?? 0);
    const low = BigInt(c.hashes?.[2 * i + 1] ?? 0);
    out[name] = {
      type: part.encoding - 1,
      data: part.data.slice(),
      hash: (high << 32n) | low,
    };
  });
  return out;
}

function plainLabels(labels: Labels): Plain[] {
  return [...labelPairs(labels)].map(([name, value]) => ({ name, value }));
}

function plainSeries(s: Series): Plain {
  return { labels: plainLabels(s.labels), chunks: s.chunks.map(plainChunk) };
}

function plainMatchers(matchers: readonly Matcher[]): Plain[] {
  return matchers.map((m) => ({
    type: ["=", "!=", "=~", "!~"].indexOf(m.type),
    name: m.name,
    value: m.value,
  }));
}

Deno.test("series responses encode as protobufjs does and decode to the same fields", () => {
  for (let seed = 0; seed < 300; seed++) {
    const r = new Random(seed);
    const series: Series[] = Array.from({ length: r.between(1, 6) }, () => ({
      labels: randomLabels(r),
      chunks: Array.from({ length: r.below(5) }, () => randomChunk(r)),
    }));
    const ours = encodeSeriesBatch(series, r.pick([16, 100000]));
    const plain = series.map(plainSeries);
    const theirs = oracle.encode(
      "thanos.SeriesResponse",
      series.length === 1 ? { series: plain[0] } : { batch: { series: plain } },
    );
    assert.deepEqual(ours, theirs, `seed ${seed}`);
    const frame = decodeSeriesFrame([theirs]);
    assert.deepEqual(frame.series.map(plainSeries), plain, `seed ${seed}`);
    assert.equal(frame.bytes, theirs.length);
  }
});

Deno.test("decodeSeriesFrame() joins messages, keeps warnings and hints", () => {
  const r = new Random(1);
  const a: Series = { labels: randomLabels(r), chunks: [randomChunk(r)] };
  const hints = { typeUrl: "type.googleapis.com/x", value: Uint8Array.of(1, 2) };
  const frame = decodeSeriesFrame([
    encodeWarning("careful ü"),
    encodeSeriesBatch([a]),
    encodeSeriesBatch([a, a]),
    encodeHints(hints),
  ]);
  assert.deepEqual(frame.warnings, ["careful ü"]);
  assert.equal(frame.series.length, 3);
  assert.deepEqual(frame.hints, hints);
});

Deno.test("decodeSeriesFrame() leaves labels as they came, in whatever order", () => {
  const bytes = oracle.encode("thanos.SeriesResponse", {
    series: {
      labels: [
        { name: "b", value: "1" },
        { name: "a", value: "2" },
        { name: "c", value: "" },
        { name: "b", value: "2" },
      ],
      chunks: [],
    },
  });
  assert.deepEqual(
    [...decodeSeriesFrame([bytes]).series[0]!.labels],
    ["b", "1", "a", "2", "c", "", "b", "2"],
  );
});

Deno.test("decodeSeriesFrame() reads labels of an unusual form like usual ones", () => {
  // Value before name; an unknown field; a length of two bytes.
  const value = "v".repeat(300);
  const swapped = [0x12, 0x01, 0x76, 0x0a, 0x01, 0x6e];
  const extra = [0x0a, 0x01, 0x6f, 0x12, 0x01, 0x77, 0x18, 0x05];
  const labels = [swapped, extra].flatMap((l) => [0x0a, l.length, ...l]);
  const message = Uint8Array.from([0x0a, labels.length, ...labels]);
  assert.deepEqual([...decodeSeriesFrame([message]).series[0]!.labels], ["n", "v", "o", "w"]);
  const long = oracle.encode("thanos.SeriesResponse", {
    series: { labels: [{ name: "long", value }], chunks: [] },
  });
  assert.deepEqual([...decodeSeriesFrame([long]).series[0]!.labels], ["long", value]);
});

Deno.test("the documented example of a SeriesResponse decodes", () => {
  const hex = "0a200a060a01611201621216" + "08e80710e8071a0e120c0001d00f3ff0000000000000";
  const message = Uint8Array.from(hex.match(/../g)!, (h) => parseInt(h, 16));
  const [series] = decodeSeriesFrame([message]).series;
  assert.deepEqual([...series!.labels], ["a", "b"]);
  const [chunk] = series!.chunks;
  assert.deepEqual([chunk!.minTime, chunk!.maxTime, chunk!.raw!.encoding], [1000, 1000, 1]);
  assert.deepEqual(encodeSeriesBatch([series!]), message);
});

Deno.test("every truncation and byte flip of a frame throws CorruptionError or decodes", () => {
  const r = new Random(5);
  const series = Array.from({ length: 3 }, () => ({
    labels: randomLabels(r),
    chunks: [randomChunk(r), randomChunk(r)],
  }));
  const whole = encodeSeriesBatch(series).slice();
  const look = (bytes: Uint8Array) => {
    try {
      for (const s of decodeSeriesFrame([bytes]).series) plainSeries(s);
    } catch (error) {
      assert.ok(error instanceof CorruptionError, String(error));
    }
  };
  for (const part of truncations(whole)) look(part);
  for (let i = 0; i < whole.length; i++) {
    for (const flip of [1, 0x80, 0xff]) {
      const bytes = whole.slice();
      bytes[i]! ^= flip;
      look(bytes);
    }
  }
});

Deno.test("SeriesRequest encodes as protobufjs does and decodes to the same fields", () => {
  for (let seed = 0; seed < 200; seed++) {
    const r = new Random(seed);
    const hints = { typeUrl: "type.googleapis.com/x", value: Uint8Array.of(r.below(256)) };
    const q: SeriesRequest = {
      minTime: r.pick(TIMES),
      maxTime: r.pick(TIMES),
      matchers: randomMatchers(r),
      maxResolutionWindow: r.pick([0, 300_000, 3_600_000, MAX]),
      aggregates: Array.from({ length: r.below(4) }, () => r.below(6)),
      partialResponse: r.pick(["warn", "abort"]),
      skipChunks: r.chance(0.5),
      ...(r.chance(0.5) ? { hints } : {}),
      ...(r.chance(0.5)
        ? {
          queryHints: {
            stepMillis: r.below(100000),
            func: r.pick(["", "rate"]),
            rangeMillis: r.pick([0, 300_000]),
            ...(r.chance(0.5) ? { grouping: { by: r.chance(0.5), labels: texts(r) } } : {}),
          },
        }
        : {}),
      ...(r.chance(0.5)
        ? { shardInfo: { shardIndex: r.below(3), totalShards: 3, by: true, labels: texts(r) } }
        : {}),
      withoutReplicaLabels: texts(r),
      limit: r.pick([0, 5]),
      responseBatchSize: r.pick([0, 64]),
    };
    const ours = encodeSeriesRequest(q);
    const abort = q.partialResponse === "abort";
    const h = q.queryHints;
    const s = q.shardInfo;
    const theirs = oracle.encode("thanos.SeriesRequest", {
      min_time: q.minTime,
      max_time: q.maxTime,
      matchers: plainMatchers(q.matchers),
      max_resolution_window: q.maxResolutionWindow,
      aggregates: q.aggregates,
      partial_response_disabled: abort,
      partial_response_strategy: abort ? 1 : 0,
      skip_chunks: q.skipChunks,
      hints: q.hints && { type_url: q.hints.typeUrl, value: q.hints.value },
      query_hints: h && {
        step_millis: h.stepMillis,
        func: h.func === "" ? undefined : { name: h.func },
        grouping: h.grouping,
        range: h.rangeMillis === 0 ? undefined : { millis: h.rangeMillis },
      },
      shard_info: s && {
        shard_index: s.shardIndex,
        total_shards: s.totalShards,
        by: s.by,
        labels: s.labels,
      },
      without_replica_labels: q.withoutReplicaLabels,
      limit: q.limit,
      response_batch_size: q.responseBatchSize,
    });
    assert.deepEqual(ours, theirs, `seed ${seed}`);
    assert.deepEqual(stripMatchers(decodeSeriesRequest(theirs)), stripMatchers(q));
  }
});

/** Matchers hold functions, which are never equal. */
function stripMatchers<T extends { readonly matchers: readonly Matcher[] }>(q: T) {
  return { ...q, matchers: plainMatchers(q.matchers) };
}

Deno.test("decodeSeriesRequest() honours the deprecated field for partial responses", () => {
  const bytes = oracle.encode("thanos.SeriesRequest", { partial_response_disabled: true });
  assert.equal(decodeSeriesRequest(bytes).partialResponse, "abort");
});

Deno.test("decodeSeriesRequest() refuses bad patterns and unknown matcher types", () => {
  for (const matcher of [{ type: 2, name: "a", value: "(" }, { type: 9, name: "a", value: "b" }]) {
    const bytes = oracle.encode("thanos.SeriesRequest", { matchers: [matcher] });
    assert.throws(
      () => decodeSeriesRequest(bytes),
      (e: unknown) => e instanceof MnemeError && e.kind === "bad_data",
    );
  }
});

Deno.test("label requests and answers encode as protobufjs does", () => {
  for (let seed = 0; seed < 100; seed++) {
    const r = new Random(seed);
    const q: LabelValuesRequest = {
      label: r.pick(TEXTS),
      start: r.pick(TIMES),
      end: r.pick(TIMES),
      matchers: randomMatchers(r),
      partialResponse: r.pick(["warn", "abort"]),
      withoutReplicaLabels: texts(r),
      limit: r.pick([0, 7]),
    };
    const abort = q.partialResponse === "abort";
    const common = {
      partial_response_disabled: abort,
      partial_response_strategy: abort ? 1 : 0,
      start: q.start,
      end: q.end,
      matchers: plainMatchers(q.matchers),
      without_replica_labels: q.withoutReplicaLabels,
      limit: q.limit,
    };
    const values = oracle.encode("thanos.LabelValuesRequest", { ...common, label: q.label });
    assert.deepEqual(encodeLabelValuesRequest(q), values);
    assert.deepEqual(stripMatchers(decodeLabelValuesRequest(values)), stripMatchers(q));
    const names = oracle.encode("thanos.LabelNamesRequest", common);
    const { label: _, ...rest } = q;
    assert.deepEqual(encodeLabelNamesRequest(rest), names);
    assert.deepEqual(stripMatchers(decodeLabelNamesRequest(names)), stripMatchers(rest));
    const answer: StringsResponse = {
      values: texts(r),
      warnings: texts(r),
      ...(r.chance(0.5) ? { hints: { typeUrl: "u", value: new Uint8Array(0) } } : {}),
    };
    const hints = answer.hints && { type_url: "u" };
    const theirs = oracle.encode("thanos.LabelNamesResponse", {
      names: answer.values,
      warnings: answer.warnings,
      hints,
    });
    assert.deepEqual(encodeStringsResponse(answer), theirs);
    assert.deepEqual(decodeStringsResponse(theirs), answer);
  }
});

Deno.test("InfoResponse encodes as protobufjs does; empty messages tell which APIs there are", () => {
  for (let seed = 0; seed < 150; seed++) {
    const r = new Random(seed);
    const labels = () => randomLabels(r);
    const info: ComponentInfo = {
      labelSets: Array.from({ length: r.below(3) }, labels),
      componentType: r.pick(["store", "sidecar", "query"]),
      ...(r.chance(0.7)
        ? {
          store: {
            minTime: r.pick(TIMES),
            maxTime: r.pick(TIMES),
            supportsSharding: r.chance(0.5),
            supportsWithoutReplicaLabels: r.chance(0.5),
            tsdbInfos: Array.from({ length: r.below(3) }, () => ({
              labels: labels(),
              minTime: r.pick(TIMES),
              maxTime: r.pick(TIMES),
            })),
          },
        }
        : {}),
      ...(r.chance(0.5) ? { rules: true as const } : {}),
      ...(r.chance(0.5) ? { metricMetadata: true as const } : {}),
      ...(r.chance(0.5) ? { targets: true as const } : {}),
      ...(r.chance(0.5) ? { exemplars: { minTime: 0, maxTime: r.pick(TIMES) } } : {}),
      ...(r.chance(0.5) ? { query: true as const } : {}),
      ...(r.chance(0.5) ? { status: true as const } : {}),
    };
    const s = info.store;
    const set = (l: Labels) => ({ labels: plainLabels(l) });
    const theirs = oracle.encode("thanos.info.InfoResponse", {
      label_sets: info.labelSets.map(set),
      ComponentType: info.componentType,
      store: s && {
        min_time: s.minTime,
        max_time: s.maxTime,
        supports_sharding: s.supportsSharding,
        supports_without_replica_labels: s.supportsWithoutReplicaLabels,
        tsdb_infos: s.tsdbInfos.map((t) => ({
          labels: set(t.labels),
          min_time: t.minTime,
          max_time: t.maxTime,
        })),
      },
      rules: info.rules && {},
      metric_metadata: info.metricMetadata && {},
      targets: info.targets && {},
      exemplars: info.exemplars && { max_time: info.exemplars.maxTime },
      query: info.query && {},
      status: info.status && {},
    });
    assert.deepEqual(encodeInfo(info), theirs, `seed ${seed}`);
    assert.deepEqual(decodeInfo(theirs), info, `seed ${seed}`);
  }
});

Deno.test("the benchmark of series frames runs", async () => {
  assert.equal((await runBench(bench, { size: "small" })).length, 2);
});

Deno.test("fields of our own travel, and are not written where they say nothing", () => {
  const plain = seriesRequest();
  for (const own of [{ withoutChunkHashes: true }, { coarserWhereMissing: true }]) {
    const request = { ...plain, ...own };
    assert.deepEqual(decodeSeriesRequest(encodeSeriesRequest(request)), request);
  }
  const store = {
    minTime: 1,
    maxTime: 2,
    supportsSharding: true,
    supportsWithoutReplicaLabels: true,
    tsdbInfos: [],
  };
  const info = { labelSets: [], componentType: "store", store };
  const able = { ...info, store: { ...store, fillsWithCoarser: true } };
  assert.deepEqual(decodeInfo(encodeInfo(able)), able);
  assert.ok(encodeInfo(able).length > encodeInfo(info).length);
});
