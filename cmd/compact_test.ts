/** What the compactor's command line refuses, and what one run over a small bucket does. */
import assert from "node:assert/strict";
import { blocksOf, putTwoHours, shapeOf } from "../lib/compact/testing/blocks.ts";
import { FilesystemBucket } from "../lib/objstore/mod.ts";
import type { ProgramHost } from "../lib/runtime/mod.ts";
import { runMneme } from "./main.ts";

async function run(...args: string[]): Promise<{ code: number; err: string }> {
  const err: string[] = [];
  const host: ProgramHost = {
    stdout() {},
    stderr: (text) => void err.push(text),
    readText: (path) => Deno.readTextFileSync(path),
    env: () => undefined,
  };
  const code = await runMneme(["compact", "--http-address=127.0.0.1:0", ...args], host);
  return { code, err: err.join("\n") };
}

function bucketFlag(directory: string): string {
  return `--objstore.config=${JSON.stringify({ type: "FILESYSTEM", config: { directory } })}`;
}

Deno.test("compact refuses flags that contradict each other, before it touches anything", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-compact-" });
  try {
    const common = [bucketFlag(`${folder}/bucket`), `--data-dir=${folder}/data`];
    const rows: [string[], RegExp][] = [
      [["--block-discovery-strategy=other"], /block-discovery-strategy/],
      [["--debug.max-compaction-level=5"], /--debug\.max-compaction-level must be 0 to 4/],
      [["--deduplication.func=penalty"], /needs at least one replica label/],
      [["--compact.concurrency=0"], /--compact\.concurrency must be at least 1, got 0/],
      [["--block-files-concurrency=0"], /--block-files-concurrency must be at least 1/],
      [["--retention.resolution-raw=39h"], /raw resolution must be higher than .*40h0m0s/],
      [["--retention.resolution-5m=9d"], /5m resolution must be higher than .*240h0m0s/],
      [["--min-time=-1d", "--max-time=-2d"], /--min-time '-1d' can't be greater than --max-time/],
      [
        ["--selector.relabel-config=- {action: labeldrop, regex: a}"],
        /labeldrop.* is not supported here/,
      ],
    ];
    for (const [args, expected] of rows) {
      const { code, err } = await run(...common, ...args);
      assert(code === 1 || code === 2, args.join());
      assert.match(err, expected);
    }
    await assert.rejects(() => Deno.stat(`${folder}/data`), Deno.errors.NotFound);
    // Short retention is fine where nothing is downsampled.
    const fine = await run(...common, "--retention.resolution-raw=1h", "--downsampling.disable");
    assert.equal(fine.code, 0, fine.err);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("compact without --wait does one iteration; exit code 1 tells what is set aside", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-compact-" });
  try {
    const bucket = new FilesystemBucket(`${folder}/bucket`);
    await putTwoHours(bucket, [0, 2, 4, 6, 8]);
    const args = [
      bucketFlag(`${folder}/bucket`),
      `--data-dir=${folder}/data`,
      "--consistency-delay=0s",
      "--hash-func=SHA256",
    ];
    const first = await run(...args);
    assert.equal(first.code, 0, first.err);
    // The plan comes before the work, with what it will take.
    assert.match(
      first.err,
      /msg="compaction plan" .*compactions=1 blocks=4 read="[^"]+" write="at most [^"]+" disk="[^"]+" memory="about [^"]+"/,
    );
    assert(first.err.indexOf('"compaction plan"') < first.err.indexOf('"compaction starts"'));
    assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "8-10 L1"]);
    const made = [...(await blocksOf(bucket)).values()].find((b) => b.meta.compaction.level === 2)!;
    assert.equal(made.meta.thanos!.files[0]!.hash!.func, "SHA256");
    // An overlap of another group: told, and the exit code says so.
    await putTwoHours(bucket, [0, 1], { labels: { cluster: "bad" } });
    await putTwoHours(bucket, [0, 1, 4, 6], { labels: { cluster: "worse" } });
    const second = await run(...args);
    assert.equal(second.code, 1);
    assert.match(second.err, /is set aside \(overlap\): pre compaction overlap check/);
    // What holds up most comes first.
    const ranked = second.err.split("\n").filter((line) => line.includes("rank="))
      .map((line) => [/rank=(\d)/.exec(line)![1], /cluster=\\"(\w+)\\"/.exec(line)![1]].join(" "));
    assert.deepEqual(ranked, ["1 worse", "2 bad"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
