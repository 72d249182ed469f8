/**
 * K-way merge of series by labels: many sorted inputs become one sorted output without duplicates.
 *
 * Used by the proxy over stores and by the store gateway over blocks. Series with equal labels are
 * joined: all their chunks, exact duplicates dropped, in the order (minTime, maxTime, content).
 */
import { LoserTree, throwIfAborted } from "../base/mod.ts";
import type { Chunk } from "../chunks/mod.ts";
import { compareLabels, equalLabels } from "../model/mod.ts";
import type { AggrChunk, AnyMessage, Series, SeriesFrame } from "./types.ts";

/** Size of the frames a merge makes. */
export interface MergeOptions {
  /** Series a frame. */
  readonly batchSize?: number;
  /** Most series to return, 0 = all. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

const DEFAULT_BATCH = 64;
/** A frame is also full at this many chunks, so that frames of long series stay small. */
const BATCH_CHUNKS = 4096;

/**
 * Merges sorted inputs.
 *
 * Shape: warnings and hints of an input come out as soon as they were read, before the series of
 *   the frame they are in; inputs that are read in advance thus bring theirs first.
 * Owner: series of an input that nobody else has are passed on as they are.
 * Throws: what an input throws; the others are closed then, as when the reader stops early.
 */
export async function* mergeSeries(
  inputs: readonly AsyncIterable<SeriesFrame>[],
  options: MergeOptions = {},
): AsyncIterable<SeriesFrame> {
  const batchSize = Math.max(1, options.batchSize ?? DEFAULT_BATCH);
  const limit = options.limit ?? 0;
  const side = new SideQueue();
  const heads = inputs.map((input) => new Input(input[Symbol.asyncIterator](), side));
  try {
    const open = await Promise.all(heads.map((h) => h.fetch()));
    yield* side.take();
    const closed = open.flatMap((ok, i) => ok ? [] : [i]);
    const less = (a: number, b: number) =>
      compareLabels(heads[a]!.head!.labels, heads[b]!.head!.labels) < 0;
    const tree = new LoserTree(heads.length, less, closed);
    let out: Series[] = [];
    let outChunks = 0;
    let count = 0;
    let winner = tree.winner();
    while (winner >= 0) {
      const first = heads[winner]!.head!;
      let lists: (readonly AggrChunk[])[] | undefined;
      do {
        const input = heads[winner]!;
        if (lists !== undefined) lists.push(input.head!.chunks);
        else if (input.head !== first) lists = [first.chunks, input.head!.chunks];
        if (input.next()) tree.replay();
        else if (await input.fetch()) tree.replay();
        else tree.close();
        winner = tree.winner();
      } while (winner >= 0 && equalLabels(heads[winner]!.head!.labels, first.labels));
      const chunks = lists === undefined ? joinChunks(first.chunks) : joinChunks(lists.flat());
      out.push(chunks === first.chunks ? first : { labels: first.labels, chunks });
      outChunks += chunks.length;
      count++;
      const enough = limit > 0 && count >= limit;
      if (enough || out.length >= batchSize || outChunks >= BATCH_CHUNKS) {
        throwIfAborted(options.signal);
        yield* side.take();
        yield { series: out, warnings: [] };
        out = [];
        outChunks = 0;
        if (enough) return;
      }
    }
    yield* side.take();
    if (out.length > 0) yield { series: out, warnings: [] };
  } finally {
    for (const head of heads) head.close();
  }
}

/** Warnings and hints that wait to be sent on. */
class SideQueue {
  warnings: string[] = [];
  hints: AnyMessage[] = [];

  *take(): Iterable<SeriesFrame> {
    if (this.warnings.length === 0 && this.hints.length === 0) return;
    const { warnings, hints } = this;
    this.warnings = [];
    this.hints = [];
    if (hints.length === 0) yield { series: [], warnings };
    else {
      for (let i = 0; i < hints.length; i++) {
        yield { series: [], warnings: i === 0 ? warnings : [], hints: hints[i]! };
      }
    }
  }
}

/** One input: its current frame and the series it stands at. */
class Input {
  head: Series | undefined;
  readonly #iterator: AsyncIterator<SeriesFrame>;
  readonly #side: SideQueue;
  #series: readonly Series[] = [];
  #at = 0;
  #done = false;

  constructor(iterator: AsyncIterator<SeriesFrame>, side: SideQueue) {
    this.#iterator = iterator;
    this.#side = side;
  }

  /** Moves on within the frame; false at its end. */
  next(): boolean {
    if (this.#at >= this.#series.length) return false;
    this.head = this.#series[this.#at++];
    return true;
  }
  /** Moves on to the next frame with series; false at the end of the input. */
  async fetch(): Promise<boolean> {
    for (;;) {
      const step = await this.#iterator.next();
      if (step.done) {
        this.#done = true;
        this.head = undefined;
        this.#series = [];
        return false;
      }
      const frame = step.value;
      for (const warning of frame.warnings) this.#side.warnings.push(warning);
      if (frame.hints !== undefined) this.#side.hints.push(frame.hints);
      this.#series = frame.series;
      this.#at = 0;
      if (this.next()) return true;
    }
  }
  /** Tells the input that nobody reads on; what it answers does not matter any more. */
  close(): void {
    if (this.#done) return;
    this.#done = true;
    this.#iterator.return?.()?.catch(() => {});
  }
}

/**
 * Chunks of one series from everywhere, sorted, exact duplicates dropped; returns the same array
 * when nothing had to change.
 *
 * Shape: ascending by minTime, then maxTime, then content as Thanos orders it. Of chunks with equal
 * times, one is a duplicate when each of its parts was seen before; a chunk that is kept marks only
 * its first new part as seen.
 */
export function joinChunks(chunks: readonly AggrChunk[]): readonly AggrChunk[] {
  // Only chunks of equal times can be duplicates.
  let inOrder = true;
  for (let i = 1; i < chunks.length; i++) {
    const a = chunks[i - 1]!;
    const b = chunks[i]!;
    if (b.minTime < a.minTime || (b.minTime === a.minTime && b.maxTime <= a.maxTime)) {
      inOrder = false;
      break;
    }
  }
  if (inOrder) return chunks;
  // The sort is stable: equal times keep the order of arrival, on which the duplicate rule depends.
  const sorted = chunks.toSorted((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime);
  const out: AggrChunk[] = [];
  for (let i = 0; i < sorted.length;) {
    const c = sorted[i]!;
    let end = i + 1;
    while (
      end < sorted.length && sorted[end]!.minTime === c.minTime &&
      sorted[end]!.maxTime === c.maxTime
    ) end++;
    if (end === i + 1) out.push(c);
    else for (const kept of distinctChunks(sorted.slice(i, end))) out.push(kept);
    i = end;
  }
  return out;
}

/** The chunks of equal times that are no duplicates, ordered by content. */
function distinctChunks(group: AggrChunk[]): AggrChunk[] {
  const seen: Uint8Array[] = [];
  const kept = group.filter((chunk) => {
    const { raw, count, max, min, sum, counter } = chunk;
    for (const part of [raw, count, max, min, sum, counter]) {
      if (part === undefined || seen.some((data) => equalBytes(data, part.data))) continue;
      seen.push(part.data);
      return true;
    }
    return false;
  });
  return kept.length === 1 ? kept : kept.sort(compareContent);
}

function compareContent(a: AggrChunk, b: AggrChunk): number {
  return compareParts(a.raw, b.raw) || compareParts(a.count, b.count) ||
    compareParts(a.sum, b.sum) || compareParts(a.min, b.min) ||
    compareParts(a.max, b.max) || compareParts(a.counter, b.counter);
}

/** A present part before an absent one, lower encodings first, then larger bytes first. */
function compareParts(a: Chunk | undefined, b: Chunk | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
  return a.encoding - b.encoding || compareBytes(b.data, a.data);
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
