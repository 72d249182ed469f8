/**
 * Blocks on a local disk behind the engine's storage port: PromQL over block folders, without any
 * server.
 */
import { isUlid, throwIfAborted } from "../base/mod.ts";
import { mergeChain } from "../dedup/mod.ts";
import { compareLabels, type Labels, type Matcher, SampleBatch } from "../model/mod.ts";
import type { SelectedSeries, SelectHints, Storage } from "../promql/mod.ts";
import {
  type Block,
  type BlockSelection,
  type Files,
  openBlock,
  SystemFiles,
} from "../tsdb/mod.ts";

/** Storage over open raw blocks; owner of the blocks. */
export class BlockStorage implements Storage {
  readonly #blocks: readonly Block[];

  constructor(blocks: readonly Block[]) {
    this.#blocks = [...blocks].sort((a, b) => a.meta.minTime - b.meta.minTime);
  }

  /**
   * Opens all blocks in a folder (or the folder, when it is a block itself).
   *
   * Throws: not_found, CorruptionError.
   */
  static open(folder: string, files: Files = new SystemFiles()): BlockStorage {
    const path = folder.replace(/\/+$/, "");
    if (files.stat(`${path}/meta.json`) !== undefined) {
      return new BlockStorage([openBlock(files, path)]);
    }
    const names = files.list(path).filter((e) => e.isDirectory && isUlid(e.name));
    return new BlockStorage(names.map((e) => openBlock(files, `${path}/${e.name}`)));
  }

  // deno-lint-ignore require-await
  async select(
    matchers: readonly Matcher[],
    hints: SelectHints,
    signal: AbortSignal,
  ): Promise<SelectedSeries> {
    let merged = new MergedSelection([], []);
    for (const block of this.#blocks) {
      throwIfAborted(signal);
      const { minTime, maxTime } = block.meta;
      if (maxTime <= hints.start || minTime > hints.end) continue;
      merged = merged.with(block.select(matchers, hints.start, hints.end));
    }
    return merged;
  }

  close(): void {
    for (const block of this.#blocks) block.close();
  }
}

/** Where a series is in one block. */
interface Part {
  readonly selection: BlockSelection;
  readonly index: number;
}

class MergedSelection implements SelectedSeries {
  readonly labels: readonly Labels[];
  readonly warnings: readonly string[] = [];
  readonly bytes = 0;
  #parts: readonly Part[][];
  readonly #scratch: SampleBatch[] = [];

  constructor(labels: readonly Labels[], parts: readonly Part[][]) {
    this.labels = labels;
    this.#parts = parts;
  }

  /** This selection joined with that of a later block. */
  with(selection: BlockSelection): MergedSelection {
    const labels: Labels[] = [];
    const parts: Part[][] = [];
    let i = 0;
    let j = 0;
    while (i < this.labels.length || j < selection.length) {
      const order = i >= this.labels.length
        ? 1
        : j >= selection.length
        ? -1
        : compareLabels(this.labels[i]!, selection.labels[j]!);
      labels.push(order <= 0 ? this.labels[i]! : selection.labels[j]!);
      const list = order <= 0 ? this.#parts[i++]! : [];
      if (order >= 0) list.push({ selection, index: j++ });
      parts.push(list);
    }
    return new MergedSelection(labels, parts);
  }

  read(i: number, batch: SampleBatch): void {
    const parts = this.#parts[i]!;
    batch.clear();
    if (parts.every(({ selection, index }) => selection.append(index, batch))) return;
    // Blocks that overlap hold some samples twice.
    while (this.#scratch.length < parts.length) this.#scratch.push(new SampleBatch());
    parts.forEach(({ selection, index }, k) => selection.read(index, this.#scratch[k]!));
    mergeChain(this.#scratch.slice(0, parts.length), batch);
  }

  close(): void {
    this.#parts = [];
  }
}
