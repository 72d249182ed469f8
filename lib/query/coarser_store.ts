/**
 * `coarserWhereMissing` for stores that do not know it: what a first answer leaves open is asked for
 * again at the next coarser resolutions.
 */
import { TimeRanges } from "../dedup/mod.ts";
import {
  dropLabels,
  EMPTY_LABELS,
  hasLabel,
  type Labels,
  labelValue,
  RESOLUTION_1H,
  RESOLUTION_5M,
} from "../model/mod.ts";
import {
  type CallContext,
  type ComponentInfo,
  type LabelNamesRequest,
  type LabelValuesRequest,
  mergeSeries,
  type SeriesFrame,
  type SeriesRequest,
  type Store,
  type StringsResponse,
} from "../storeapi/mod.ts";

/** Components that keep raw data alone. */
const RAW_ONLY = new Set(["sidecar", "receive", "rule"]);
const COARSER = [RESOLUTION_5M, RESOLUTION_1H];
/**
 * Missing stretches that are no longer than this (ms) are no missing blocks: between two chunks,
 * and at an edge of what is asked.
 */
const IGNORED_GAP = 3_600_000;
const IGNORED_EDGE = 300_000;
/** Most stretches to ask for one by one. */
const MOST_STRETCHES = 4;
const FRAME_SERIES = 256;
const NOTHING_YET: SeriesFrame = { series: [], warnings: [] };

/** A store and, where it has nothing as fine as asked for, its coarser data. */
export class CoarserStore implements Store {
  readonly holdsFrames = true;
  readonly #store: Store;
  readonly #info: () => ComponentInfo;

  /** `info`: what the store said of itself last. */
  constructor(store: Store, info: () => ComponentInfo) {
    this.#store = store;
    this.#info = info;
  }

  series(request: SeriesRequest, context: CallContext): AsyncIterable<SeriesFrame> {
    const info = this.#info();
    const asIs = request.coarserWhereMissing !== true || request.skipChunks || request.limit > 0 ||
      request.maxResolutionWindow >= RESOLUTION_1H || info.store === undefined ||
      info.store.fillsWithCoarser === true || RAW_ONLY.has(info.componentType);
    return asIs ? this.#store.series(request, context) : this.#filled(request, context, info);
  }

  labelNames(request: LabelNamesRequest, context: CallContext): Promise<StringsResponse> {
    return this.#store.labelNames(request, context);
  }
  labelValues(request: LabelValuesRequest, context: CallContext): Promise<StringsResponse> {
    return this.#store.labelValues(request, context);
  }

  async *#filled(
    request: SeriesRequest,
    context: CallContext,
    info: ComponentInfo,
  ): AsyncIterable<SeriesFrame> {
    const answers: SeriesFrame[][] = [];
    const open = new OpenStretches(request, info);
    let failure: { readonly error: unknown } | undefined;
    const store = this.#store;
    async function* ask(part: SeriesRequest, reach: number): AsyncIterable<SeriesFrame> {
      const frames: SeriesFrame[] = [];
      answers.push(frames);
      for await (const frame of store.series(part, context)) {
        open.close(frame, reach);
        frames.push(frame);
        // The reader sees that the store is at work: time-outs are about single frames.
        yield NOTHING_YET;
      }
    }
    try {
      yield* ask(request, 0);
      for (const resolution of COARSER) {
        if (resolution <= request.maxResolutionWindow) continue;
        for (const [minTime, maxTime] of open.stretches()) {
          yield* ask({
            ...request,
            maxResolutionWindow: resolution,
            minTime: minTime - 2 * resolution,
            maxTime: maxTime + resolution,
          }, resolution);
        }
      }
    } catch (error) {
      // What came before a failure is kept, as it is without a second question.
      failure = { error };
    }
    if (answers.length <= 1) yield* answers.flat();
    else {
      let bytes = 0;
      for (const frame of answers.flat()) bytes += frame.bytes ?? 0;
      yield { series: [], warnings: [], bytes };
      // Without the call's signal: after a time-out as well, what had come is to be given.
      yield* mergeSeries(answers.map(replay), { batchSize: FRAME_SERIES, limit: 0 });
    }
    if (failure !== undefined) throw failure.error;
  }
}

// deno-lint-ignore require-await
async function* replay(frames: readonly SeriesFrame[]): AsyncIterable<SeriesFrame> {
  yield* frames;
}

/** Data of one set of external labels: where the store has some, and where the answer has some. */
interface Kept {
  readonly there: TimeRanges;
  readonly answered: TimeRanges;
}

/** Which stretches of what a store has are not in its answer. */
class OpenStretches {
  readonly #minTime: number;
  readonly #maxTime: number;
  readonly #names: readonly string[];
  readonly #kept = new Map<string, Kept>();

  constructor(request: SeriesRequest, { store }: ComponentInfo) {
    const { minTime, maxTime, matchers, withoutReplicaLabels } = request;
    this.#minTime = minTime;
    this.#maxTime = maxTime;
    const replicas = new Set(withoutReplicaLabels);
    const infos = store!.tsdbInfos.filter(({ labels }) =>
      matchers.every((m) => !hasLabel(labels, m.name) || m.matches(labelValue(labels, m.name)))
    );
    const names = new Set<string>();
    const sets = infos.map(({ labels }) => dropLabels(labels, replicas));
    for (const labels of sets) for (let i = 0; i < labels.length; i += 2) names.add(labels[i]!);
    this.#names = [...names];
    infos.forEach((tsdb, i) => this.#of(sets[i]!).there.add(tsdb.minTime, tsdb.maxTime));
    // A store that does not tell stretches may have data anywhere in its times.
    if (store!.tsdbInfos.length === 0) {
      this.#of(EMPTY_LABELS).there.add(store!.minTime, store!.maxTime);
    }
  }

  #key(labels: Labels): string {
    return this.#names.map((name) => labelValue(labels, name)).join("\xff");
  }

  #of(labels: Labels): Kept {
    const key = this.#key(labels);
    let kept = this.#kept.get(key);
    if (kept === undefined) {
      kept = { there: new TimeRanges(IGNORED_EDGE), answered: new TimeRanges(IGNORED_EDGE) };
      this.#kept.set(key, kept);
    }
    return kept;
  }

  /** Notes what a frame answers; a point stands for `reach` ms before it. */
  close(frame: SeriesFrame, reach: number): void {
    for (const { labels, chunks } of frame.series) {
      const answered = this.#kept.get(this.#key(labels))?.answered;
      if (answered === undefined) continue;
      let from = NaN;
      let to = NaN;
      for (const chunk of chunks) {
        if (chunk.minTime <= to + IGNORED_EDGE) {
          if (chunk.maxTime > to) to = chunk.maxTime;
          continue;
        }
        if (to === to) answered.add(from - reach, to);
        from = chunk.minTime;
        to = chunk.maxTime;
      }
      if (to === to) answered.add(from - reach, to);
    }
  }

  /** What is still open, in few stretches. */
  stretches(): [number, number][] {
    const open = new TimeRanges(IGNORED_GAP);
    for (const { there, answered } of this.#kept.values()) {
      for (let i = 0; i < there.size; i++) {
        const from = Math.max(there.starts[i]!, this.#minTime);
        const to = Math.min(there.ends[i]!, this.#maxTime);
        if (from > to) continue;
        answered.eachGap(from, to, (gapFrom, gapTo) => {
          const edges = (gapFrom === from ? 1 : 0) + (gapTo === to ? 1 : 0);
          const ignored = edges === 0 ? IGNORED_GAP : edges === 1 ? IGNORED_EDGE : 0;
          if (gapTo - gapFrom >= ignored) open.add(gapFrom, gapTo);
        });
      }
    }
    if (open.size === 0) return [];
    if (open.size > MOST_STRETCHES) return [[open.starts[0]!, open.ends[open.size - 1]!]];
    return open.starts.map((from, i) => [from, open.ends[i]!]);
  }
}
