/**
 * Faults between a bucket and its S3 server (rows OB1 to OB5 and OB8 to OB10 of the fault catalogue):
 * a real server behind a proxy that spoils answers.
 */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { type Clock, errorKind, errorMessage } from "../../lib/base/mod.ts";
import { type Bucket, openBucket, streamOf } from "../../lib/objstore/mod.ts";
import { createLogger } from "../../lib/telemetry/mod.ts";
import { FaultyProxy, type ProxyFault } from "../servers/faulty_proxy.ts";
import {
  KEYS,
  makeBucket,
  type ObjectServer,
  s3Document,
  startMoto,
  startS3rver,
} from "../servers/object_storage.ts";

const MIB = 1024 * 1024;
const bytes = (size: number) => new Uint8Array(size).map((_, i) => (i * 31 + (i >> 8)) & 0xff);
const text = (value: string) => new TextEncoder().encode(value);

/** A clock on which nobody waits; it keeps the pauses. */
function hastyClock(): Clock & { pauses: number[] } {
  const pauses: number[] = [];
  return {
    pauses,
    now: () => Date.now(),
    sleep: (ms) => {
      pauses.push(ms);
      return Promise.resolve();
    },
  };
}

interface Scene {
  readonly server: ObjectServer;
  readonly proxy: FaultyProxy;
  readonly bucket: Bucket;
  /** The same bucket without the proxy. */
  readonly direct: Bucket;
  readonly clock: ReturnType<typeof hastyClock>;
  readonly logs: string[];
}

async function scene(
  run: (scene: Scene) => Promise<void>,
  config: Record<string, unknown> = {},
  start: () => Promise<ObjectServer | undefined> = () => startS3rver(["bkt"]),
): Promise<void> {
  const server = await start();
  if (server === undefined) return;
  await using proxy = await FaultyProxy.start(server.port);
  const clock = hastyClock();
  const logs: string[] = [];
  const logger = createLogger({
    level: "debug",
    format: "logfmt",
    sink: (line) => logs.push(line),
  });
  const direct = await openBucket(s3Document(server.port, "bkt", config));
  const bucket = await openBucket(s3Document(proxy.port, "bkt", config), {
    clock,
    random: () => 0.5,
    stall: 400,
    logger,
  });
  try {
    await run({ server, proxy, bucket, direct, clock, logs });
  } finally {
    await bucket.close();
    await direct.close();
    await server.stop();
  }
}

function faultTest(name: string, fn: () => Promise<void>): void {
  // The servers live in other processes.
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn });
}

const rejects = (work: () => Promise<unknown>, kind: string, message: RegExp) =>
  assert.rejects(work, (error: unknown) => {
    assert.match(errorMessage(error), message);
    assert.equal(errorKind(error), kind, errorMessage(error));
    return true;
  });

faultTest(
  "OB1: trouble on the server's side is tried again, with growing pauses",
  () =>
    scene(async ({ proxy, bucket, direct, clock }) => {
      await direct.upload("d/o", text("0123456789"));
      const calls: [string, () => Promise<unknown>][] = [
        ["get", () => bucket.get("d/o")],
        ["getRange", () => bucket.getRange("d/o", 2, 3)],
        ["attributes", () => bucket.attributes("d/o")],
        ["exists", () => bucket.exists("d/o")],
        ["iter", () => Array.fromAsync(bucket.iter("d"))],
        ["upload", () => bucket.upload("d/o", text("0123456789"))],
        ["delete", () => bucket.delete("d/other")],
      ];
      for (const status of [500, 502, 503, 504, 429, 408]) {
        for (const [what, call] of calls) {
          proxy.setRules([{ fault: { type: "answer", status }, times: 2 }]);
          await call();
          assert.equal(proxy.requests.length, 3, `${what} after ${status}`);
        }
      }
      // What balancers answer with is a page for people.
      const page = "<!DOCTYPE html><html><body>Bad Gateway</body></html>";
      for (const [what, call] of calls) {
        proxy.setRules([{ fault: { type: "answer", status: 502, body: page }, times: 2 }]);
        await call();
        assert.equal(proxy.requests.length, 3, `${what} after a page`);
      }
      clock.pauses.length = 0;
      proxy.setRules([{ fault: { type: "answer", status: 503 } }]);
      await rejects(
        () => bucket.get("d/o"),
        "unavailable",
        /^Cannot read object d\/o in bucket bkt: .*503/,
      );
      assert.equal(proxy.requests.length, 5);
      assert.deepEqual(clock.pauses, [50, 100, 200, 400]);

      clock.pauses.length = 0;
      const busy = { status: 429, headers: { "retry-after": "2" } };
      proxy.setRules([{ fault: { type: "answer", ...busy }, times: 1 }]);
      await bucket.get("d/o");
      assert.deepEqual(clock.pauses, [2050]);

      for (const type of ["reset", "lost"] as const) {
        for (const [what, call] of calls) {
          proxy.setRules([{ fault: { type }, times: 2 }]);
          await call();
          assert.equal(proxy.requests.length, 3, `${what} after ${type}`);
        }
      }
    }),
);

faultTest(
  "OB1: max_retries decides how often, and nothing is tried after an abort",
  () =>
    scene(async ({ proxy, bucket }) => {
      proxy.setRules([{ fault: { type: "answer", status: 500 } }]);
      await rejects(() => bucket.get("o"), "unavailable", /500/);
      assert.equal(proxy.requests.length, 2);
      const abort = new AbortController();
      proxy.setRules([{ fault: { type: "silent" } }]);
      const waiting = bucket.get("o", { signal: abort.signal });
      while (proxy.count(/^GET/) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      abort.abort();
      await rejects(() => waiting, "canceled", /canceled/);
      assert.equal(proxy.requests.length, 1);
    }, { max_retries: 2 }),
);

faultTest(
  "OB2, OB3: a refused and a missing object are told apart, at once",
  () =>
    scene(async ({ proxy, bucket, direct }) => {
      await direct.upload("o", text("x"));
      const denied = "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>";
      proxy.setRules([{ fault: { type: "answer", status: 403, body: denied } }]);
      await rejects(
        () => bucket.get("o"),
        "permission",
        /object o in bucket bkt: Access Denied\. \(AccessDenied\)/,
      );
      await rejects(() => bucket.exists("o"), "permission", /object o/);
      assert.equal(proxy.requests.length, 2);
      proxy.setRules([]);
      await rejects(() => bucket.get("missing"), "not_found", /missing/);
      assert.equal(proxy.requests.length, 1);
      await rejects(() => bucket.get(""), "bad_data", /empty/);
      assert.equal(proxy.requests.length, 1);
      const gone = "<Error><Code>NoSuchBucket</Code><Message>No bucket.</Message></Error>";
      proxy.setRules([{ fault: { type: "answer", status: 404, body: gone } }]);
      await rejects(() => bucket.get("o"), "unavailable", /NoSuchBucket/);
      await rejects(() => Array.fromAsync(bucket.iter("")), "unavailable", /NoSuchBucket/);
    }),
);

faultTest(
  "OB4: a body that is cut short or stalls is an error or read again, never short data",
  () =>
    scene(async ({ proxy, bucket, direct }) => {
      const body = bytes(300_000);
      await direct.upload("o", body);
      const same = (got: Uint8Array, from = 0, to = body.length) =>
        assert.ok(Buffer.compare(got, body.subarray(from, to)) === 0);
      for (const type of ["short", "stall"] as const) {
        const fault: ProxyFault = { type, bytes: 1000 };
        proxy.setRules([{ fault, times: 2 }]);
        same(await bucket.get("o"));
        assert.equal(proxy.requests.length, 3, type);
        proxy.setRules([{ fault, times: 1 }]);
        same(await bucket.getRange("o", 5000, 100_000), 5000, 105_000);
        // A stream goes on where it was cut.
        proxy.setRules([{ fault: { type, bytes: 70_000 }, times: 2 }]);
        const pieces: Uint8Array[] = [];
        for await (const piece of await bucket.getStream("o")) pieces.push(piece);
        same(Buffer.concat(pieces));
        assert.equal(proxy.requests.length, 3, type);

        proxy.setRules([{ fault }]);
        const reason = type === "short"
          ? /object o in bucket bkt/
          : /object o in bucket bkt: .*stalled \(0\.4 s\)/;
        await rejects(() => bucket.getRange("o", 0, 50_000), "unavailable", reason);
        assert.equal(proxy.requests.length, 5);
      }
      proxy.setRules([{ fault: { type: "whole" }, match: /^GET/ }]);
      await rejects(
        () => bucket.getRange("o", 10, 10),
        "unavailable",
        /does not answer range requests/,
      );
      // An object that was replaced while its stream was cut is not glued together.
      proxy.setRules([{ fault: { type: "short", bytes: 70_000 }, times: 1 }]);
      await assert.rejects(async () => {
        for await (const _ of await bucket.getStream("o")) {
          await direct.upload("o", bytes(299_000).fill(7));
        }
      });
    }),
);

faultTest(
  "OB5: an upload in parts that fails is given up, a lost answer is no failure",
  () =>
    scene(async ({ proxy, bucket, direct }) => {
      const body = bytes(17 * MIB);
      const denied = { type: "answer", status: 403 } as const;
      proxy.setRules([{ fault: denied, match: /partNumber=3/ }]);
      await rejects(() => bucket.upload("d/o", body), "permission", /object d\/o/);
      assert.equal(proxy.count(/^DELETE .*uploadId=/), 1);
      assert.equal(await direct.exists("d/o"), false);

      proxy.setRules([
        { fault: { type: "reset" }, match: /partNumber=2/, times: 1 },
        { fault: { type: "lost" }, match: /^POST .*uploadId=/, times: 1 },
      ]);
      await bucket.upload("d/o", { stream: streamOf(body), size: body.length });
      assert.equal(proxy.count(/^DELETE/), 0);
      assert.ok(Buffer.compare(await direct.get("d/o"), body) === 0);

      // A caller that gives up leaves nothing behind either.
      const abort = new AbortController();
      proxy.setRules([{ fault: { type: "silent" }, match: /partNumber=2/ }]);
      const waiting = bucket.upload("d/p", body, { signal: abort.signal });
      while (proxy.count(/partNumber=2/) === 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      abort.abort();
      await rejects(() => waiting, "canceled", /canceled/);
      assert.equal(proxy.count(/^DELETE .*uploadId=/), 1);
      assert.equal(await direct.exists("d/p"), false);
    }, { part_size: 5 * MIB }),
);

faultTest(
  "OB5: of writers that must not overwrite, one whose answer got lost still wins",
  () =>
    scene(
      async ({ proxy, bucket }) => {
        proxy.setRules([{ fault: { type: "lost" }, match: /^PUT/, times: 1 }]);
        await bucket.upload("mark", text("mine"), { ifAbsent: true });
        proxy.setRules([{ fault: { type: "lost" }, match: /^PUT/, times: 1 }]);
        await rejects(
          () => bucket.upload("mark", text("other"), { ifAbsent: true }),
          "conflict",
          /object mark in bucket bkt/,
        );
      },
      {},
      async () => {
        const server = await startMoto();
        if (server !== undefined) await makeBucket(server, "bkt");
        return server;
      },
    ),
);

faultTest("OB8: long listings take one request a page, in both versions", () =>
  scene(
    async ({ server, proxy, direct }) => {
      const names = Array.from({ length: 1203 }, (_, i) => `d${String(i).padStart(4, "0")}/o`);
      for (let i = 0; i < names.length; i += 24) {
        await Promise.all(names.slice(i, i + 24).map((name) => direct.upload(name, text(name))));
      }
      assert.ok(server.child.running);
      for (const list_objects_version of ["v1", "v2"]) {
        const bucket = await openBucket(s3Document(proxy.port, "bkt", { list_objects_version }));
        try {
          proxy.setRules([]);
          const all = await Array.fromAsync(bucket.iter("", { recursive: true, attributes: true }));
          assert.deepEqual(all.map((entry) => entry.name), names);
          assert.ok(all.every((entry) => entry.attributes?.size === 7));
          assert.equal(proxy.requests.length, 2);
          proxy.setRules([]);
          const folders = await Array.fromAsync(bucket.iter(""));
          assert.deepEqual(folders.map((entry) => entry.name), names.map((n) => n.slice(0, -1)));
          // This server gives all folders at once in version 1.
          assert.equal(proxy.requests.length, list_objects_version === "v1" ? 1 : 2);
        } finally {
          await bucket.close();
        }
      }
    },
    {},
    async () => {
      const server = await startMoto();
      if (server !== undefined) await makeBucket(server, "bkt");
      return server;
    },
  ));

faultTest(
  "OB8: listings that repeat, never end, explode or are no XML are an error or harmless",
  () =>
    scene(async ({ proxy, bucket }) => {
      const page = (keys: string[], more: string) =>
        `<?xml version="1.0"?><ListBucketResult>${
          keys.map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join("")
        }${more}</ListBucketResult>`;
      const list = async () => (await Array.fromAsync(bucket.iter(""))).map((entry) => entry.name);
      const answer = (body: string, times?: number) => ({
        fault: { type: "answer", status: 200, body } as const,
        ...(times === undefined ? {} : { times }),
      });
      const next = (token: string) =>
        `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`;
      proxy.setRules([
        answer(page(["a", "b", "b"], next("t1")), 1),
        answer(page(["b", "c"], ""), 1),
      ]);
      assert.deepEqual(await list(), ["a", "b", "c"]);
      // Names that no object of ours can have are left out.
      proxy.setRules([answer(page(["../x", "/y", "a//b", "good", "dir/"], ""))]);
      assert.deepEqual(await list(), ["good"]);
      proxy.setRules([answer(page(["a"], next("same")))]);
      await rejects(list, "unavailable", /same page again/);
      proxy.setRules([answer(page(["a"], "<IsTruncated>true</IsTruncated>"))]);
      await rejects(list, "unavailable", /does not say where/);
      const bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>';
      proxy.setRules([
        answer(`<?xml version="1.0"?>${bomb}<ListBucketResult>&b;</ListBucketResult>`),
      ]);
      await rejects(list, "unavailable", /document type/);
      proxy.setRules([answer("<html><body>It works!</body>")]);
      await assert.rejects(list);
      const huge = { "content-length": String(1024 * MIB) };
      proxy.setRules([{ fault: { type: "answer", status: 200, headers: huge, body: "<a>" } }]);
      await rejects(list, "unavailable", /1073741824 bytes/);
    }, { max_retries: 1 }),
);

faultTest(
  "OB9: redirects to other hosts are not followed",
  () =>
    scene(async ({ proxy, bucket, server }) => {
      await using elsewhere = await FaultyProxy.start(server.port);
      for (const status of [301, 302, 307, 308]) {
        const headers = { location: `http://localhost:${elsewhere.port}/bkt/o` };
        proxy.setRules([{ fault: { type: "answer", status, headers } }]);
        await rejects(() => bucket.get("o"), "bad_data", new RegExp(`object o .*${status}`));
        await assert.rejects(() => bucket.upload("o", text("x")));
      }
      assert.deepEqual(elsewhere.requests, []);
    }),
);

faultTest("OB10: no secret shows in errors, logs and traces", () =>
  scene(
    async ({ proxy, bucket, logs }) => {
      await bucket.upload("o", text("x"));
      const canary = "canary-token-123";
      const echo =
        `<Error><Code>SignatureDoesNotMatch</Code><Message>key ${KEYS.secret} token ${canary}` +
        `</Message><AWSAccessKeyId>${KEYS.access}</AWSAccessKeyId></Error>`;
      proxy.setRules([{ fault: { type: "answer", status: 403, body: echo } }]);
      const failure = await bucket.get("o").then(() => undefined, (error: unknown) => error);
      const shown = `${Deno.inspect(failure, { depth: 20 })} ${JSON.stringify(failure)} ` +
        `${Deno.inspect(bucket, { depth: 20, showHidden: true })} ${logs.join("\n")}`;
      assert.match(shown, /<secret>/);
      assert.match(shown, /s3TraceMsg/);
      for (const secret of [KEYS.secret, canary]) assert.ok(!shown.includes(secret), shown);
    },
    { trace: { enable: true }, session_token: "canary-token-123" },
  ));
