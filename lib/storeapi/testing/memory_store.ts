/** A Store over series in memory: small, obviously right, for tests of what stands on Stores. */
import { compareUtf8, throwIfAborted } from "../../base/mod.ts";
import {
  compareLabels,
  dropLabels,
  type Labels,
  labelValue,
  matchesLabels,
  mergeLabels,
} from "../../model/mod.ts";
import { joinChunks } from "../series_merge.ts";
import { shardFilter } from "../shard.ts";
import type { CallContext, Store } from "../store.ts";
import type {
  AggrChunk,
  LabelNamesRequest,
  LabelValuesRequest,
  Series,
  SeriesFrame,
  SeriesRequest,
  StringsResponse,
} from "../types.ts";

/** What a MemoryStore holds and how it behaves. */
export interface MemoryStoreOptions {
  readonly series: readonly Series[];
  readonly externalLabels?: Labels;
  /** Warnings of every answer. */
  readonly warnings?: readonly string[];
  /** Called before each frame; may wait or throw. */
  readonly beforeFrame?: (index: number, context: CallContext) => Promise<void> | void;
}

/** The Store; remembers the requests it got. */
export class MemoryStore implements Store {
  readonly #options: MemoryStoreOptions;
  readonly #series: readonly Series[];
  readonly requests: SeriesRequest[] = [];

  constructor(options: MemoryStoreOptions) {
    this.#options = options;
    const external = options.externalLabels;
    this.#series = options.series.map((s) =>
      external === undefined ? s : { ...s, labels: mergeLabels(s.labels, external) }
    );
  }

  async *series(request: SeriesRequest, context: CallContext): AsyncIterable<SeriesFrame> {
    this.requests.push(request);
    throwIfAborted(context.signal);
    const { warnings = [], beforeFrame } = this.#options;
    const dropped = new Set(request.withoutReplicaLabels);
    const keep = shardFilter(request.shardInfo);
    let found: Series[] = [];
    for (const s of this.#series) {
      if (!matchesLabels(request.matchers, s.labels)) continue;
      const chunks = overlapping(s, request.minTime, request.maxTime);
      if (chunks.length === 0) continue;
      const labels = dropLabels(s.labels, dropped);
      if (keep !== undefined && !keep(labels)) continue;
      found.push({ labels, chunks: request.skipChunks ? [] : chunks });
    }
    found.sort((a, b) => compareLabels(a.labels, b.labels));
    found = joined(found);
    if (request.limit > 0) found = found.slice(0, request.limit);
    if (warnings.length > 0) yield { series: [], warnings };
    const batch = Math.max(1, request.responseBatchSize);
    for (let i = 0, n = 0; i < found.length; i += batch, n++) {
      await beforeFrame?.(n, context);
      throwIfAborted(context.signal);
      yield { series: found.slice(i, i + batch), warnings: [] };
    }
    await beforeFrame?.(Infinity, context);
  }

  async labelNames(request: LabelNamesRequest, context: CallContext): Promise<StringsResponse> {
    return await this.#strings(request, context, (labels) => labels.filter((_, i) => i % 2 === 0));
  }

  async labelValues(request: LabelValuesRequest, context: CallContext): Promise<StringsResponse> {
    return await this.#strings(request, context, (labels) => [labelValue(labels, request.label)]);
  }

  async #strings(
    request: LabelNamesRequest,
    context: CallContext,
    pick: (labels: Labels) => readonly string[],
  ): Promise<StringsResponse> {
    await this.#options.beforeFrame?.(0, context);
    throwIfAborted(context.signal);
    const dropped = new Set(request.withoutReplicaLabels);
    const values = new Set<string>();
    for (const s of this.#series) {
      if (!matchesLabels(request.matchers, s.labels)) continue;
      if (overlapping(s, request.start, request.end).length === 0) continue;
      for (const v of pick(dropLabels(s.labels, dropped))) if (v !== "") values.add(v);
    }
    const sorted = [...values].sort(compareUtf8);
    return {
      values: request.limit > 0 ? sorted.slice(0, request.limit) : sorted,
      warnings: [...(this.#options.warnings ?? [])],
    };
  }
}

function overlapping(s: Series, minTime: number, maxTime: number): AggrChunk[] {
  return s.chunks.filter((c) => c.minTime <= maxTime && c.maxTime >= minTime);
}

/** Joins neighbours with equal labels. */
function joined(sorted: readonly Series[]): Series[] {
  const out: Series[] = [];
  for (const s of sorted) {
    const last = out.at(-1);
    if (last !== undefined && compareLabels(last.labels, s.labels) === 0) {
      out[out.length - 1] = {
        labels: s.labels,
        chunks: joinChunks([...last.chunks, ...s.chunks]),
      };
    } else out.push(s);
  }
  return out;
}
