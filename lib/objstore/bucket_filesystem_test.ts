import { strict as assert } from "node:assert";
import { errorKind } from "../base/mod.ts";
import { bucketAcceptance } from "./acceptance.ts";
import { FilesystemBucket } from "./bucket_filesystem.ts";
import { streamOf } from "./body.ts";
import type { Bucket, IterOptions } from "./bucket.ts";

bucketAcceptance(
  "filesystem",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "mneme-bucket-" });
    return {
      bucket: new FilesystemBucket(folder),
      close: () => Deno.remove(folder, { recursive: true }),
    };
  },
  Deno.test,
);

/** A bucket in `<folder>/bucket`, so that there is an outside to protect. */
async function withBucket(
  run: (bucket: FilesystemBucket, root: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-bucket-" });
  const bucket = new FilesystemBucket(`${folder}/bucket`);
  try {
    await Deno.mkdir(`${folder}/bucket`);
    await run(bucket, `${folder}/bucket`, folder);
  } finally {
    await bucket.close();
    await Deno.remove(folder, { recursive: true });
  }
}
const bytes = (text: string) => new TextEncoder().encode(text);
async function list(bucket: Bucket, dir: string, options?: IterOptions): Promise<string[]> {
  return (await Array.fromAsync(bucket.iter(dir, options))).map((entry) => entry.name);
}
/** Every path below a folder, hidden ones too. */
async function tree(folder: string, prefix = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    found.push(prefix + entry.name);
    if (entry.isDirectory) {
      found.push(...await tree(`${folder}/${entry.name}`, `${prefix}${entry.name}/`));
    }
  }
  return found.sort();
}

Deno.test("FilesystemBucket: a folder that does not exist yet is an empty bucket", async () => {
  await withBucket(async (_, __, folder) => {
    const bucket = new FilesystemBucket(`${folder}/later`);
    assert.deepEqual(await list(bucket, ""), []);
    assert.equal(await bucket.exists("x"), false);
    await bucket.upload("a/x", bytes("1"));
    assert.deepEqual(await list(bucket, ""), ["a/"]);
  });
});

Deno.test("FilesystemBucket: an upload in progress is invisible, also to deletes", async () => {
  await withBucket(async (bucket, root) => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => release = resolve);
    let started = () => {};
    const begun = new Promise<void>((resolve) => started = resolve);
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        controller.enqueue(bytes("half"));
        started();
        await gate;
        controller.enqueue(bytes("full"));
        controller.close();
      },
    }, { highWaterMark: 0 });
    const upload = bucket.upload("block/chunks/000001", { stream, size: 8 });
    await begun;
    assert.equal((await tree(root)).filter((name) => name.includes(".mneme-upload-")).length, 1);
    assert.deepEqual(await list(bucket, ""), []);
    assert.deepEqual(await list(bucket, "block/chunks"), []);
    assert.deepEqual(await list(bucket, "", { recursive: true }), []);
    assert.equal(await bucket.exists("block/chunks/000001"), false);
    await bucket.upload("block/chunks/000002", bytes("x"));
    await bucket.delete("block/chunks/000002");
    release();
    await upload;
    assert.deepEqual(await list(bucket, "", { recursive: true }), ["block/chunks/000001"]);
    assert.deepEqual(await tree(root), ["block", "block/chunks", "block/chunks/000001"]);
  });
});

Deno.test("FilesystemBucket: an aborted upload leaves no file behind", async () => {
  await withBucket(async (bucket, root) => {
    const abort = new AbortController();
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(bytes("0123456789"));
        abort.abort();
      },
    }, { highWaterMark: 0 });
    await assert.rejects(
      () => bucket.upload("a/o", { stream, size: 100 }, { signal: abort.signal }),
      (e: unknown) => errorKind(e) === "canceled",
    );
    assert.deepEqual(await tree(root), ["a"]);
  });
});

Deno.test("FilesystemBucket: temporaries of a dead process are hidden and swept in time", async () => {
  await withBucket(async (bucket, root) => {
    await bucket.upload("a/o", bytes("x"));
    await Deno.writeTextFile(`${root}/a/.mneme-upload-old`, "torn");
    assert.deepEqual(await list(bucket, "a"), ["a/o"]);
    await bucket.delete("a/o");
    assert.deepEqual(await list(bucket, ""), []);
    assert.deepEqual(await tree(root), ["a", "a/.mneme-upload-old"]);
    const past = new Date(Date.now() - 2 * 86_400_000);
    await Deno.utime(`${root}/a/.mneme-upload-old`, past, past);
    await bucket.upload("a/p", bytes("x"));
    await bucket.delete("a/p");
    assert.deepEqual(await tree(root), []);
  });
});

Deno.test("FilesystemBucket: names of temporaries cannot be objects", async () => {
  await withBucket(async (bucket) => {
    const name = "a/.mneme-upload-1";
    for (
      const call of [
        () => bucket.get(name),
        () => bucket.exists(name),
        () => bucket.upload(name, bytes("x")),
        () => bucket.delete(name),
      ]
    ) await assert.rejects(call, (e: unknown) => errorKind(e) === "bad_data");
  });
});

Deno.test("FilesystemBucket: links that lead out are not followed", async () => {
  await withBucket(async (bucket, root, folder) => {
    await Deno.mkdir(`${folder}/secret`);
    await Deno.writeTextFile(`${folder}/secret/key`, "hidden");
    await Deno.symlink(`${folder}/secret/key`, `${root}/file`);
    await Deno.symlink(`${folder}/secret`, `${root}/dir`);
    await Deno.symlink("..", `${root}/up`);
    await Deno.symlink("loop", `${root}/loop`);
    await Deno.symlink("nowhere", `${root}/dangling`);
    assert.deepEqual(await list(bucket, ""), []);
    assert.deepEqual(await list(bucket, "dir"), []);
    assert.deepEqual(await list(bucket, "", { recursive: true }), []);
    for (const name of ["file", "dir/key", "up/secret/key", "loop", "dangling"]) {
      assert.equal(await bucket.exists(name), false, name);
      await assert.rejects(() => bucket.get(name), (e: unknown) => errorKind(e) === "not_found");
      await assert.rejects(
        () => bucket.getRange(name, 0, 1),
        (e: unknown) => errorKind(e) === "not_found",
      );
      await bucket.delete(name);
    }
    for (const name of ["dir/new", "dir/deeper/new", "dir/a/b/c"]) {
      await assert.rejects(
        () => bucket.upload(name, bytes("x")),
        (e: unknown) => errorKind(e) === "bad_data",
      );
    }
    await assert.rejects(
      () => bucket.upload("up/new", { stream: streamOf(bytes("x")), size: 1 }),
      (e: unknown) => errorKind(e) === "bad_data",
    );
    assert.deepEqual(await tree(folder), [
      "bucket",
      "bucket/dangling",
      "bucket/dir",
      "bucket/file",
      "bucket/loop",
      "bucket/up",
      "secret",
      "secret/key",
    ]);
    assert.equal(await Deno.readTextFile(`${folder}/secret/key`), "hidden");
  });
});

Deno.test("FilesystemBucket: an upload over a link replaces the link", async () => {
  await withBucket(async (bucket, root, folder) => {
    await Deno.writeTextFile(`${folder}/target`, "outside");
    await Deno.symlink(`${folder}/target`, `${root}/o`);
    await bucket.upload("o", bytes("inside"));
    assert.equal(await Deno.readTextFile(`${folder}/target`), "outside");
    assert.equal(await Deno.readTextFile(`${root}/o`), "inside");
    assert.equal((await Deno.lstat(`${root}/o`)).isSymlink, false);
  });
});

Deno.test("FilesystemBucket: links inside the folder serve files, not folders", async () => {
  await withBucket(async (bucket, root) => {
    await bucket.upload("a/o", bytes("x"));
    await Deno.symlink("a/o", `${root}/link`);
    await Deno.symlink("a", `${root}/alias`);
    assert.deepEqual(await list(bucket, "", { recursive: true }), ["a/o", "link"]);
    assert.deepEqual(await bucket.get("link"), bytes("x"));
    await bucket.delete("link");
    assert.deepEqual(await list(bucket, "", { recursive: true }), ["a/o"]);
  });
});

Deno.test("FilesystemBucket: the root may be a link itself", async () => {
  await withBucket(async (bucket, root, folder) => {
    await bucket.upload("a/o", bytes("x"));
    await Deno.symlink(root, `${folder}/entry`);
    const linked = new FilesystemBucket(`${folder}/entry`);
    assert.deepEqual(await list(linked, "a"), ["a/o"]);
    await linked.upload("a/p", bytes("y"));
    await linked.delete("a/o");
    await linked.delete("a/p");
    assert.deepEqual(await tree(folder), ["bucket", "entry"]);
  });
});

Deno.test("FilesystemBucket: pipes and empty folders are no objects", async () => {
  await withBucket(async (bucket, root) => {
    await Deno.mkdir(`${root}/empty/deeper`, { recursive: true });
    const { success } = await new Deno.Command("mkfifo", { args: [`${root}/pipe`] }).output();
    assert.deepEqual(await list(bucket, ""), []);
    if (success) {
      assert.equal(await bucket.exists("pipe"), false);
      await assert.rejects(() => bucket.get("pipe"), (e: unknown) => errorKind(e) === "not_found");
    }
  });
});

Deno.test("FilesystemBucket: a part of a name that is a file is not found", async () => {
  await withBucket(async (bucket) => {
    await bucket.upload("a", bytes("x"));
    assert.equal(await bucket.exists("a/b"), false);
    await assert.rejects(() => bucket.get("a/b"), (e: unknown) => errorKind(e) === "not_found");
    await assert.rejects(() => bucket.upload("a/b", bytes("y")), (e: unknown) => {
      assert.match((e as Error).message, /^Cannot upload object a\/b: /);
      return true;
    });
    await bucket.delete("a/b");
    assert.deepEqual(await bucket.get("a"), bytes("x"));
  });
});

Deno.test("FilesystemBucket: a stream that is cancelled gives its file back", async () => {
  await withBucket(async (bucket) => {
    await bucket.upload("o", new Uint8Array(1_000_000));
    for (let i = 0; i < 2000; i++) {
      const stream = await bucket.getStream("o");
      await stream.cancel();
    }
  });
});

Deno.test("FilesystemBucket: range reads follow an object that is replaced", async () => {
  await withBucket(async (bucket, root) => {
    await bucket.upload("o", bytes("first"));
    assert.deepEqual(await bucket.getRange("o", 0, 5), bytes("first"));
    await bucket.upload("o", bytes("other"));
    assert.deepEqual(await bucket.getRange("o", 0, 5), bytes("other"));
    await bucket.delete("o");
    await assert.rejects(
      () => bucket.getRange("o", 0, 5),
      (e: unknown) => errorKind(e) === "not_found",
    );
    // A second bucket on the folder, as in another process, finds what is there now.
    await bucket.upload("o", bytes("again"));
    const second = new FilesystemBucket(root);
    assert.deepEqual(await second.getRange("o", 0, 5), bytes("again"));
    await second.close();
    await bucket.close();
  });
});

Deno.test("FilesystemBucket: range reads of many objects keep few files open", async () => {
  const openFiles = () => [...Deno.readDirSync("/proc/self/fd")].length;
  if (Deno.build.os !== "linux") return;
  await withBucket(async (bucket, root) => {
    const names = Array.from({ length: 700 }, (_, i) => `o${i}`);
    for (const name of names) await Deno.writeTextFile(`${root}/${name}`, name);
    const before = openFiles();
    for (const name of names) assert.deepEqual(await bucket.getRange(name, 0, 100), bytes(name));
    assert.ok(openFiles() - before <= 520, `${openFiles() - before} files are open`);
    for (const name of names) {
      assert.deepEqual(await bucket.getRange(name, 1, 1), bytes("" + name[1]));
    }
    await bucket.close();
    assert.ok(openFiles() - before < 10);
  });
});
