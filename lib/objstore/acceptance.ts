/**
 * The contract every bucket keeps, as tests: give it a way to open an empty bucket and a way to
 * register a test, and it registers one test per line of the contract.
 *
 * ```ts
 * bucketAcceptance("memory", () => ({ bucket: new MemoryBucket() }), Deno.test);
 * ```
 */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { compareUtf8, errorKind, MnemeError } from "../base/mod.ts";
import { readAll, streamOf } from "./body.ts";
import type { Bucket, BucketEntry, IterOptions } from "./bucket.ts";

/** An empty bucket for one test and what must be done after it. */
export interface AcceptanceBucket {
  readonly bucket: Bucket;
  close?(): Promise<void> | void;
}

/** Registers a test; `Deno.test` fits. */
export type RegisterTest = (name: string, test: () => Promise<void>) => void;

/** What an implementation cannot do, each with its reason (shown in the test's name). */
export interface AcceptanceSkips {
  /** `attributes` in listings. */
  readonly listedAttributes?: string;
  /** `ifAbsent` of uploads. */
  readonly conditionalUploads?: string;
  /** Objects of no bytes. */
  readonly emptyObjects?: string;
  /** Overwriting while others read. */
  readonly atomicOverwrites?: string;
}

/** Names that no bucket may accept. */
export const REFUSED_NAMES: readonly string[] = [
  "",
  "/",
  "/etc/passwd",
  "..",
  "../x",
  "a/../../x",
  "a/..",
  ".",
  "./a",
  "a/./b",
  "a//b",
  "a/",
  "a\0b",
  "a/\ud800",
];

/** Registers the contract suite for the buckets that `open` makes. */
export function bucketAcceptance(
  label: string,
  open: () => Promise<AcceptanceBucket> | AcceptanceBucket,
  register: RegisterTest,
  skips: AcceptanceSkips = {},
): void {
  const check = (what: string, run: (bucket: Bucket) => Promise<void>) =>
    register(`${label} bucket: ${what}`, async () => {
      const { bucket, close } = await open();
      try {
        await run(bucket);
      } finally {
        await bucket.close();
        await close?.();
      }
    });

  check("a missing object is told by its kind, and named", async (bucket) => {
    const calls: [string, () => Promise<unknown>][] = [
      ["get", () => bucket.get("no/such")],
      ["getStream", () => bucket.getStream("no/such")],
      ["getRange", () => bucket.getRange("no/such", 0, 1)],
      ["attributes", () => bucket.attributes("no/such")],
    ];
    for (const [what, call] of calls) {
      await assert.rejects(call, (error: unknown) => {
        assert.equal(errorKind(error), "not_found", what);
        assert.match((error as Error).message, /no\/such/, what);
        return true;
      });
    }
    assert.equal(await bucket.exists("no/such"), false);
  });

  check("names that could leave it are refused by every call", async (bucket) => {
    await bucket.upload("a/b", text("kept"));
    for (const name of REFUSED_NAMES) {
      const calls: (() => Promise<unknown>)[] = [
        () => bucket.get(name),
        () => bucket.getStream(name),
        () => bucket.getRange(name, 0, 1),
        () => bucket.exists(name),
        () => bucket.attributes(name),
        () => bucket.upload(name, text("x")),
        () => bucket.delete(name),
      ];
      for (const call of calls) {
        await assert.rejects(call, (e: unknown) => errorKind(e) === "bad_data", `name "${name}"`);
      }
      if (name === "" || name === "/" || name === "a/") continue; // These name a listing.
      await assert.rejects(
        () => list(bucket, name),
        (e: unknown) => errorKind(e) === "bad_data",
        `listing "${name}"`,
      );
    }
    assert.equal(await readText(bucket, "a/b"), "kept");
  });

  check("get gives what was uploaded, empty and large too", async (bucket) => {
    const large = pattern(3_000_001);
    await bucket.upload("dir/large", large);
    assert.deepEqual(await bucket.get("dir/large"), large);
    assert.deepEqual(await readAll(await bucket.getStream("dir/large")), large);
    assert.equal((await bucket.attributes("dir/large")).size, large.length);
    if (skips.emptyObjects !== undefined) return;
    await bucket.upload("dir/empty", new Uint8Array(0));
    assert.deepEqual(await bucket.get("dir/empty"), new Uint8Array(0));
    assert.deepEqual(await readAll(await bucket.getStream("dir/empty")), new Uint8Array(0));
    assert.equal((await bucket.attributes("dir/empty")).size, 0);
    assert.deepEqual(await bucket.getRange("dir/empty", 0, 10), new Uint8Array(0));
  });

  check("what get gives belongs to the caller", async (bucket) => {
    const body = text("unchanged");
    await bucket.upload("x", body);
    body.fill(0);
    (await bucket.get("x")).fill(1);
    (await bucket.getRange("x", 0, 4)).fill(2);
    for await (const piece of await bucket.getStream("x")) piece.fill(3);
    assert.equal(await readText(bucket, "x"), "unchanged");
  });

  check("getRange reads inside, to the end and past it", async (bucket) => {
    await bucket.upload("o", text("0123456789"));
    const rows: [number, number, string][] = [
      [0, 10, "0123456789"],
      [0, 0, ""],
      [3, 4, "3456"],
      [9, 1, "9"],
      [8, 100, "89"],
      [10, 5, ""],
      [1000, 5, ""],
      [4, -1, "456789"],
      [10, -1, ""],
      [2, Number.MAX_SAFE_INTEGER - 2, "23456789"],
    ];
    for (const [offset, length, expected] of rows) {
      const bytes = await bucket.getRange("o", offset, length);
      assert.equal(decode(bytes), expected, `[${offset}, ${length}]`);
    }
    for (const [offset, length] of [[-1, 1], [0, -2], [0.5, 1], [NaN, 1]] as const) {
      await assert.rejects(
        () => bucket.getRange("o", offset, length),
        (e: unknown) => errorKind(e) === "bad_data",
      );
    }
  });

  check("getRange into given memory gives the same bytes", async (bucket) => {
    await bucket.upload("o", text("0123456789"));
    for (const room of [0, 3, 4, 100]) {
      const into = new Uint8Array(room).fill(0x78);
      const bytes = await bucket.getRange("o", 3, 4, { into });
      assert.equal(decode(bytes), "3456", `room for ${room}`);
      assert.equal(decode(await bucket.getRange("o", 8, 100, { into })), "89");
      assert.equal(decode(await bucket.getRange("o", 20, 5, { into })), "");
    }
  });

  check("upload overwrites, from bytes and from a stream", async (bucket) => {
    await bucket.upload("dir/o", text("first, which is longer"));
    await bucket.upload("dir/o", text("second"));
    assert.equal(await readText(bucket, "dir/o"), "second");
    const third = pattern(700_000);
    await bucket.upload("dir/o", { stream: streamOf(third, 10_000), size: third.length });
    assert.deepEqual(await bucket.get("dir/o"), third);
    assert.deepEqual(await list(bucket, "dir"), ["dir/o"]);
  });

  check("a body so large that it goes in parts arrives whole", async (bucket) => {
    const body = pattern(17 * 1024 * 1024 + 3);
    await bucket.upload("dir/bytes", body);
    assert.ok(Buffer.compare(await bucket.get("dir/bytes"), body) === 0);
    await bucket.upload("dir/stream", { stream: streamOf(body, 1_000_003), size: body.length });
    let at = 0;
    for await (const piece of await bucket.getStream("dir/stream")) {
      assert.ok(Buffer.compare(piece, body.subarray(at, at + piece.length)) === 0, `at ${at}`);
      at += piece.length;
    }
    assert.equal(at, body.length);
    // One byte too many: nothing of it may stay.
    const { length } = body;
    await assert.rejects(() =>
      bucket.upload("dir/wrong", { stream: streamOf(body, 500_000), size: length - 1 })
    );
    assert.equal(await bucket.exists("dir/wrong"), false);
  });

  check("a stream of another length than announced leaves nothing behind", async (bucket) => {
    await bucket.upload("kept", text("old"));
    for (const size of [99, 101]) {
      for (const name of ["kept", "new/o"]) {
        await assert.rejects(
          () => bucket.upload(name, { stream: streamOf(pattern(100), 30), size }),
          (e: unknown) => e instanceof MnemeError && e.kind === "bad_data",
        );
      }
    }
    assert.equal(await readText(bucket, "kept"), "old");
    assert.deepEqual(await list(bucket, "", { recursive: true }), ["kept"]);
  });

  check("a stream that fails leaves nothing behind", async (bucket) => {
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(pattern(10));
        controller.error(new Error("the source broke"));
      },
    });
    await assert.rejects(() => bucket.upload("dir/o", { stream, size: 100 }));
    assert.equal(await bucket.exists("dir/o"), false);
    assert.deepEqual(await list(bucket, "", { recursive: true }), []);
  });

  check("listings are sorted by bytes and show folders once", async (bucket) => {
    const names = [
      "a/b/c",
      "a/b/d",
      "a/e",
      "a-b",
      "a.b",
      "a0",
      "aa/x",
      "\uff5e/x",
      "\u{1f600}/x",
      "z",
    ];
    for (const name of names) await bucket.upload(name, text(name));
    const top = ["a-b", "a.b", "a/", "a0", "aa/", "z", "\uff5e/", "\u{1f600}/"];
    assert.deepEqual(await list(bucket, ""), top);
    assert.deepEqual(await list(bucket, "/"), top);
    assert.deepEqual(await list(bucket, "a"), ["a/b/", "a/e"]);
    assert.deepEqual(await list(bucket, "a/"), ["a/b/", "a/e"]);
    assert.deepEqual(await list(bucket, "a/b"), ["a/b/c", "a/b/d"]);
    assert.deepEqual(await list(bucket, "a/b/c"), []);
    assert.deepEqual(await list(bucket, "missing"), []);
    const all = names.toSorted(compareUtf8);
    assert.deepEqual(await list(bucket, "", { recursive: true }), all);
    assert.deepEqual(await list(bucket, "a", { recursive: true }), ["a/b/c", "a/b/d", "a/e"]);
  });

  check("a folder is no object", async (bucket) => {
    await bucket.upload("a/b", text("x"));
    assert.equal(await bucket.exists("a"), false);
    for (
      const call of [
        () => bucket.get("a"),
        () => bucket.getRange("a", 0, 1),
        () => bucket.getStream("a"),
        () => bucket.attributes("a"),
      ]
    ) await assert.rejects(call, (e: unknown) => errorKind(e) === "not_found");
    await bucket.delete("a").catch(() => {
      // A provider may refuse; what counts is that nothing below is gone.
    });
    assert.equal(await readText(bucket, "a/b"), "x");
  });

  check("delete removes the object and its empty folders from listings", async (bucket) => {
    await bucket.upload("a/b/c", text("x"));
    await bucket.upload("a/d", text("y"));
    await bucket.delete("a/b/c");
    assert.equal(await bucket.exists("a/b/c"), false);
    assert.deepEqual(await list(bucket, "a"), ["a/d"]);
    await bucket.delete("a/d");
    assert.deepEqual(await list(bucket, ""), []);
    await bucket.delete("a/d").catch((error) => assert.equal(errorKind(error), "not_found"));
    await bucket.upload("a/b/c", text("again"));
    assert.equal(await readText(bucket, "a/b/c"), "again");
  });

  check("attributes tell size and time", async (bucket) => {
    const before = Date.now();
    await bucket.upload("o", text("12345"));
    const { size, lastModified } = await bucket.attributes("o");
    assert.equal(size, 5);
    // Providers keep whole seconds, and clocks of servers differ a little.
    assert.ok(Math.abs(lastModified - before) < 60_000, `lastModified ${lastModified}`);
  });

  if (skips.listedAttributes === undefined) {
    check("listings tell attributes when asked", async (bucket) => {
      await bucket.upload("d/o", text("12345"));
      const [entry] = await entries(bucket, "d", { attributes: true });
      assert.deepEqual(entry, { name: "d/o", attributes: await bucket.attributes("d/o") });
      const [deep] = await entries(bucket, "", { attributes: true, recursive: true });
      assert.deepEqual(deep, entry);
    });
  }

  if (skips.conditionalUploads === undefined) {
    check("of uploads that must not overwrite one succeeds", async (bucket) => {
      const writers = Array.from({ length: 8 }, (_, i) => `writer ${i}`);
      const ends = await Promise.allSettled(
        writers.map((writer) => bucket.upload("d/mark", text(writer), { ifAbsent: true })),
      );
      const winners = writers.filter((_, i) => ends[i]!.status === "fulfilled");
      assert.equal(winners.length, 1, JSON.stringify(winners));
      assert.equal(await readText(bucket, "d/mark"), winners[0]);
      for (const end of ends) {
        if (end.status === "rejected") assert.equal(errorKind(end.reason), "conflict");
      }
      assert.deepEqual(await list(bucket, "", { recursive: true }), ["d/mark"]);
    });
  }

  check("names keep their characters", async (bucket) => {
    const names = ["a b", "c+d", "e%2Ff", "g%h", "i&j=k?l#m", "ñ/\u{1f600} x", "'q'(r)*!~", 'd"<>'];
    for (const name of names) await bucket.upload(name, text(name));
    for (const name of names) assert.equal(await readText(bucket, name), name);
    const listed = await list(bucket, "", { recursive: true });
    assert.deepEqual(listed.toSorted(), names.toSorted());
    for (const name of names) await bucket.delete(name);
    assert.deepEqual(await list(bucket, "", { recursive: true }), []);
  });

  check("an aborted signal stops every call and changes nothing", async (bucket) => {
    await bucket.upload("o", text("old"));
    const signal = AbortSignal.abort();
    const calls: (() => Promise<unknown>)[] = [
      () => bucket.get("o", { signal }),
      () => bucket.getStream("o", { signal }),
      () => bucket.getRange("o", 0, 1, { signal }),
      () => bucket.exists("o", { signal }),
      () => bucket.attributes("o", { signal }),
      () => bucket.upload("o", text("new"), { signal }),
      () => bucket.delete("o", { signal }),
      () => list(bucket, "", { signal }),
    ];
    for (const call of calls) {
      await assert.rejects(call, (e: unknown) => errorKind(e) === "canceled");
    }
    assert.equal(await readText(bucket, "o"), "old");
  });

  if (skips.atomicOverwrites === undefined) {
    check("readers see the old object or the new one, never a mix", async (bucket) => {
      const bodies = [new Uint8Array(200_000).fill(1), new Uint8Array(300_000).fill(2)];
      await bucket.upload("o", bodies[0]!);
      let writing = true;
      const writer = (async () => {
        for (let i = 1; i <= 20; i++) await bucket.upload("o", bodies[i % 2]!);
        writing = false;
      })();
      try {
        while (writing) {
          const bytes = await bucket.get("o");
          const expected = bodies[bytes[0]! - 1]!;
          assert.ok(Buffer.compare(bytes, expected) === 0, `a mix of ${bytes.length} bytes`);
          await Promise.resolve();
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
      } finally {
        await writer;
      }
    });
  }

  check("many calls at once do not disturb each other", async (bucket) => {
    const names = Array.from({ length: 40 }, (_, i) => `d${i % 4}/o${i}`);
    await Promise.all(names.map((name) => bucket.upload(name, text(name))));
    const texts = await Promise.all(names.map((name) => readText(bucket, name)));
    assert.deepEqual(texts, names);
    await Promise.all(names.map((name) => bucket.delete(name)));
    assert.deepEqual(await list(bucket, "", { recursive: true }), []);
  });
}

async function entries(bucket: Bucket, dir: string, options?: IterOptions): Promise<BucketEntry[]> {
  return await Array.fromAsync(bucket.iter(dir, options));
}
async function list(bucket: Bucket, dir: string, options?: IterOptions): Promise<string[]> {
  return (await entries(bucket, dir, options)).map((entry) => entry.name);
}
async function readText(bucket: Bucket, name: string): Promise<string> {
  return decode(await bucket.get(name));
}
function text(s: string): Uint8Array {
  return new TextEncoder().encode(s);
}
function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
function pattern(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff;
  return bytes;
}
