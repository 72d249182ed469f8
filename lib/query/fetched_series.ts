/** What a select fetched: chunks as they came, in little memory, decoded when a series is read. */
import { type Arena, CorruptionError } from "../base/mod.ts";
import {
  type CoarseLayer,
  LayeredReader,
  type ReadOptions,
  type Refinement,
  refinementFor,
  SeriesReader,
  splitLayers,
} from "../dedup/mod.ts";
import {
  equalLabels,
  formatLabels,
  type Labels,
  RESOLUTION_1H,
  type SampleBatch,
} from "../model/mod.ts";
import type { SelectedSeries, SelectHints } from "../promql/mod.ts";
import type { AggrChunk, SeriesFrame } from "../storeapi/mod.ts";
import { PackedChunks } from "./packed_chunks.ts";
import type { Coverage, QueryRecorder } from "./query_recorder.ts";
import { fillingsOf, isTold, Stretches } from "./stretches.ts";

/** What fetched series are for. */
export interface FetchedUse {
  readonly hints: SelectHints;
  readonly read: ReadOptions;
  /** Chunks coarser than this, ms, only fill what the others leave open. */
  readonly maxResolution: number;
  readonly recorder: QueryRecorder | undefined;
  /** Holds the messages that the chunks lie in. */
  readonly memory: Arena | undefined;
}

/** Chunks of a series that is not packed. */
interface Loose {
  readonly asked: readonly AggrChunk[];
  readonly coarse: readonly CoarseLayer[];
}

/** Series of one select, taken in frame by frame. */
export class FetchedSeries implements SelectedSeries {
  readonly labels: Labels[] = [];
  readonly warnings: string[] = [];
  infos: readonly string[] = [];
  bytes = 0;
  /** Chunks of all series. */
  chunkCount = 0;
  readonly #use: FetchedUse;
  readonly #packed = new PackedChunks();
  /** Series i has the packed chunks from ends[i - 1] to ends[i]. */
  readonly #ends: number[] = [];
  /** By index: series with other than raw chunks, or whose resolutions differ. */
  readonly #loose = new Map<number, Loose>();
  /** Chunks of the newest series, which may go on in the next frame. */
  #open: readonly AggrChunk[] | undefined;
  readonly #read = new Stretches();
  readonly #filled = new Stretches();
  /** Those of the filled stretches that the user is told of. */
  readonly #told = new Stretches();
  readonly #reader = new SeriesReader();
  readonly #layered = new LayeredReader(this.#reader);
  readonly #refinement: (resolution: number) => Refinement | undefined;

  constructor(use: FetchedUse) {
    this.#use = use;
    const { hints: { func, range, window = range }, read } = use;
    this.#refinement = (resolution) =>
      refinementFor(func, window, resolution, read.maxTime - read.minTime);
  }

  /** Takes a frame in; all of them come before the first read. */
  add(frame: SeriesFrame): void {
    for (const warning of frame.warnings) this.warnings.push(warning);
    this.bytes += frame.bytes ?? 0;
    for (const { labels, chunks } of frame.series) {
      this.chunkCount += chunks.length;
      if (this.#open !== undefined && equalLabels(this.labels.at(-1)!, labels)) {
        this.#open = [...this.#open, ...chunks];
        continue;
      }
      this.#settle();
      this.labels.push(labels);
      this.#open = chunks;
    }
  }

  /** The last frame was taken in; `infos` are to be told besides those about the data. */
  end(infos: readonly string[]): this {
    this.#settle();
    this.#read.addAll(this.#filled.list());
    for (const { resolution, minTime, maxTime } of this.#read.list()) {
      this.#use.recorder?.covered(resolution, minTime, maxTime);
    }
    this.infos = [...infos, ...this.#told.list().map(coarserText)];
    return this;
  }

  /** The newest series is complete. */
  #settle(): void {
    if (this.#open === undefined) return;
    const { maxResolution, hints } = this.#use;
    const { start, end } = hints;
    const { asked, coarse } = splitLayers(inTimeOrder(this.#open), maxResolution);
    this.#open = undefined;
    this.#read.addChunks(asked, start, end);
    if (coarse.length > 0 || !this.#packed.append(asked)) {
      this.#loose.set(this.labels.length - 1, { asked, coarse });
    }
    this.#ends.push(this.#packed.length);
    let finer = asked;
    for (const { resolution, chunks } of coarse) {
      for (const filling of fillingsOf(resolution, chunks, finer, start, end)) {
        this.#filled.add(resolution, filling);
        if (isTold(resolution, filling, hints)) this.#told.add(resolution, filling);
      }
      finer = [...finer, ...chunks];
    }
  }

  read(i: number, batch: SampleBatch): void {
    try {
      this.#readSeries(i, batch);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      // Without its series and where it came from nobody could mend it.
      const stores = this.#use.recorder?.stores().filter((store) => store.chunks > 0) ?? [];
      const from = stores.map((store) => store.address).join(" or ");
      throw new CorruptionError(error.reason, {
        file: `a chunk of ${formatLabels(this.labels[i]!)}${from === "" ? "" : ` from ${from}`}`,
        offset: error.offset,
        cause: error,
      });
    }
  }

  #readSeries(i: number, batch: SampleBatch): void {
    const { read } = this.#use;
    const loose = this.#loose.get(i);
    if (loose === undefined) {
      const from = i === 0 ? 0 : this.#ends[i - 1]!;
      this.#reader.read(this.#packed.slice(from, this.#ends[i]!), read, batch);
    } else if (loose.coarse.length === 0) this.#reader.read(loose.asked, read, batch);
    else this.#layered.read(loose, read, this.#refinement, batch);
  }

  close(): void {
    this.#packed.clear();
    this.#loose.clear();
    this.#reader.release();
    this.#use.memory?.release();
  }
}

function coarserText({ resolution, minTime, maxTime }: Coverage): string {
  return `${resolution === RESOLUTION_1H ? "1h" : "5m"} downsampled data used from ` +
    `${timeText(minTime)} to ${timeText(maxTime)}: nothing as fine as asked for is kept there`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

/** Stores send chunks in order nearly always, so the check comes first. */
function inTimeOrder(chunks: readonly AggrChunk[]): readonly AggrChunk[] {
  for (let i = 1; i < chunks.length; i++) {
    if (chunks[i]!.minTime < chunks[i - 1]!.minTime) {
      return chunks.toSorted((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime);
    }
  }
  return chunks;
}
