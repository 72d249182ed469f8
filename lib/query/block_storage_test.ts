import assert from "node:assert/strict";
import { bitsOf, SampleBatch } from "../model/mod.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import {
  SMALL_BLOCK,
  SMALL_BLOCK_START,
  smallSeries,
  writeSmallBlock,
} from "../tsdb/testing/small_block.ts";
import { BlockStorage } from "./block_storage.ts";

const OTHER = SMALL_BLOCK.slice(0, -1) + "B";

/** Times and bits of values. */
function contents({ t, v, length }: SampleBatch): number[][] {
  const bits = bitsOf(v);
  return Array.from({ length }, (_, i) => [t[i]!, bits[2 * i]!, bits[2 * i + 1]!]);
}

Deno.test("BlockStorage joins blocks that follow each other, and those that overlap", async () => {
  const whole = smallSeries();
  for (const [end, start] of [[25, 25], [30, 20], [50, 0], [50, 20]] as const) {
    const files = new MemoryFiles();
    for (const [ulid, from, to] of [[SMALL_BLOCK, 0, end], [OTHER, start, 50]] as const) {
      const part = whole.map(({ labels, batch }) => {
        const copy = new SampleBatch();
        copy.appendRange(batch, from, to);
        return { labels, batch: copy };
      });
      writeSmallBlock(files, "data", part, { ulid, chunkSize: 7 });
    }
    const storage = BlockStorage.open("data", files);
    for (
      const range of [
        [SMALL_BLOCK_START, SMALL_BLOCK_START + 1e6],
        [SMALL_BLOCK_START + 22 * 15_000, SMALL_BLOCK_START + 27 * 15_000],
      ] as const
    ) {
      const [start, end] = range;
      const found = await storage.select(
        [],
        {
          start,
          end,
          step: 0,
          range: 0,
          func: "",
          grouping: [],
          by: false,
          queryStart: start,
          queryEnd: end,
        },
        new AbortController().signal,
      );
      assert.deepEqual(found.labels, whole.map((s) => s.labels));
      const batch = new SampleBatch();
      for (const [i, { batch: expected }] of whole.entries()) {
        found.read(i, batch);
        assert.deepEqual(
          contents(batch),
          contents(expected).filter(([t]) => t! >= start && t! <= end),
        );
      }
      found.close();
    }
    storage.close();
  }
});
