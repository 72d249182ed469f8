/**
 * Verification of a block directory: what the compactor asks before it trusts a block, and
 * `tools bucket verify` before it reports one.
 *
 * One walk over all series counts what is odd and keeps an example of each kind; a damaged entry
 * never hides the ones behind it. What counts as an error is the caller's choice: blockIssues()
 * sorts the counts into kinds.
 */
import { Breather, compareUtf8, CorruptionError, throwIfAborted } from "../base/mod.ts";
import {
  appendChunk,
  type Chunk,
  chunkSampleCount,
  ENCODING_AGGR,
  readAggrChunk,
} from "../chunks/mod.ts";
import { compareLabels, formatLabels, type Labels, SampleBatch } from "../model/mod.ts";
import {
  type BlockMeta,
  CHUNKS_DIRECTORY,
  ChunkSegmentReader,
  type Files,
  fileSource,
  INDEX_FILE,
  IndexReader,
  META_FILE,
  offsetOfRef,
  parseBlockMeta,
  type PostingsRange,
  readWholeFile,
  segmentOfRef,
  SeriesEntry,
} from "../tsdb/mod.ts";

/**
 * How far to look: the index alone; also the checksum of every chunk and every postings list; also
 * every sample.
 */
export type VerifyDepth = "index" | "chunks" | "samples";

/** How to verify. */
export interface VerifyOptions {
  readonly depth?: VerifyDepth;
  /** Range that chunks must lie in instead of the one in meta.json, ms; `maxTime` may be reached. */
  readonly minTime?: number;
  readonly maxTime?: number;
  readonly signal?: AbortSignal;
}

/** What a block is like; counts of oddities are 0 in a sound one. */
export interface BlockHealth {
  readonly directory: string;
  readonly meta: BlockMeta;
  readonly depth: VerifyDepth;
  /** The range that chunks were compared with, ms; both ends allowed. */
  readonly minTime: number;
  readonly maxTime: number;
  readonly totalSeries: number;
  readonly totalChunks: number;
  /** As the chunks' headers tell; undefined when only the index was looked at. */
  readonly totalSamples: number | undefined;
  /** Entries, postings lists or symbols that cannot be read or contradict each other. */
  readonly damagedIndex: number;
  /** Chunks that cannot be read, or hold other samples than the index says. */
  readonly damagedChunks: number;
  readonly emptySeries: number;
  readonly unlabelledSeries: number;
  /** Series that do not come after the one before. */
  readonly outOfOrderSeries: number;
  /** Series whose label names do not ascend. */
  readonly outOfOrderLabels: number;
  /** Chunks that start inside the one before, without being its double. */
  readonly outOfOrderChunks: number;
  /** Chunks with the range of the one before. */
  readonly duplicatedChunks: number;
  /** Series with out-of-order chunks. */
  readonly outOfOrderChunkSeries: number;
  /** Chunks that are not within the range; the next two are part of it. */
  readonly outsideChunks: number;
  readonly completelyOutsideChunks: number;
  /** Chunks that start at the very end of the range (Thanos' issue 347). */
  readonly issue347Chunks: number;
  /** Bytes from a series to the next, at most; 0 when there is only one. */
  readonly seriesMaxSize: number;
  /** Bytes from a chunk to the next, at most, as Thanos measures it. */
  readonly chunkMaxSize: number;
  /** First of its kind for each oddity, for people. */
  readonly examples: ReadonlyMap<HealthCount, string>;
}

/** The counters of oddities. */
export type HealthCount =
  | "damagedIndex"
  | "damagedChunks"
  | "emptySeries"
  | "unlabelledSeries"
  | "outOfOrderSeries"
  | "outOfOrderLabels"
  | "outOfOrderChunks"
  | "duplicatedChunks"
  | "outsideChunks"
  | "issue347Chunks";

/** Kinds of trouble, by what can be done about it. */
export type BlockIssueKind =
  /** Cannot be read as it is. */
  | "broken"
  /** Samples outside of the block's range. */
  | "outside-chunks"
  /** Chunks in the wrong order within a series. */
  | "out-of-order-chunks"
  /** Chunks at the very end of the range, which a rewrite leaves out. */
  | "issue-347-chunks"
  /** Label names of a series in the wrong order. */
  | "out-of-order-labels"
  /** meta.json counts something else than the block holds. */
  | "wrong-counts";

/** One kind of trouble of a block. */
export interface BlockIssue {
  readonly kind: BlockIssueKind;
  /** How many and an example, one line. */
  readonly message: string;
}

/**
 * Verifies the block in `directory`.
 *
 * Throws: not_found when a file is missing; CorruptionError when meta.json, or header, tables or
 * list of series of the index are broken, so that nothing behind them can be looked at.
 */
export async function verifyBlock(
  files: Files,
  directory: string,
  options: VerifyOptions = {},
): Promise<BlockHealth> {
  const metaPath = `${directory}/${META_FILE}`;
  const meta = parseBlockMeta(readWholeFile(files, metaPath), metaPath);
  const indexFile = files.open(`${directory}/${INDEX_FILE}`);
  const depth = options.depth ?? "index";
  let segments: ChunkSegmentReader | undefined;
  try {
    const index = new IndexReader(fileSource(indexFile), fileSource(indexFile));
    if (depth !== "index") {
      segments = new ChunkSegmentReader(files, `${directory}/${CHUNKS_DIRECTORY}`);
    }
    const range = {
      minTime: options.minTime ?? meta.minTime,
      maxTime: options.maxTime ?? meta.maxTime,
    };
    const walk = new BlockWalk(index, segments, depth === "samples", range, directory);
    await walk.run(options.signal);
    return walk.health(meta, depth);
  } finally {
    segments?.close();
    indexFile.close();
  }
}

/** Sorts what was found into kinds; empty for a sound block. */
export function blockIssues(health: BlockHealth): BlockIssue[] {
  const issues: BlockIssue[] = [];
  const add = (kind: BlockIssueKind, texts: readonly string[]) => {
    if (texts.length > 0) issues.push({ kind, message: texts.join("; ") });
  };
  const tell = (count: number, what: string, key: HealthCount): string[] =>
    count === 0 ? [] : [`${count} ${what}, first: ${health.examples.get(key) ?? "?"}`];
  const { issue347Chunks, completelyOutsideChunks, outsideChunks } = health;
  add("broken", [
    ...tell(health.damagedIndex, "damaged parts of the index", "damagedIndex"),
    ...tell(health.damagedChunks, "damaged chunks", "damagedChunks"),
    ...tell(health.unlabelledSeries, "series without labels", "unlabelledSeries"),
    ...tell(health.emptySeries, "series without chunks", "emptySeries"),
    ...tell(health.outOfOrderSeries, "series out of order", "outOfOrderSeries"),
  ]);
  if (outsideChunks > issue347Chunks) {
    add("outside-chunks", [
      `${outsideChunks - issue347Chunks} chunks outside of the block's range ` +
      `${health.minTime} to ${health.maxTime} (${completelyOutsideChunks} of them completely), ` +
      `first: ${health.examples.get("outsideChunks") ?? "?"}`,
    ]);
  }
  add(
    "out-of-order-chunks",
    tell(
      health.outOfOrderChunks,
      `of ${health.totalChunks} chunks out of order, in ${health.outOfOrderChunkSeries} series`,
      "outOfOrderChunks",
    ),
  );
  add(
    "issue-347-chunks",
    tell(issue347Chunks, "chunks start at the end of the block", "issue347Chunks"),
  );
  add(
    "out-of-order-labels",
    tell(health.outOfOrderLabels, "series with label names out of order", "outOfOrderLabels"),
  );
  add("wrong-counts", wrongCounts(health));
  return issues;
}

/** Counts that meta.json leaves out say nothing. */
function wrongCounts(health: BlockHealth): string[] {
  const { stats } = health.meta;
  const texts: string[] = [];
  const compare = (what: string, told: number, counted: number | undefined) => {
    if (counted === undefined || told === 0 || told === counted) return;
    texts.push(`meta.json tells ${told} ${what}, there are ${counted}`);
  };
  // What is damaged could not be counted.
  if (health.damagedIndex > 0) return texts;
  compare("series", stats.numSeries, health.totalSeries);
  compare("chunks", stats.numChunks, health.totalChunks);
  if (health.damagedChunks === 0) compare("samples", stats.numSamples, health.totalSamples);
  return texts;
}

/** Chunks of a series that are read and checked at once. */
const CHUNK_RUN = 512;

/** One walk over a block. */
class BlockWalk {
  readonly #index: IndexReader;
  readonly #segments: ChunkSegmentReader | undefined;
  readonly #decode: boolean;
  readonly #range: { readonly minTime: number; readonly maxTime: number };
  readonly #directory: string;
  readonly #entry = new SeriesEntry();
  readonly #batch = new SampleBatch();
  readonly #breather = new Breather();
  readonly #examples = new Map<HealthCount, string>();
  readonly #counts: Record<HealthCount, number> = {
    damagedIndex: 0,
    damagedChunks: 0,
    emptySeries: 0,
    unlabelledSeries: 0,
    outOfOrderSeries: 0,
    outOfOrderLabels: 0,
    outOfOrderChunks: 0,
    duplicatedChunks: 0,
    outsideChunks: 0,
    issue347Chunks: 0,
  };
  #completelyOutside = 0;
  #disorderedSeries = 0;
  #totalSeries = 0;
  #totalChunks = 0;
  #totalSamples = 0;
  /** Label pairs of all series, to compare with the postings. */
  #totalLabels = 0;
  #seriesMaxSize = 0;
  #chunkMaxSize = 0;
  /** Symbols ascend, so that references can be compared instead of strings. */
  #sorted = false;
  #lastRefs = new Uint32Array(64);
  #lastLength = -1;
  #lastLabels: Labels | undefined;

  constructor(
    index: IndexReader,
    segments: ChunkSegmentReader | undefined,
    decode: boolean,
    range: { readonly minTime: number; readonly maxTime: number },
    directory: string,
  ) {
    this.#index = index;
    this.#segments = segments;
    this.#decode = decode;
    this.#range = range;
    this.#directory = directory;
  }

  async run(signal: AbortSignal | undefined): Promise<void> {
    await this.#checkSymbols(signal);
    const refs = this.#index.allPostings();
    this.#totalSeries = refs.length;
    const unit = this.#index.version === 2 ? 16 : 1;
    for (let i = 0; i < refs.length; i++) {
      if (this.#breather.due) await this.#pause(signal);
      const ref = refs[i]!;
      if (i > 0) this.#seriesMaxSize = Math.max(this.#seriesMaxSize, (ref - refs[i - 1]!) * unit);
      try {
        this.#index.readSeries(ref, this.#entry);
      } catch (error) {
        this.#damaged("damagedIndex", error);
        this.#lastLength = -1;
        this.#lastLabels = undefined;
        continue;
      }
      this.#checkLabels(ref);
      this.#checkRanges(ref);
      await this.#checkChunks(signal);
    }
    if (this.#segments !== undefined) await this.#checkPostings(signal);
    throwIfAborted(signal);
  }

  async #pause(signal: AbortSignal | undefined): Promise<void> {
    await this.#breather.pause();
    throwIfAborted(signal);
  }

  #note(key: HealthCount, example: () => string): void {
    if (this.#counts[key]++ === 0) this.#examples.set(key, example());
  }

  /** Counts what a reader threw; anything but damage goes on. */
  #damaged(key: "damagedIndex" | "damagedChunks", error: unknown): void {
    if (!(error instanceof CorruptionError)) throw error;
    this.#note(key, () => error.message);
  }

  async #checkSymbols(signal: AbortSignal | undefined): Promise<void> {
    const { tables, version } = this.#index;
    if (version === 1) return;
    let last: string | undefined;
    for (let group = 0; group * 32 < tables.symbolCount; group++) {
      if (this.#breather.due) await this.#pause(signal);
      for (const symbol of tables.symbolGroup(group)) {
        if (last !== undefined && compareUtf8(last, symbol) >= 0) {
          this.#note("damagedIndex", () => `symbol ${JSON.stringify(symbol)} is out of order`);
          return;
        }
        last = symbol;
      }
    }
    this.#sorted = true;
  }

  #labelsOf(ref: number): string {
    try {
      return formatLabels(this.#index.labels(this.#entry));
    } catch {
      return `series ${ref}`; // Its symbols are damaged, which is counted elsewhere.
    }
  }

  #checkLabels(ref: number): void {
    const { labels, labelLength } = this.#entry;
    this.#totalLabels += labelLength / 2;
    if (labelLength === 0) {
      this.#note("unlabelledSeries", () => `series ${ref}`);
      return;
    }
    if (!this.#sorted) {
      this.#checkLabelTexts();
      return;
    }
    const { symbolCount } = this.#index.tables;
    let ordered = true;
    for (let i = 0; i < labelLength; i++) {
      if (labels[i]! >= symbolCount) {
        this.#note("damagedIndex", () => `series ${ref} refers to symbol ${labels[i]}`);
        return;
      }
      if (i >= 2 && (i & 1) === 0 && labels[i]! <= labels[i - 2]!) ordered = false;
    }
    if (!ordered) this.#note("outOfOrderLabels", () => this.#labelsOf(ref));
    const last = this.#lastRefs;
    if (this.#lastLength >= 0) {
      let order = 0;
      const n = Math.min(labelLength, this.#lastLength);
      for (let i = 0; i < n && order === 0; i++) order = labels[i]! - last[i]!;
      if (order === 0) order = labelLength - this.#lastLength;
      if (order <= 0) this.#note("outOfOrderSeries", () => this.#labelsOf(ref));
    }
    if (last.length < labelLength) this.#lastRefs = new Uint32Array(labelLength * 2);
    for (let i = 0; i < labelLength; i++) this.#lastRefs[i] = labels[i]!;
    this.#lastLength = labelLength;
  }

  /** The same by the strings, for indexes whose symbols have no order. */
  #checkLabelTexts(): void {
    let labels: Labels;
    try {
      labels = this.#index.labels(this.#entry);
    } catch (error) {
      this.#damaged("damagedIndex", error);
      return;
    }
    for (let i = 2; i < labels.length; i += 2) {
      if (compareUtf8(labels[i - 2]!, labels[i]!) < 0) continue;
      this.#note("outOfOrderLabels", () => formatLabels(labels));
      break;
    }
    const last = this.#lastLabels;
    if (last !== undefined && compareLabels(last, labels) >= 0) {
      this.#note("outOfOrderSeries", () => formatLabels(labels));
    }
    this.#lastLabels = labels;
  }

  #checkRanges(ref: number): void {
    const { chunkCount, minTimes, maxTimes, refs } = this.#entry;
    const { minTime, maxTime } = this.#range;
    this.#totalChunks += chunkCount;
    if (chunkCount === 0) this.#note("emptySeries", () => this.#labelsOf(ref));
    let disordered = false;
    for (let i = 0; i < chunkCount; i++) {
      const from = minTimes[i]!;
      const to = maxTimes[i]!;
      const example = () => `chunk ${from} to ${to} of ${this.#labelsOf(ref)}`;
      if (from < minTime || to > maxTime) {
        this.#counts.outsideChunks++;
        if (from === maxTime) this.#note("issue347Chunks", example);
        else {
          // The example is one of those that cannot be repaired.
          if (!this.#examples.has("outsideChunks")) this.#examples.set("outsideChunks", example());
          if (from > maxTime || to < minTime) this.#completelyOutside++;
        }
      }
      // Thanos does not measure the last two chunks of a series.
      if (i + 2 < chunkCount && segmentOfRef(refs[i]!) === segmentOfRef(refs[i + 1]!)) {
        this.#chunkMaxSize = Math.max(
          this.#chunkMaxSize,
          offsetOfRef(refs[i + 1]!) - offsetOfRef(refs[i]!),
        );
      }
      if (to < from) {
        this.#note("outOfOrderChunks", example);
        disordered = true;
      } else if (i > 0 && from <= maxTimes[i - 1]!) {
        if (from === minTimes[i - 1] && to === maxTimes[i - 1]) {
          this.#note("duplicatedChunks", example);
        } else {
          this.#note("outOfOrderChunks", example);
          disordered = true;
        }
      }
    }
    if (disordered) this.#disorderedSeries++;
  }

  async #checkChunks(signal: AbortSignal | undefined): Promise<void> {
    const segments = this.#segments;
    if (segments === undefined) return;
    const { chunkCount } = this.#entry;
    const chunks: Chunk[] = [];
    for (let from = 0; from < chunkCount; from += CHUNK_RUN) {
      if (this.#breather.due) await this.#pause(signal);
      const to = Math.min(chunkCount, from + CHUNK_RUN);
      chunks.length = 0;
      let samples = 0;
      try {
        segments.readMany(this.#entry.refs, from, to, chunks);
        for (let i = from; i < to; i++) samples += this.#checkChunk(chunks[i - from]!, i);
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        samples = this.#checkOneByOne(segments, from, to);
      }
      this.#totalSamples += samples;
    }
  }

  /** After damage among many: which chunk it is, and the others all the same. */
  #checkOneByOne(segments: ChunkSegmentReader, from: number, to: number): number {
    let samples = 0;
    for (let i = from; i < to; i++) {
      const ref = this.#entry.refs[i]!;
      try {
        samples += this.#checkChunk(segments.read(ref), i);
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        const file = `${this.#directory}/${CHUNKS_DIRECTORY}/` +
          segments.nameOf(segmentOfRef(ref));
        this.#damaged("damagedChunks", error.in(file, offsetOfRef(ref)));
      }
    }
    return samples;
  }

  /** Throws CorruptionError when a chunk is no good; returns its number of samples. */
  #checkChunk(chunk: Chunk, i: number): number {
    const minTime = this.#entry.minTimes[i]!;
    const maxTime = this.#entry.maxTimes[i]!;
    if (chunk.encoding !== ENCODING_AGGR) {
      const count = chunkSampleCount(chunk);
      if (this.#decode) {
        this.#batch.clear();
        appendChunk(chunk, this.#batch);
        checkTimes(this.#batch, minTime, maxTime);
      }
      return count;
    }
    const parts = readAggrChunk(chunk.data);
    if (this.#decode) {
      for (const name of ["count", "sum", "min", "max"] as const) {
        const part = parts[name];
        if (part === undefined) continue;
        this.#batch.clear();
        appendChunk(part, this.#batch);
        checkTimes(this.#batch, minTime, maxTime);
      }
      if (parts.counter !== undefined) {
        this.#batch.clear();
        appendChunk(parts.counter, this.#batch); // Its times have rules of their own.
      }
    }
    return parts.count === undefined ? 0 : chunkSampleCount(parts.count);
  }

  /** Every list can be read, and together they name each label of each series once. */
  async #checkPostings(signal: AbortSignal | undefined): Promise<void> {
    const { tables } = this.#index;
    let entries = 0;
    for (const name of tables.labelNames()) {
      if (this.#breather.due) await this.#pause(signal);
      // Taken apart first: a list that is read moves the window of the table.
      const ranges: PostingsRange[] = [];
      tables.visitValues(name, "", (_, offset, end) => ranges.push({ offset, end }));
      for (const range of ranges) {
        if (this.#breather.due) await this.#pause(signal);
        try {
          entries += this.#index.readPostings(range).length;
        } catch (error) {
          this.#damaged("damagedIndex", error);
        }
      }
    }
    if (entries !== this.#totalLabels && this.#counts.damagedIndex === 0) {
      this.#note(
        "damagedIndex",
        () => `the postings name ${entries} labels of series, the series have ${this.#totalLabels}`,
      );
    }
  }

  health(meta: BlockMeta, depth: VerifyDepth): BlockHealth {
    return {
      directory: this.#directory,
      meta,
      depth,
      ...this.#range,
      ...this.#counts,
      totalSeries: this.#totalSeries,
      totalChunks: this.#totalChunks,
      totalSamples: this.#segments === undefined ? undefined : this.#totalSamples,
      outOfOrderChunkSeries: this.#disorderedSeries,
      completelyOutsideChunks: this.#completelyOutside,
      seriesMaxSize: this.#seriesMaxSize,
      chunkMaxSize: this.#chunkMaxSize,
      examples: this.#examples,
    };
  }
}

/** Throws unless the samples ascend within [minTime, maxTime]. */
function checkTimes(batch: SampleBatch, minTime: number, maxTime: number): void {
  const { t, length } = batch;
  if (length === 0) throw new CorruptionError("chunk without samples");
  if (t[0]! < minTime || t[length - 1]! > maxTime) {
    throw new CorruptionError(
      `samples from ${t[0]} to ${t[length - 1]} in a chunk of ${minTime} to ${maxTime}`,
    );
  }
  for (let i = 1; i < length; i++) {
    if (t[i]! <= t[i - 1]!) throw new CorruptionError(`samples go back in time at ${t[i]}`);
  }
}
