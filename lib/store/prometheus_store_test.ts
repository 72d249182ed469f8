import assert from "node:assert/strict";
import { ByteWriter, crc32c, snappyCompress } from "../base/mod.ts";
import { Random } from "../base/testing/random.ts";
import { decodeXor } from "../chunks/mod.ts";
import {
  bitsOf,
  compareLabels,
  dropLabels,
  equalLabels,
  isStaleAt,
  type Labels,
  labelsFromRecord,
  labelsToRecord,
  makeMatcher,
  matchesLabels,
  mergeLabels,
  SampleBatch,
  setStaleAt,
} from "../model/mod.ts";
import { ProtoWriter } from "../rpc/mod.ts";
import { MAX_READ_FRAME, type Series, type SeriesRequest } from "../storeapi/mod.ts";
import { formatSeconds, PrometheusClient } from "./prometheus_client.ts";
import { FinalOrder, ownLabels, planRead, WaitingSeries } from "./prometheus_read.ts";
import { SeriesBatch } from "./series_batch.ts";
import { PrometheusStore } from "./prometheus_store.ts";
import { parseExternalLabels, parseLowestTime, PrometheusState } from "./prometheus_state.ts";

const STREAMED = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
const EXTERNAL = labelsFromRecord({ cluster: "eu1", replica: "0" });
const signal = new AbortController().signal;
const context = { signal, tenant: "" };

function request(parts: Partial<SeriesRequest> = {}): SeriesRequest {
  return {
    minTime: 0,
    maxTime: 1000,
    matchers: [makeMatcher("=", "__name__", "m")],
    maxResolutionWindow: 0,
    aggregates: [],
    partialResponse: "abort",
    skipChunks: false,
    withoutReplicaLabels: [],
    limit: 0,
    responseBatchSize: 0,
    ...parts,
  };
}

/** One ChunkedReadResponse frame of one series whose chunks hold the given bytes. */
function frame(
  labels: Record<string, string>,
  chunks: readonly string[],
  at: { time?: number; query?: number } = {},
): Uint8Array {
  const { time = 0, query = 0 } = at;
  const w = new ProtoWriter();
  const series = w.open(1, 64);
  for (const [name, value] of Object.entries(labels)) {
    const label = w.open(1);
    w.string(1, name);
    w.string(2, value);
    w.close(label);
  }
  chunks.forEach((text, i) => {
    const chunk = w.open(2, 64);
    w.int64(1, time + i * 10);
    w.int64(2, time + i * 10 + 9);
    w.int32(3, 1);
    w.bytes(4, new TextEncoder().encode(text));
    w.close(chunk);
  });
  w.close(series);
  w.int64(2, query);
  return framed(w.finish());
}

function framed(payload: Uint8Array, checksum = crc32c(payload)): Uint8Array {
  const out = new ByteWriter();
  out.uvarint(payload.length);
  out.u32(checksum);
  out.append(payload);
  return out.copy();
}

/** A store whose Prometheus gives one answer; `asked` is what it was asked. */
function storeOver(answer: () => Response, limits = { series: 0, samples: 0 }) {
  const asked: string[] = [];
  const dropped: string[] = [];
  const client = new PrometheusClient({
    url: "http://p:9090/prefix/",
    userAgent: "test",
    fetch: (url) => {
      asked.push(String(url));
      return Promise.resolve(answer());
    },
  });
  const store = new PrometheusStore({
    client,
    externalLabels: () => EXTERNAL,
    minTime: () => 5,
    version: () => "2.42.0",
    limits,
    onLimit: (reason) => dropped.push(reason),
  });
  return { store, asked, dropped };
}

function streamed(...parts: readonly Uint8Array[]): () => Response {
  return () => new Response(ReadableStream.from(parts), { headers: { "content-type": STREAMED } });
}

async function read(store: PrometheusStore, parts: Partial<SeriesRequest> = {}) {
  const found: Series[] = [];
  for await (const f of store.series(request(parts), context)) found.push(...f.series);
  return found.map((s) => ({
    labels: Object.entries(labelsToRecord(s.labels)).map(([n, v]) => `${n}=${v}`).join(),
    chunks: s.chunks.map((c) => new TextDecoder().decode(c.raw!.data)),
  }));
}

Deno.test("series() passes chunks on, joins split series and lets external labels win", async () => {
  const all = [
    frame({ __name__: "m", a: "1" }, ["x0", "x1"]),
    frame({ __name__: "m", a: "1" }, ["x2"], { time: 20 }),
    frame({ __name__: "m", a: "1", zone: "z" }, ["y"]),
    frame({ __name__: "m", cluster: "own", zone: "y" }, ["w"]),
  ];
  const bytes = new Uint8Array(all.reduce((n, f) => n + f.length, 0));
  let at = 0;
  for (const f of all) {
    bytes.set(f, at);
    at += f.length;
  }
  // Every way to cut the body in two, and bytes one by one.
  const cuts = [
    [...bytes].map((b) => Uint8Array.of(b)),
    ...Array.from(
      { length: bytes.length - 1 },
      (_, i) => [bytes.slice(0, i + 1), bytes.slice(i + 1)],
    ),
  ];
  for (const parts of cuts) {
    const { store, asked } = storeOver(streamed(...parts));
    assert.deepEqual(await read(store), [
      { labels: "__name__=m,a=1,cluster=eu1,replica=0", chunks: ["x0", "x1", "x2"] },
      { labels: "__name__=m,a=1,cluster=eu1,replica=0,zone=z", chunks: ["y"] },
      { labels: "__name__=m,cluster=eu1,replica=0,zone=y", chunks: ["w"] },
    ]);
    assert.deepEqual(asked, ["http://p:9090/prefix/api/v1/read"]);
  }
});

Deno.test("series() sorts again when labels go", async () => {
  const { store } = storeOver(streamed(
    frame({ __name__: "m", replica: "x", a: "2" }, ["2"]),
    frame({ __name__: "m", replica: "y", a: "1" }, ["1"]),
  ));
  const found = await read(store, { withoutReplicaLabels: ["replica"] });
  assert.deepEqual(found.map((s) => s.labels), [
    "__name__=m,a=1,cluster=eu1",
    "__name__=m,a=2,cluster=eu1",
  ]);
});

Deno.test("series() lets series pass as they come, merged with those that had to wait", async () => {
  const { store } = storeOver(streamed(
    // Series with a cluster, then with a replica of their own, then all others.
    frame({ __name__: "m", cluster: "own", zone: "b" }, ["wait1"]),
    frame({ __name__: "m", replica: "own", a: "1" }, ["wait2"], { query: 1, time: 100 }),
    frame({ __name__: "m" }, ["p0"], { query: 2 }),
    frame({ __name__: "m", a: "1" }, ["p1"], { query: 2 }),
    frame({ __name__: "m", a: "2" }, ["p2"], { query: 2 }),
    frame({ __name__: "m", zone: "a" }, ["p3"], { query: 2 }),
  ));
  assert.deepEqual(await read(store), [
    { labels: "__name__=m,a=1,cluster=eu1,replica=0", chunks: ["p1", "wait2"] },
    { labels: "__name__=m,a=2,cluster=eu1,replica=0", chunks: ["p2"] },
    // Its labels begin all others', and end up behind them.
    { labels: "__name__=m,cluster=eu1,replica=0", chunks: ["p0"] },
    { labels: "__name__=m,cluster=eu1,replica=0,zone=a", chunks: ["p3"] },
    { labels: "__name__=m,cluster=eu1,replica=0,zone=b", chunks: ["wait1"] },
  ]);
});

Deno.test("series() sends what is certain before the rest has come", async () => {
  let sent = 0;
  const answer = () =>
    new Response(
      new ReadableStream<Uint8Array>({
        pull(controller) {
          const a = String(sent++).padStart(4, "0");
          controller.enqueue(frame({ __name__: "m", a }, ["x".repeat(100_000)], { query: 2 }));
          if (sent === 200) controller.close();
        },
      }, { highWaterMark: 0 }),
      { headers: { "content-type": STREAMED } },
    );
  const { store } = storeOver(answer);
  const messages = store.seriesMessages(request({ responseBatchSize: 64 }), context);
  for await (const message of messages) {
    // The first message is full with ten series, and little more was read than it holds.
    assert(message.length > 800_000 && sent < 20, `${message.length} bytes after ${sent} frames`);
    break;
  }
});

Deno.test("series() sorts everything once the order was another than foretold", async () => {
  const { store } = storeOver(streamed(
    frame({ __name__: "m", a: "2" }, ["2"], { query: 2 }),
    frame({ __name__: "m", a: "3" }, ["3"], { query: 2 }),
    frame({ __name__: "m", a: "1" }, ["1"], { query: 2 }),
    frame({ __name__: "m", a: "4" }, ["4"], { query: 2 }),
  ));
  await assert.rejects(read(store), /another order than their labels/);
  assert.deepEqual((await read(store)).map((s) => s.chunks[0]), ["1", "2", "3", "4"]);
});

Deno.test("FinalOrder and planRead() give the order of final labels for random series", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const all = new Map<string, Labels>();
    for (let i = random.below(40); i >= 0; i--) {
      const record: Record<string, string> = { __name__: "m" };
      for (const name of ["b", "d", "f", "h"]) {
        if (random.chance(0.4)) record[name] = String(random.below(2));
      }
      all.set(JSON.stringify(record), labelsFromRecord(record));
    }
    const external = labelsFromRecord(random.chance(0.5) ? { d: "x" } : { a: "x", g: "y" });
    const names = external.filter((_, i) => i % 2 === 0);
    if (random.chance(0.3)) names.push("f");
    const plan = planRead([], names, random.chance(0.2));
    const final = (labels: Labels) =>
      dropLabels(mergeLabels(labels, external), new Set(names.includes("f") ? ["f"] : []));
    const order = new FinalOrder();
    const found: Labels[] = [];
    let seen = 0;
    const drain = () => {
      for (let s = order.next(); s !== undefined; s = order.next()) {
        found.push(s.labels);
        seen += s.batches.length;
      }
    };
    plan.queries.forEach((matchers, query) => {
      for (const labels of [...all.values()].sort(compareLabels)) {
        if (!matchesLabels(matchers, labels)) continue;
        const series = new WaitingSeries(final(labels), ownLabels(labels, plan));
        series.add(new SeriesBatch(0), 0, () => {});
        if (query === plan.ordered) order.pass(series);
        else order.wait(series);
        drain();
      }
    });
    order.finish();
    drain();
    const expected = [...all.values()].map(final).sort(compareLabels)
      .filter((labels, i, sorted) => i === 0 || !equalLabels(labels, sorted[i - 1]!));
    assert.deepEqual(found, expected, `seed ${seed}`);
    assert.equal(seen, all.size);
  }
});

Deno.test("series() keeps staleness markers of a sampled answer", async () => {
  const w = new ProtoWriter();
  // A result for each label that series might have themselves, and one for all others.
  for (let i = 0; i < EXTERNAL.length / 2; i++) w.empty(1);
  const result = w.open(1, 256);
  const series = w.open(1, 256);
  const label = w.open(1);
  w.string(1, "__name__");
  w.string(2, "m");
  w.close(label);
  const v = new Float64Array(3).fill(7);
  setStaleAt(bitsOf(v), 1);
  for (let i = 0; i < 3; i++) {
    const sample = w.open(2);
    // The value's halves, not its number: a stale marker does not survive as a number.
    w.doubleHalves(1, bitsOf(v)[2 * i + 1]!, bitsOf(v)[2 * i]!);
    w.int64(2, 100 + i);
    w.close(sample);
  }
  w.close(series);
  w.close(result);
  const body = snappyCompress(w.finish());
  const { store } = storeOver(() =>
    new Response(body, { headers: { "content-type": "application/x-protobuf" } })
  );
  const frames = await Array.fromAsync(store.series(request(), context));
  const chunk = frames[0]!.series[0]!.chunks[0]!;
  assert.deepEqual([chunk.minTime, chunk.maxTime], [100, 102]);
  const batch = new SampleBatch();
  decodeXor(chunk.raw!.data, batch);
  assert.deepEqual([...batch.t.subarray(0, 3)], [100, 101, 102]);
  assert.deepEqual([0, 1, 2].map((i) => isStaleAt(bitsOf(batch.v), i)), [false, true, false]);
});

Deno.test("series() fails with the reason when the answer is no whole answer", async () => {
  const whole = frame({ __name__: "m" }, ["x"]);
  const flipped = whole.slice();
  flipped[flipped.length - 1]! ^= 1;
  const oversize = new ByteWriter();
  oversize.uvarint(MAX_READ_FRAME + 1);
  const broken = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          controller.enqueue(whole);
          controller.error(new TypeError("connection reset"));
        },
      }),
      { headers: { "content-type": STREAMED } },
    );
  for (
    const [answer, message] of [
      [streamed(flipped), /checksum mismatch/],
      [streamed(whole, whole.slice(0, -1)), /ends inside a frame/],
      [streamed(oversize.copy()), /frame of more than 50000000 bytes/],
      [streamed(framed(Uint8Array.of(0xff, 0xff, 0xff))), /./],
      [broken, /Prometheus at http:\/\/p:9090\/prefix ended its remote read answer early/],
      [
        () => new Response("<html>", { headers: { "content-type": "text/html" } }),
        /not supported remote read content type: text\/html/,
      ],
      [
        () => new Response("overloaded\n", { status: 500, statusText: "Internal Server Error" }),
        /request failed with code 500 Internal Server Error; msg overloaded/,
      ],
    ] as const
  ) {
    const { store } = storeOver(answer);
    await assert.rejects(read(store), message);
  }
});

Deno.test("series() stops at limits and tells which", async () => {
  const answer = streamed(
    frame({ __name__: "m", a: "1" }, ["x", "y"]),
    frame({ __name__: "m", a: "2" }, ["z"]),
  );
  const few = storeOver(answer, { series: 1, samples: 0 });
  await assert.rejects(read(few.store), /failed to send series: limit 1 violated \(got 2\)/);
  assert.deepEqual(few.dropped, ["series"]);
  const small = storeOver(answer, { series: 0, samples: 240 });
  await assert.rejects(read(small.store), /failed to send samples: limit 240 violated \(got 360\)/);
  assert.deepEqual(small.dropped, ["chunks"]);
});

Deno.test("labelNames() asks without bounds the way Prometheus accepts", async () => {
  const { store, asked } = storeOver(() => Response.json({ status: "success", data: ["job"] }));
  const { values } = await store.labelNames({
    start: Number.MIN_SAFE_INTEGER * 2048,
    end: Number.MAX_SAFE_INTEGER * 2048,
    matchers: [],
    partialResponse: "abort",
    withoutReplicaLabels: ["replica"],
    limit: 0,
  }, context);
  assert.deepEqual(values, ["cluster", "job"]);
  assert.equal(
    asked[0],
    "http://p:9090/prefix/api/v1/labels?start=-9223309901257974&end=9223309901257974",
  );
});

Deno.test("formatSeconds() writes plain decimals", () => {
  assert.equal(formatSeconds(1795350000250), "1795350000.25");
  assert.equal(formatSeconds(-1500), "-1.5");
  assert.equal(formatSeconds(0), "0");
});

Deno.test("parseLowestTime() knows empty databases and missing types", () => {
  const NAME = "prometheus_tsdb_lowest_timestamp_seconds";
  const page = (value: string) =>
    `# HELP ${NAME} x\n# TYPE ${NAME} gauge\n${NAME} ${value}\nup 1\n`;
  assert.equal(parseLowestTime(page("1.795491232e+09")), 1_795_491_232_000);
  assert.ok(parseLowestTime(page("9.223372036854776e+15")) < -1e15);
  assert.equal(parseLowestTime(`${NAME} 17\n`), 0);
  assert.throws(() => parseLowestTime("<html>"), /is missing/);
});

Deno.test("parseExternalLabels() takes the text of scalars", () => {
  const labels = parseExternalLabels(
    "global:\n  external_labels:\n    replica: 0\n    cluster: \"eu\"\n    yes: 'on'\n",
  );
  assert.deepEqual({ ...labelsToRecord(labels) }, { cluster: "eu", replica: "0", yes: "on" });
  assert.equal(parseExternalLabels("global: {}\n").length, 0);
  assert.equal(parseExternalLabels("").length, 0);
});

Deno.test("PrometheusClient says why a Prometheus cannot be reached", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const url = `http://127.0.0.1:${port}`;
  const client = new PrometheusClient({ url, userAgent: "test" });
  await assert.rejects(client.get("/api/v1/status/flags", undefined, signal), {
    message: `Cannot reach Prometheus at ${url}: tcp connect error: Connection refused`,
  });
});

Deno.test("checkFlags() forbids shipping beside compaction", async () => {
  const check = (flags: Record<string, string>, ignoreUnequalBlockSize = false) => {
    const client = new PrometheusClient({
      url: "http://p",
      userAgent: "test",
      fetch: () => Promise.resolve(Response.json({ status: "success", data: flags })),
    });
    const shipping = { tsdbPath: "/data/", metaFileName: "s.json", ignoreUnequalBlockSize };
    return new PrometheusState(client, { now: () => 0, sleep: () => Promise.resolve() })
      .checkFlags(shipping, signal);
  };
  const MIN = "storage.tsdb.min-block-duration";
  const MAX = "storage.tsdb.max-block-duration";
  const DELAY = "storage.tsdb.delay-compact-file.path";
  assert.deepEqual(await check({ [MIN]: "2h", [MAX]: "2h" }), []);
  await assert.rejects(
    check({ [MIN]: "2h", [MAX]: "36h" }),
    /Compaction needs to be disabled \(storage.tsdb.min-block-duration = storage.tsdb.max-block-duration\)/,
  );
  assert.equal((await check({ [MIN]: "2h", [MAX]: "36h" }, true)).length, 1);
  assert.deepEqual(await check({ [MIN]: "2h", [MAX]: "36h", [DELAY]: "/data/./s.json" }), []);
  await assert.rejects(check({ [MIN]: "2h", [MAX]: "36h", [DELAY]: "/other/s.json" }), /s\.json/);
  assert.equal((await check({ [MIN]: "1h", [MAX]: "1h" })).length, 1);
});
