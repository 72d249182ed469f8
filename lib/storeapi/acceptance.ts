/**
 * The contract that every Store keeps, as tests. An implementation gives a function that makes a
 * Store of given series, and the names of cases it cannot keep, each with the reason.
 */
import assert from "node:assert/strict";
import { xxhash64Into } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { appendChunk } from "../chunks/mod.ts";
import {
  compareLabels,
  formatLabels,
  type Labels,
  labelsFromRecord,
  makeMatcher,
  SampleBatch,
} from "../model/mod.ts";
import type { Store } from "./store.ts";
import {
  callContext,
  floatSeries,
  labelsRequest,
  type SeriesData,
  seriesRequest,
} from "./testing/fixtures.ts";
import type { SeriesRequest } from "./types.ts";

/** What a Store is to hold. */
export interface AcceptanceData {
  readonly series: readonly SeriesData[];
  readonly externalLabels: Labels;
}

/** A Store under test. */
export interface AcceptanceStore {
  readonly store: Store;
  close(): Promise<void> | void;
}

/** The suite's settings for one implementation. */
export interface AcceptanceOptions {
  /** Name of the implementation, the first word of each test. */
  readonly name: string;
  readonly make: (data: AcceptanceData) => Promise<AcceptanceStore>;
  /** Cases left out, with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
  /** Labels are sent only with a matcher that is not on an external label. */
  readonly needsMatcher?: boolean;
  /** The Store is reached over gRPC, whose library may leave a timer running for a moment. */
  readonly network?: boolean;
}

const T0 = 1_790_208_000_000;
const HOUR = 3_600_000;

/** Four pods, a series that overrides an external label, one with odd text, one that is over. */
function standardData(): AcceptanceData {
  const series: SeriesData[] = [];
  for (const pod of ["a", "b", "c", "d"]) {
    series.push(
      floatSeries({ __name__: "requests_total", job: "api", pod }, T0, 480, {
        value: pod.charCodeAt(0),
        stale: pod === "d",
      }),
    );
  }
  series.push(
    floatSeries({ __name__: "up", job: "api", cluster: "own" }, T0, 240),
    floatSeries({ __name__: "up", job: "\u{1F600}", zone: "z" }, T0, 240),
    floatSeries({ __name__: "up", job: "\uFF5E", zone: "z" }, T0, 240),
    floatSeries({ __name__: "over", job: "batch" }, T0, 10),
  );
  return { series, externalLabels: labelsFromRecord({ cluster: "eu1", replica: "0" }) };
}

interface Found {
  readonly labels: Labels;
  readonly samples: SampleBatch;
}

/** Reads an answer to its end, checking what holds for every answer. */
async function readAll(store: Store, request: SeriesRequest): Promise<Found[]> {
  const found: Found[] = [];
  const hash = new Uint32Array(2);
  for await (const frame of store.series(request, callContext())) {
    assert.deepEqual(frame.warnings, []);
    for (const { labels, chunks } of frame.series) {
      const last = found.at(-1);
      const order = last === undefined ? -1 : compareLabels(last.labels, labels);
      assert.ok(order <= 0, `${formatLabels(labels)} came too late`);
      let samples = last?.samples;
      if (order < 0 || samples === undefined) {
        samples = new SampleBatch();
        found.push({ labels, samples });
      }
      for (const chunk of chunks) {
        assert.ok(chunk.minTime <= request.maxTime && chunk.maxTime >= request.minTime);
        assert.ok(chunk.raw !== undefined, "raw data were asked for");
        if (chunk.hashes !== undefined && (chunk.hashes[0] !== 0 || chunk.hashes[1] !== 0)) {
          xxhash64Into(chunk.raw.data, hash);
          assert.deepEqual([chunk.hashes[0], chunk.hashes[1]], [...hash]);
        }
        appendChunk(chunk.raw, samples);
      }
    }
  }
  return found;
}

function names(found: readonly Found[]): string[] {
  return found.map((f) => formatLabels(f.labels));
}

/** Samples within the range, by their bits. */
function within(samples: SampleBatch, minTime: number, maxTime: number): string {
  let from = 0;
  while (from < samples.length && samples.t[from]! < minTime) from++;
  let to = samples.length;
  while (to > from && samples.t[to - 1]! > maxTime) to--;
  return dump(samples, from, to);
}

const all = [makeMatcher("!=", "__name__", "")];

type Case = (store: Store, data: AcceptanceData, options: AcceptanceOptions) => Promise<void>;

const CASES: Readonly<Record<string, Case>> = {
  "series() sends all series sorted by bytes, external labels added and winning": async (
    store,
    data,
  ) => {
    const found = await readAll(store, seriesRequest({ matchers: all }));
    assert.deepEqual(names(found), [
      '{__name__="over", cluster="eu1", job="batch", replica="0"}',
      '{__name__="requests_total", cluster="eu1", job="api", pod="a", replica="0"}',
      '{__name__="requests_total", cluster="eu1", job="api", pod="b", replica="0"}',
      '{__name__="requests_total", cluster="eu1", job="api", pod="c", replica="0"}',
      '{__name__="requests_total", cluster="eu1", job="api", pod="d", replica="0"}',
      '{__name__="up", cluster="eu1", job="api", replica="0"}',
      '{__name__="up", cluster="eu1", job="\uFF5E", replica="0", zone="z"}',
      '{__name__="up", cluster="eu1", job="\u{1F600}", replica="0", zone="z"}',
    ]);
    const pods = data.series.filter((s) => s.labels.includes("requests_total"));
    pods.forEach((s, i) => assert.equal(dump(found[1 + i]!.samples), dump(s.samples)));
  },

  "series() keeps staleness markers": async (store) => {
    const matchers = [makeMatcher("=", "pod", "d")];
    const [series] = await readAll(store, seriesRequest({ matchers }));
    assert.ok(dump(series!.samples).endsWith(":stale"));
  },

  "series() answers a time range with all samples in it and no series outside": async (
    store,
    data,
  ) => {
    const minTime = T0 + HOUR / 2;
    const maxTime = minTime + 10 * 60_000;
    const found = await readAll(store, seriesRequest({ matchers: all, minTime, maxTime }));
    assert.ok(!names(found).some((n) => n.includes("over")));
    assert.equal(found.length, 7);
    assert.equal(
      within(found[0]!.samples, minTime, maxTime),
      within(data.series[0]!.samples, minTime, maxTime),
    );
    const before = seriesRequest({ matchers: all, minTime: T0 - HOUR, maxTime: T0 - 1 });
    assert.deepEqual(await readAll(store, before), []);
  },

  "series() honours every kind of matcher, absent labels counting as empty": async (store) => {
    const api = makeMatcher("=", "job", "api");
    const table: [string, ReturnType<typeof makeMatcher>[], number][] = [
      ["equal", [api], 5],
      ["not equal", [makeMatcher("!=", "job", "api")], 3],
      ["regexp", [makeMatcher("=~", "pod", "a|c")], 2],
      ["anchored regexp", [makeMatcher("=~", "job", "ap")], 0],
      ["not regexp", [makeMatcher("!~", "pod", "a|c"), makeMatcher("!=", "pod", "")], 2],
      ["absent label", [makeMatcher("=", "pod", ""), api], 1],
      ["regexp that matches empty", [makeMatcher("=~", "pod", "a?"), api], 2],
      ["contradiction", [api, makeMatcher("=", "job", "batch")], 0],
      ["unknown label", [makeMatcher("=", "nope", "x")], 0],
      ["unknown label, negated", [makeMatcher("!=", "nope", "x"), api], 5],
      ["equal external", [makeMatcher("=", "cluster", "eu1"), api], 5],
      ["overridden value", [makeMatcher("=", "cluster", "own"), api], 0],
      ["other external", [makeMatcher("=", "replica", "1"), api], 0],
      ["external regexp", [makeMatcher("=~", "replica", "0|1"), api], 5],
    ];
    for (const [name, matchers, expected] of table) {
      assert.equal((await readAll(store, seriesRequest({ matchers }))).length, expected, name);
    }
  },

  "series() without chunks sends labels only": async (store) => {
    const request = seriesRequest({ matchers: all, skipChunks: true });
    for await (const frame of store.series(request, callContext())) {
      for (const s of frame.series) assert.equal(s.chunks.length, 0);
    }
    assert.equal((await readAll(store, request)).length, 8);
  },

  "series() drops replica labels before it sorts": async (store) => {
    const request = seriesRequest({
      matchers: [makeMatcher("=", "__name__", "up")],
      withoutReplicaLabels: ["replica", "job"],
    });
    const found = names(await readAll(store, request));
    assert.deepEqual(found, [
      '{__name__="up", cluster="eu1"}',
      '{__name__="up", cluster="eu1", zone="z"}',
    ]);
  },

  "series() ends at the limit": async (store) => {
    const whole = names(await readAll(store, seriesRequest({ matchers: all })));
    for (const limit of [1, 3, 100]) {
      const found = await readAll(store, seriesRequest({ matchers: all, limit }));
      assert.deepEqual(names(found), whole.slice(0, limit));
    }
  },

  "series() gives the same series for every batch size": async (store) => {
    const one = await readAll(store, seriesRequest({ matchers: all }));
    for (const responseBatchSize of [1, 2, 3, 64]) {
      const more = await readAll(store, seriesRequest({ matchers: all, responseBatchSize }));
      assert.deepEqual(names(more), names(one));
      assert.deepEqual(more.map((f) => dump(f.samples)), one.map((f) => dump(f.samples)));
    }
  },

  "series() shards by hash: every series in exactly one shard": async (store) => {
    for (const by of [true, false]) {
      const seen: string[] = [];
      for (let shardIndex = 0; shardIndex < 3; shardIndex++) {
        const shardInfo = { shardIndex, totalShards: 3, by, labels: ["pod", "zone"] };
        seen.push(...names(await readAll(store, seriesRequest({ matchers: all, shardInfo }))));
      }
      const whole = names(await readAll(store, seriesRequest({ matchers: all })));
      assert.deepEqual(seen.sort(), whole.sort());
    }
  },

  "series() of an aborted call fails as canceled": async (store) => {
    const aborted = new AbortController();
    aborted.abort();
    await assert.rejects(
      async () => {
        const request = seriesRequest({ matchers: all });
        for await (const _ of store.series(request, callContext(aborted.signal)));
      },
      { kind: "canceled" },
    );
  },

  "labelNames() are sorted, unique and include external labels": async (store) => {
    const answer = await store.labelNames(labelsRequest({ matchers: all }), callContext());
    const expected = ["__name__", "cluster", "job", "pod", "replica", "zone"];
    assert.deepEqual(answer.values, expected);
    const limited = labelsRequest({ matchers: all, limit: 2 });
    assert.deepEqual((await store.labelNames(limited, callContext())).values.length, 2);
    const up = labelsRequest({ matchers: [makeMatcher("=", "__name__", "over")] });
    assert.deepEqual((await store.labelNames(up, callContext())).values, [
      "__name__",
      "cluster",
      "job",
      "replica",
    ]);
    const none = labelsRequest({ matchers: [makeMatcher("=", "__name__", "nope")] });
    assert.deepEqual((await store.labelNames(none, callContext())).values, []);
  },

  "labelValues() are sorted, unique and filtered": async (store) => {
    const ask = async (label: string, changes = {}) => {
      const request = { ...labelsRequest({ matchers: all, ...changes }), label };
      return (await store.labelValues(request, callContext())).values;
    };
    assert.deepEqual(await ask("job"), ["api", "batch", "\uFF5E", "\u{1F600}"]);
    assert.deepEqual(await ask("cluster"), ["eu1"]);
    assert.deepEqual(await ask("nope"), []);
    assert.deepEqual(await ask("job", { limit: 1 }), ["api"]);
    assert.deepEqual(await ask("job", { matchers: [makeMatcher("=", "zone", "z")] }), [
      "\uFF5E",
      "\u{1F600}",
    ]);
    assert.deepEqual(await ask("job", { matchers: [makeMatcher("=", "replica", "1")] }), []);
    assert.deepEqual(await ask("replica", { matchers: [makeMatcher("=", "zone", "z")] }), ["0"]);
  },

  "label questions without matchers cover everything": async (store, _data, options) => {
    if (options.needsMatcher) return;
    assert.deepEqual(
      (await store.labelValues({ ...labelsRequest(), label: "pod" }, callContext())).values,
      ["a", "b", "c", "d"],
    );
    assert.ok((await store.labelNames(labelsRequest(), callContext())).values.includes("zone"));
  },
};

/** Registers the suite's tests. */
export function storeAcceptance(options: AcceptanceOptions): void {
  const skip = options.skip ?? {};
  for (const name of Object.keys(skip)) {
    assert.ok(name in CASES, `there is no case "${name}" to skip`);
  }
  for (const [name, run] of Object.entries(CASES)) {
    Deno.test({
      name: `${options.name}: ${name}`,
      ignore: name in skip,
      sanitizeOps: options.network !== true,
      sanitizeResources: options.network !== true,
      async fn() {
        const data = standardData();
        const made = await options.make(data);
        try {
          await run(made.store, data, options);
        } finally {
          await made.close();
        }
      },
    });
  }
}
