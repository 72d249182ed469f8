/** Streams of frames on their way from one store to the merge: sorted, checked, read ahead. */
import { throwIfAborted } from "../base/mod.ts";
import { compareLabels, dropLabels, formatLabels, type Labels } from "../model/mod.ts";
import { RpcError, STATUS_ABORTED } from "../rpc/mod.ts";
import { type NamedStore, storeText } from "./proxy_text.ts";
import type { PartialResponseStrategy, Series, SeriesFrame } from "./types.ts";

/** The frames without some labels; series may come out of order by that. */
export async function* withoutLabels(
  frames: AsyncIterable<SeriesFrame>,
  names: readonly string[],
): AsyncIterable<SeriesFrame> {
  const dropped = new Set(names);
  for await (const frame of frames) {
    const series = frame.series.map((s) => ({ ...s, labels: dropLabels(s.labels, dropped) }));
    yield { ...frame, series };
  }
}

/** All of a store's frames as one, sorted. */
export async function* eager(
  frames: AsyncIterable<SeriesFrame>,
  signal: AbortSignal,
): AsyncIterable<SeriesFrame> {
  const series: Series[] = [];
  const warnings: string[] = [];
  const rest: SeriesFrame[] = [];
  let sorted = true;
  for await (const frame of frames) {
    throwIfAborted(signal);
    for (const s of frame.series) {
      const last = series.at(-1);
      if (last !== undefined && compareLabels(last.labels, s.labels) > 0) sorted = false;
      series.push(s);
    }
    for (const warning of frame.warnings) warnings.push(warning);
    if (frame.hints !== undefined) rest.push({ series: [], warnings: [], hints: frame.hints });
  }
  // Stable, so the parts of a series keep their order.
  if (!sorted) series.sort((a, b) => compareLabels(a.labels, b.labels));
  yield { series, warnings };
  yield* rest;
}

/** Ends a stream whose series come out of order: merged, they would give wrong answers. */
export async function* checkOrder(
  frames: AsyncIterable<SeriesFrame>,
  store: NamedStore,
  strategy: PartialResponseStrategy,
): AsyncIterable<SeriesFrame> {
  let last: Labels | undefined;
  for await (const frame of frames) {
    for (let i = 0; i < frame.series.length; i++) {
      const { labels } = frame.series[i]!;
      if (last !== undefined && compareLabels(last, labels) > 0) {
        const text = `receive series from ${storeText(store)}: series are not sorted: ` +
          `${formatLabels(labels)} came after ${formatLabels(last)}`;
        if (strategy === "abort") throw new RpcError(STATUS_ABORTED, text);
        yield { ...frame, series: frame.series.slice(0, i), warnings: [...frame.warnings, text] };
        return;
      }
      last = labels;
    }
    yield frame;
  }
}

/** Reads ahead up to `most` frames; nothing starts before the first is asked for. */
export async function* prefetch(
  frames: AsyncIterable<SeriesFrame>,
  most: number,
): AsyncIterable<SeriesFrame> {
  const queue: SeriesFrame[] = [];
  let done = false;
  let failure: { error: unknown } | undefined;
  let wakeReader: (() => void) | undefined;
  let wakeWriter: (() => void) | undefined;
  const pump = async () => {
    try {
      for await (const frame of frames) {
        queue.push(frame);
        wakeReader?.();
        while (queue.length >= most && !done) {
          await new Promise<void>((resolve) => wakeWriter = resolve);
        }
        if (done) return;
      }
    } catch (error) {
      failure = { error };
    } finally {
      done = true;
      wakeReader?.();
    }
  };
  const pumping = pump();
  try {
    for (;;) {
      const frame = queue.shift();
      if (frame !== undefined) {
        wakeWriter?.();
        yield frame;
      } else if (failure !== undefined) throw failure.error;
      else if (done) return;
      else await new Promise<void>((resolve) => wakeReader = resolve);
    }
  } finally {
    done = true;
    wakeWriter?.();
    await pumping;
  }
}
