/** Blocks exchanged with real promtool (Debian package `prometheus`); skipped when it is absent. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dumpValue } from "../base/testing/dump.ts";
import { formatLabels, makeMatcher, SampleBatch } from "../model/mod.ts";
import { openBlock, SystemFiles } from "./mod.ts";
import { SMALL_BLOCK, smallSeries, writeSmallBlock } from "./testing/small_block.ts";

function promtool(...args: string[]): string | undefined {
  const { status, stdout, stderr, error } = spawnSync("promtool", args, {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (error !== undefined) {
    console.log(`skipped: promtool does not run here (${error.message})`);
    return undefined;
  }
  assert.equal(status, 0, `promtool ${args.join(" ")}: ${stderr}`);
  return stdout;
}

function withDirectory(test: (directory: string) => void): void {
  const directory = mkdtempSync(`${tmpdir()}/mneme-promtool-`);
  try {
    mkdirSync(`${directory}/wal`);
    test(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Lines `labels value time` as promtool prints them, with one spelling of numbers. */
function dumpLines(batch: SampleBatch, labels: string): string[] {
  const lines: string[] = [];
  for (let i = 0; i < batch.length; i++) {
    const value = dumpValue(batch.v, i).replace(/^(stale|NaN.*)$/, "NaN");
    lines.push(`${labels} ${value} ${batch.t[i]}`);
  }
  return lines;
}
function normalized(text: string): string[] {
  return text.trim().split("\n").map((line) => {
    const m = /^(.*) (\S+) (\d+)$/.exec(line)!;
    const value = Number(m[2]!.replace("Inf", "Infinity"));
    return `${m[1]} ${dumpValue(Float64Array.of(value), 0).replace(/^NaN.*/, "NaN")} ${m[3]}`;
  });
}

Deno.test("promtool lists, analyzes and dumps a block of ours, sample for sample", () => {
  withDirectory((directory) => {
    const series = smallSeries(12, 300);
    writeSmallBlock(new SystemFiles(), directory, series, { chunkSize: 120, segmentSize: 2000 });
    const list = promtool("tsdb", "list", directory);
    if (list === undefined) return;
    assert.match(list, new RegExp(`${SMALL_BLOCK} .* 3600 +36 +12`));
    const analysis = promtool("tsdb", "analyze", directory, SMALL_BLOCK)!;
    assert.match(analysis, /Series: 12\n/);
    assert.match(analysis, /Label names: 4\n/);
    assert.deepEqual(
      normalized(promtool("tsdb", "dump", directory)!),
      series.flatMap((s) => dumpLines(s.batch, formatLabels(s.labels))),
    );
    assert.deepEqual(
      normalized(promtool("tsdb", "dump", '--match={job=~"é|node", __name__!="up"}', directory)!),
      series.filter((s) => /job="(é|node)"/.test(formatLabels(s.labels)) && s.labels[1] !== "up")
        .flatMap((s) => dumpLines(s.batch, formatLabels(s.labels))),
    );
  });
});

Deno.test("a block that promtool makes is read as promtool reads it", () => {
  withDirectory((directory) => {
    const lines = ["# TYPE temp gauge"];
    for (let s = 0; s < 40; s++) {
      for (let i = 0; i < 200; i++) {
        const value = i % 50 === 7
          ? ["NaN", "+Inf", "-Inf", "-0"][s % 4]
          : ((s * 1.37 + i) / (1 + (i % 9))).toString();
        lines.push(
          `temp{host="h${s}",place="${s % 2 ? "ü" : "\u{1F600}"}"} ${value} ${17e8 + i * 15}`,
        );
      }
    }
    lines.push("# EOF", "");
    writeFileSync(`${directory}/in.txt`, lines.join("\n"));
    const made = promtool(
      "tsdb",
      "create-blocks-from",
      "openmetrics",
      `${directory}/in.txt`,
      directory,
    );
    if (made === undefined) return;
    const files = new SystemFiles();
    const blocks = readdirSync(directory).filter((name) => name.length === 26).sort();
    assert(blocks.length > 0);
    const got = new Map<string, string[]>();
    let series = 0;
    for (const name of blocks) {
      const block = openBlock(files, `${directory}/${name}`);
      const found = block.select([makeMatcher("=", "__name__", "temp")]);
      assert.equal(found.length, block.meta.stats.numSeries);
      series += found.length;
      const batch = new SampleBatch();
      for (let i = 0; i < found.length; i++) {
        found.read(i, batch);
        const labels = formatLabels(found.labels[i]!);
        got.set(labels, [...got.get(labels) ?? [], ...dumpLines(batch, labels)]);
      }
      block.close();
    }
    assert(series >= 40);
    const expected = normalized(promtool("tsdb", "dump", directory)!);
    assert.equal(expected.length, 40 * 200);
    assert.deepEqual([...got.values()].flat().sort(), expected.sort());
  });
});
