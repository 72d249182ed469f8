import { strict as assert } from "node:assert";
import { goldenBlocks } from "../tsdb/testing/golden.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import {
  type Block,
  type BlockMeta,
  type Files,
  openBlock,
  parseBlockMeta,
  readWholeFile,
  resolutionOf,
  SystemFiles,
} from "../tsdb/mod.ts";
import { externalLabelsOf } from "../tsdb/mod.ts";
import { formatLabels, labelsKey } from "../model/mod.ts";
import { downsampleBlock } from "./mod.ts";

const ULID = "01HF7YAT00E328S0K6HPCEAA7A";
const system = new SystemFiles();

/** Files of which only those below `written/` are in memory. */
class OverlayFiles extends MemoryFiles {
  override open(path: string) {
    return path.startsWith("written") ? super.open(path) : system.open(path);
  }
  override list(path: string) {
    return path.startsWith("written") ? super.list(path) : system.list(path);
  }
  override stat(path: string) {
    return path.startsWith("written") ? super.stat(path) : system.stat(path);
  }
}

function assertSameBlock(actual: Block, expected: Block, name: string): void {
  const a = actual.select([]);
  const b = expected.select([]);
  assert.deepEqual(a.labels, b.labels, name);
  for (let i = 0; i < b.length; i++) {
    const x = a.readChunks(i);
    const y = b.readChunks(i);
    const series = `${name} ${formatLabels(b.labels[i]!)}`;
    assert.equal(x.length, y.length, series);
    for (let k = 0; k < y.length; k++) {
      assert.deepEqual(
        [x[k]!.minTime, x[k]!.maxTime, x[k]!.chunk.encoding],
        [y[k]!.minTime, y[k]!.maxTime, y[k]!.chunk.encoding],
        series,
      );
      assert.equal(
        Buffer.compare(x[k]!.chunk.data, y[k]!.chunk.data),
        0,
        `${series} chunk ${k} of ${y.length}`,
      );
    }
  }
  const { meta } = expected;
  assert.deepEqual(actual.meta.stats, meta.stats, name);
  assert.deepEqual(actual.meta.compaction, meta.compaction, name);
  assert.deepEqual(
    [actual.meta.minTime, actual.meta.maxTime, actual.meta.thanos!.labels],
    [meta.minTime, meta.maxTime, meta.thanos!.labels],
  );
  assert.equal(actual.meta.thanos!.source, meta.thanos!.source);
  assert.deepEqual(actual.meta.thanos!.segmentFiles, meta.thanos!.segmentFiles);
}

function metaOf(files: Files, directory: string): BlockMeta {
  return parseBlockMeta(readWholeFile(files, `${directory}/meta.json`), directory);
}

for (const bucket of ["bucket-compacted", "bucket-compacted-dedup"]) {
  for (const resolution of [300_000, 3_600_000]) {
    Deno.test(`downsampleBlock() makes the chunks of Thanos: ${bucket} at ${resolution} ms`, async () => {
      const blocks = goldenBlocks([bucket]).map((d) => ({ d, meta: metaOf(system, d) }));
      const from = resolution === 300_000 ? 0 : 300_000;
      let compared = 0;
      for (const target of blocks.filter((b) => resolutionOf(b.meta) === resolution)) {
        const source = blocks.find(({ meta }) =>
          resolutionOf(meta) === from && meta.minTime === target.meta.minTime &&
          meta.maxTime === target.meta.maxTime &&
          labelsKey(externalLabelsOf(meta)) === labelsKey(externalLabelsOf(target.meta))
        )!;
        const files = new OverlayFiles();
        files.mkdir("written");
        await downsampleBlock({
          files,
          source: source.d,
          directory: "written",
          ulid: ULID,
          resolution,
        });
        const made = openBlock(files, `written/${ULID}`);
        const wanted = openBlock(system, target.d);
        assertSameBlock(made, wanted, target.d);
        for (
          const name of [
            "index",
            ...wanted.meta.thanos!.segmentFiles.map((f) => `chunks/${f}`),
          ]
        ) {
          assert.equal(
            Buffer.compare(
              readWholeFile(files, `written/${ULID}/${name}`),
              readWholeFile(system, `${target.d}/${name}`),
            ),
            0,
            `${target.d}/${name}`,
          );
        }
        compared++;
        wanted.close();
        made.close();
      }
      if (blocks.length > 0) assert.ok(compared > 0);
    });
  }
}
