/** Findings for installations that are well, and for each thing that can be wrong. */
import assert from "node:assert/strict";
import { FakeClock, makeUlid, MnemeError } from "../base/mod.ts";
import type { ListedBlock } from "../block/mod.ts";
import { labelsFromRecord } from "../model/mod.ts";
import { FaultyBucket } from "../objstore/testing/bucket_faulty.ts";
import { type Bucket, MemoryBucket } from "../objstore/mod.ts";
import { PrometheusClient } from "../store/mod.ts";
import type { ComponentInfo } from "../storeapi/mod.ts";
import { type BlockMeta, makeThanosMeta } from "../tsdb/mod.ts";
import {
  checkBlocks,
  checkBucketRights,
  checkEndpoints,
  checkPrometheus,
  checkSkew,
  type Finding,
  judgeBlocks,
  printFindings,
} from "./mod.ts";

const HOUR = 3_600_000;
const NOW = Date.parse("2026-01-01T00:00:00Z");

const bad = (findings: readonly Finding[]) =>
  findings.filter(({ severity }) => severity === "warning" || severity === "error");

/** A memory bucket with some calls replaced. */
function bucketWith(changes: Partial<Bucket>): Bucket {
  const inner = new MemoryBucket();
  const bucket: Record<string, unknown> = {};
  for (
    const name of [
      "iter",
      "get",
      "getStream",
      "getRange",
      "exists",
      "attributes",
      "upload",
      "delete",
      "close",
    ] as const
  ) {
    bucket[name] = (inner[name] as (...args: unknown[]) => unknown).bind(inner);
  }
  return { ...bucket, name: inner.name, provider: inner.provider, ...changes } as unknown as Bucket;
}

Deno.test("checkBucketRights() is content with a bucket that works, and leaves nothing in it", async () => {
  const bucket = new MemoryBucket();
  const options = { clock: new FakeClock(Date.now()), readOnly: false };
  assert.deepEqual(bad(await checkBucketRights(bucket, options)), []);
  const left: string[] = [];
  for await (const { name } of bucket.iter("", { recursive: true })) left.push(name);
  assert.deepEqual(left, []);
});

const denied = () => Promise.reject(new MnemeError("permission", "access denied"));
const REFUSALS: readonly [string, Partial<Bucket>, RegExp, RegExp][] = [
  ["upload", { upload: denied }, /cannot write in .*access denied/, /s3:PutObject/],
  ["get", { get: denied }, /cannot read in/, /s3:GetObject/],
  ["delete", { delete: denied }, /cannot delete in/, /s3:DeleteObject/],
  ["attributes", { attributes: denied }, /cannot tell attributes/, /HEAD/],
  [
    "listing",
    { iter: () => ({ [Symbol.asyncIterator]: () => ({ next: denied }) }) },
    /cannot list/,
    /s3:ListBucket/,
  ],
];
for (const [name, changes, message, cure] of REFUSALS) {
  Deno.test(`checkBucketRights() names the right that is missing: ${name}`, async () => {
    const options = { clock: new FakeClock(Date.now()), readOnly: false };
    const findings = bad(await checkBucketRights(bucketWith(changes), options));
    assert.ok(findings.length > 0);
    assert.match(findings[0]!.message, message);
    assert.match(findings[0]!.cure!, cure);
  });
}

Deno.test("checkBucketRights() notices ranges that are ignored and listings that lag", async () => {
  const options = { clock: new FakeClock(Date.now()), readOnly: false };
  const ranges = bucketWith({ getRange: () => Promise.resolve(new Uint8Array(50)) });
  assert.match(
    bad(await checkBucketRights(ranges, options))[0]!.message,
    /ranges are not honoured/,
  );
  const stale = bucketWith({ async *iter() {} });
  assert.match(bad(await checkBucketRights(stale, options))[0]!.message, /not listed right after/);
});

Deno.test("checkBucketRights() writes nothing when told so", async () => {
  const bucket = bucketWith({ upload: () => assert.fail("written") });
  const options = { clock: new FakeClock(NOW), readOnly: true };
  assert.deepEqual(bad(await checkBucketRights(bucket, options)), []);
});

Deno.test("checkSkew() weighs the difference of clocks", () => {
  const severity = (theirs: number) => checkSkew("bucket", theirs, NOW, NOW + 100)[0]!.severity;
  assert.equal(severity(NOW - 900), "ok");
  assert.equal(severity(NOW + 20_000), "ok");
  assert.equal(severity(NOW - 40_000), "warning");
  assert.equal(severity(NOW + 400_000), "error");
  assert.match(checkSkew("bucket", NOW + 400_000, NOW, NOW)[0]!.message, /400 s ahead of ours/);
});

function block(minTime: number, hours: number, more: Partial<BlockMeta> & {
  labels?: Record<string, string>;
  resolution?: number;
} = {}): BlockMeta {
  const ulid = makeUlid(minTime);
  const labels = labelsFromRecord(more.labels ?? { cluster: "a" });
  return {
    ulid,
    minTime,
    maxTime: minTime + hours * HOUR,
    stats: { numSamples: 1, numSeries: 1, numChunks: 1, numTombstones: 0 } as BlockMeta["stats"],
    compaction: { level: 1, sources: [ulid] } as unknown as BlockMeta["compaction"],
    thanos: makeThanosMeta({ labels, resolution: more.resolution ?? 0 }),
    ...more,
  };
}

function judge(metas: readonly BlockMeta[], more: Partial<Parameters<typeof judgeBlocks>[0]> = {}) {
  return judgeBlocks({
    all: new Map(metas.map((meta) => [meta.ulid, meta])),
    corrupted: new Map(),
    partial: new Set(),
    failed: new Map(),
    listing: new Map(),
    ...more,
  }, { clock: new FakeClock(NOW) });
}

Deno.test("judgeBlocks() is content with streams side by side, replicas and downsampled copies", () => {
  const t = NOW - 100 * HOUR;
  const findings = judge([
    block(t, 2),
    block(t + 2 * HOUR, 2),
    block(t, 2, { labels: { cluster: "a", replica: "1" } }),
    block(t, 4, { resolution: 300_000 }),
  ]);
  assert.deepEqual(bad(findings), []);
  assert.match(findings[0]!.message, /^4 blocks, all readable/);
});

Deno.test("judgeBlocks() finds overlaps, but not between a block and what it was compacted into", () => {
  const t = NOW - 100 * HOUR;
  const a = block(t, 8);
  const b = block(t + 2 * HOUR, 2);
  assert.match(bad(judge([a, b]))[0]!.message, /1 pairs of blocks .* overlap, such as/);
  const compaction = { level: 2, sources: [a.ulid, b.ulid] } as unknown as BlockMeta["compaction"];
  assert.deepEqual(bad(judge([a, block(t, 8, { compaction })])), []);
  const marked: ListedBlock = {
    ulid: b.ulid,
    complete: true,
    metaModified: 0,
    newestModified: 0,
    marks: new Set(["deletion-mark.json"]),
    deletionMarkModified: 0,
    segments: [],
  };
  assert.deepEqual(bad(judge([a, b], { listing: new Map([[b.ulid, marked]]) })), []);
});

Deno.test("judgeBlocks() finds damaged metas, dead uploads, missing labels, a future, a backlog", () => {
  const t = NOW - 100 * HOUR;
  const dead = makeUlid(t);
  const listed = {
    ulid: dead,
    complete: false,
    metaModified: 0,
    newestModified: t,
    marks: new Set(),
    deletionMarkModified: 0,
    segments: [],
  };
  const findings = bad(judge(
    [block(t, 2, { labels: {} }), block(NOW + 2 * HOUR, 2)],
    {
      corrupted: new Map([["X", new Error("no JSON")]]),
      partial: new Set([dead]),
      listing: new Map([[dead, listed as ListedBlock]]),
      failed: new Map([["Y", new Error("503")]]),
    },
  ));
  const text = findings.map((f) => f.message).join("\n");
  assert.match(text, /1 blocks have an unreadable meta\.json \(no JSON\): X/);
  assert.match(text, /1 meta\.json cannot be read \(503\)/);
  assert.match(text, /1 uploads never ended/);
  assert.match(text, /1 blocks have no external labels/);
  assert.match(text, /1 blocks begin in the future/);
  for (const { cure } of findings) assert.ok(cure);
  const many = Array.from({ length: 500 }, (_, i) => block(NOW - (1001 - 2 * i) * HOUR, 2));
  assert.match(bad(judge(many))[0]!.message, /500 blocks were never compacted/);
});

Deno.test("checkBlocks() reads a bucket", async () => {
  const bucket = new FaultyBucket(new MemoryBucket());
  await bucket.upload("01BX5ZZKBKACTAV9WEVGEMMVRZ/meta.json", new TextEncoder().encode("{"));
  const findings = await checkBlocks(bucket, { clock: new FakeClock(NOW) });
  assert.match(bad(findings)[0]!.message, /1 blocks have an unreadable meta\.json/);
});

function sidecar(labels: Record<string, string>): ComponentInfo {
  return { labelSets: [labelsFromRecord(labels)], componentType: "sidecar" } as ComponentInfo;
}

const LOOKUP = {
  a: (name: string) =>
    name === "pods"
      ? Promise.resolve(["10.0.0.1", "10.0.0.2"])
      : Promise.reject(new Error("ENOTFOUND")),
  aaaa: () => Promise.resolve([]),
  srv: () => Promise.reject(new Error("ENOTFOUND")),
};

Deno.test("checkEndpoints() resolves names and tells replicas from twins", async () => {
  const infos: Record<string, ComponentInfo> = {
    "10.0.0.1:10901": sidecar({ cluster: "a", replica: "0" }),
    "10.0.0.2:10901": sidecar({ cluster: "a", replica: "1" }),
    "twin:10901": sidecar({ cluster: "a", replica: "1" }),
  };
  const check = (addresses: string[], replicaLabels: string[]) =>
    checkEndpoints(addresses, {
      lookup: LOOKUP,
      replicaLabels,
      info: (address) =>
        infos[address] === undefined
          ? Promise.reject(new Error("connection refused"))
          : Promise.resolve(infos[address]),
    });
  const well = await check(["dns+pods:10901"], ["replica"]);
  assert.deepEqual(bad(well), []);
  assert.ok(well.some((f) => /are replicas of each other/.test(f.message)));
  const ill = bad(
    await check(["dns+pods:10901", "twin:10901", "gone:1", "dnssrv+_grpc._tcp.x"], []),
  );
  const text = ill.map((f) => f.message).join("\n");
  assert.match(text, /gone:1 does not answer: connection refused/);
  assert.match(text, /dnssrv\+_grpc\._tcp\.x does not resolve: ENOTFOUND/);
  assert.match(text, /10\.0\.0\.2:10901 and twin:10901 have the same external labels/);
  const note = await check(["dns+pods:10901"], []);
  assert.ok(note.some((f) => f.severity === "note" && /replica-label/.test(f.message)));
});

function prometheus(answers: Record<string, unknown>): PrometheusClient {
  return new PrometheusClient({
    url: "http://prometheus:9090",
    userAgent: "test",
    fetch: (input) => {
      const { pathname } = new URL(String(input));
      const date = new Date(NOW).toUTCString();
      if (pathname === "/-/ready") {
        return Promise.resolve(new Response("ready", { headers: { date } }));
      }
      const data = answers[pathname.replace("/api/v1/status/", "")];
      return Promise.resolve(Response.json({ status: "success", data }));
    },
  });
}

Deno.test("checkPrometheus() judges labels, version, block sizes and clock", async () => {
  const check = (answers: Record<string, unknown>, now = NOW) =>
    checkPrometheus(prometheus(answers), {
      clock: new FakeClock(now),
      signal: new AbortController().signal,
      ships: true,
    });
  const well = {
    buildinfo: { version: "3.1.0" },
    config: { yaml: "global: {external_labels: {cluster: a}}" },
    flags: { "storage.tsdb.min-block-duration": "2h", "storage.tsdb.max-block-duration": "2h" },
  };
  assert.deepEqual(bad(await check(well)), []);
  const ill = bad(
    await check({
      buildinfo: { version: "2.12.0" },
      config: { yaml: "global: {scrape_interval: 15s}" },
      flags: {
        "storage.tsdb.min-block-duration": "2h",
        "storage.tsdb.max-block-duration": "1d12h",
      },
    }, NOW + 10 * 60_000),
  );
  const text = ill.map((f) => f.message).join("\n");
  assert.match(text, /version 2\.12\.0, which cannot stream chunks/);
  assert.match(text, /has no external labels/);
  assert.match(text, /compacts its own blocks \(2h to 1d12h\)/);
  assert.match(text, /600 s behind ours/);
});

Deno.test("printFindings() shows each cure and counts", () => {
  const text = printFindings([
    { check: "bucket", severity: "ok", message: "fine" },
    { check: "clock", severity: "error", message: "wrong", cure: "run NTP" },
  ]);
  assert.equal(
    text,
    "ok      bucket: fine\nERROR   clock: wrong\n        -> run NTP\n\n2 checks: 1 to mend, 0 to look at",
  );
});
