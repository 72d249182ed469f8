import assert from "node:assert/strict";
import {
  bitsOf,
  EMPTY_LABELS,
  type FloatHistogram,
  labelsFromRecord,
  makeMatcher,
  SampleBatch,
  setStaleAt,
} from "../model/mod.ts";
import { connectRpc, serveRpc } from "../rpc/mod.ts";
import { ProtobufOracle } from "../rpc/testing/protobuf_oracle.ts";
import { MnemeError } from "../base/mod.ts";
import { queryService, RemoteQuery, type RemoteQueryRequest } from "./query_api.ts";
import {
  decodeQueryFrames,
  decodeQueryRequest,
  encodeQueryRequest,
  encodeQueryStats,
  encodeQueryWarnings,
  encodeSeriesMessages,
} from "./wire_query.ts";
import type { SampledSeries } from "./wire_samples.ts";

const oracle = await ProtobufOracle.load(
  "types.proto",
  "google/protobuf/any.proto",
  "store.proto",
  "prometheus_copy.proto",
  "query.proto",
);

const REQUEST: RemoteQueryRequest = {
  query: 'sum(rate(x{a="é"}[5m]))',
  start: 1_790_208_000_250,
  end: 1_790_208_600_500,
  step: 30_000,
  timeout: 120_000,
  maxResolution: 300_000,
  replicaLabels: ["replica", "rule_replica"],
  storeMatchers: [[makeMatcher("=~", "__address__", "a.*")], []],
  deduplicate: true,
  partialResponse: true,
  shardInfo: { shardIndex: 1, totalShards: 3, by: true, labels: ["pod"] },
  lookbackDelta: 60_000,
  engine: "thanos",
  batchSize: 64,
};

const HISTOGRAM: FloatHistogram = {
  counterResetHint: "gauge",
  schema: -2,
  zeroThreshold: 0.001,
  zeroCount: 0,
  count: 6.5,
  sum: Float64Array.of(-1.5),
  positiveSpans: [{ offset: -3, length: 2 }, { offset: 4, length: 1 }],
  negativeSpans: [{ offset: 1, length: 1 }],
  positiveBuckets: Float64Array.of(1, 2.5, 2),
  negativeBuckets: Float64Array.of(1),
  customValues: new Float64Array(0),
};

function series(): SampledSeries {
  const batch = new SampleBatch(4);
  const times = [-1000, 0, 1_790_208_000_000, 1_790_208_030_000];
  times.forEach((t, i) => batch.t[i] = t);
  batch.v.set([NaN, 0, -0, 1.5]);
  batch.length = 4;
  setStaleAt(bitsOf(batch.v), 0);
  const column = batch.ensureHistograms();
  column[1] = HISTOGRAM;
  return { labels: labelsFromRecord({ __name__: "x", "utf.8": "é" }), batch };
}

Deno.test("requests are what the protocol's own description says, and come back whole", () => {
  for (const ranged of [false, true]) {
    const request = ranged ? REQUEST : { ...REQUEST, end: REQUEST.start, step: 0 };
    const bytes = encodeQueryRequest(request);
    const type = ranged ? "thanos.QueryRangeRequest" : "thanos.QueryRequest";
    const plain = oracle.decode(type, bytes);
    assert.equal(plain.query, request.query);
    assert.equal(plain[ranged ? "start_time_seconds" : "time_seconds"], 1_790_208_000);
    if (ranged) {
      assert.deepEqual([plain.end_time_seconds, plain.interval_seconds], [1_790_208_600, 30]);
    }
    assert.deepEqual(
      [plain.timeout_seconds, plain.max_resolution_seconds, plain.lookback_delta_seconds],
      [120, 300, 60],
    );
    assert.deepEqual(plain.replica_labels, request.replicaLabels);
    assert.deepEqual([plain.enableDedup, plain.enablePartialResponse], [true, true]);
    assert.deepEqual([plain.engine, plain.response_batch_size], [2, 64]);
    const decoded = decodeQueryRequest(bytes, ranged);
    assert.deepEqual(JSON.stringify(decoded), JSON.stringify({ ...decoded, ...request }));
    // What others send has whole seconds only.
    const theirs = decodeQueryRequest(oracle.encode(type, plain), ranged);
    assert.equal(theirs.start, 1_790_208_000_000);
    assert.equal(theirs.step, ranged ? 30_000 : 0);
    assert.equal(theirs.end, ranged ? 1_790_208_600_000 : theirs.start);
  }
});

Deno.test("series with markers, zeros and histograms cross the wire bit for bit", () => {
  for (const batchSize of [0, 64]) {
    const [message] = encodeSeriesMessages([series()], batchSize);
    const plain = oracle.decode("thanos.QueryRangeResponse", message!);
    const again = oracle.encode("thanos.QueryRangeResponse", plain);
    for (const bytes of [message!, again]) {
      const [decoded] = decodeQueryFrames(bytes).series;
      const { batch, labels } = decoded!;
      assert.deepEqual([...labels], ["__name__", "x", "utf.8", "é"]);
      assert.deepEqual([...batch.t.subarray(0, batch.length)], [
        -1000,
        0,
        1_790_208_000_000,
        1_790_208_030_000,
      ]);
      // protobufjs keeps numbers, so a marker survives on our own way only.
      if (bytes === message) {
        assert.deepEqual([...bitsOf(batch.v).subarray(0, 2)], [2, 0x7ff00000]);
      }
      assert.ok(Object.is(batch.v[2], -0));
      assert.deepEqual(batch.h![1], HISTOGRAM);
      assert.deepEqual([batch.h![0], batch.h![2], batch.h![3]], [undefined, undefined, undefined]);
    }
  }
});

Deno.test("integer histograms of other programs are read as absolute counts", () => {
  const bytes = oracle.encode("thanos.QueryResponse", {
    timeseries: {
      labels: [],
      samples: [],
      exemplars: [],
      histograms: [{
        count_int: 7,
        sum: 3,
        schema: 0,
        zero_count_int: 1,
        positive_spans: [{ offset: 0, length: 3 }],
        positive_deltas: [1, 2, -2],
        timestamp: 5,
      }],
    },
  });
  const { batch } = decodeQueryFrames(bytes).series[0]!;
  assert.deepEqual([...batch.h![0]!.positiveBuckets], [1, 3, 1]);
  assert.deepEqual([batch.h![0]!.count, batch.h![0]!.zeroCount, batch.t[0]], [7, 1, 5]);
  const broken = oracle.encode("thanos.QueryResponse", {
    timeseries: {
      histograms: [{ positive_spans: [{ offset: 0, length: 9 }], positive_deltas: [1] }],
    },
  });
  assert.throws(() => decodeQueryFrames(broken), /buckets where its spans/);
});

Deno.test("every truncation of a response is an error or a shorter answer, never a crash", () => {
  const [message] = encodeSeriesMessages([series()], 64);
  for (let n = 0; n < message!.length; n++) {
    try {
      decodeQueryFrames(message!.subarray(0, n));
    } catch (error) {
      assert.ok(error instanceof MnemeError && error.kind === "corruption", String(error));
    }
  }
});

Deno.test("the service answers with warnings, series and statistics in this order", async () => {
  const asked: RemoteQueryRequest[] = [];
  const server = await serveRpc({
    address: "127.0.0.1:0",
    services: [queryService({
      query: (request, context) => {
        asked.push(request);
        if (request.query === "bad") throw new MnemeError("bad_data", "no query");
        if (request.query === "fails") throw new MnemeError("execution", "it broke");
        return Promise.resolve({
          series: Array.from({ length: 3 }, series),
          warnings: [`for ${context.tenant}`, "second"],
          stats: { samplesTotal: 12, peakSamples: 5 },
        });
      },
    })],
  });
  const client = connectRpc(server.address);
  const remote = new RemoteQuery(client);
  const signal = new AbortController().signal;
  const ask = (changes: Partial<RemoteQueryRequest>) =>
    remote.query({ ...REQUEST, ...changes }, { signal, tenant: "t1" });
  const answer = await ask({});
  assert.deepEqual(answer.warnings, ["for t1, second"]);
  assert.equal(answer.series.length, 3);
  assert.deepEqual(answer.stats, { samplesTotal: 12, peakSamples: 5 });
  assert.equal(asked[0]!.start, REQUEST.start, "to the millisecond between our own");
  assert.equal((await ask({ batchSize: 0 })).series.length, 3);
  await assert.rejects(ask({ query: "fails" }), /code = Aborted desc = it broke/);
  await assert.rejects(ask({ query: "bad" }), /code = InvalidArgument desc = no query/);
  const partial = await ask({ query: "fails", step: 0, end: REQUEST.start });
  assert.deepEqual(partial, { series: [], warnings: ["it broke"], stats: undefined });
  client.close();
  await server.stop(0);
});

Deno.test("warnings and statistics are what the description says", () => {
  assert.deepEqual(
    oracle.decode("thanos.QueryResponse", encodeQueryWarnings("w")),
    { warnings: "w" },
  );
  assert.deepEqual(
    oracle.decode("thanos.QueryResponse", encodeQueryStats({ samplesTotal: 1, peakSamples: 2 })),
    { stats: { samples_total: 1, peak_samples: 2 } },
  );
  assert.equal(EMPTY_LABELS.length, 0);
});
