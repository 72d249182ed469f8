/**
 * Reads one store for the proxy: its frames as long as they come, its failure as a warning or as an
 * error, and a report of what it did.
 */
import { errorKind, formatGoDuration, MnemeError, throwIfAborted } from "../base/mod.ts";
import type { Chunk } from "../chunks/mod.ts";
import { hasLabel, type Labels, labelValue } from "../model/mod.ts";
import { RpcError, STATUS_ABORTED, STATUS_CANCELLED } from "../rpc/mod.ts";
import { Deadline } from "./deadline.ts";
import { FrameTimeout, FrameWatch } from "./frame_watch.ts";
import { deadlineExceeded, rpcText, setsText, storeText } from "./proxy_text.ts";
import { wellFormedSeries } from "./series_check.ts";
import type { CallContext, Store, StoreReport } from "./store.ts";
import type { AggrChunk, SeriesFrame, SeriesRequest, StoreInfo } from "./types.ts";
import { RawChunk } from "./wire_store.ts";

/** A store behind the proxy. */
export interface ProxiedStore {
  readonly address: string;
  readonly store: Store;
  /** Announced external labels. */
  readonly labelSets: readonly Labels[];
  readonly info: StoreInfo;
  /** Why it cannot be asked at the moment; undefined while it is healthy. */
  readonly unhealthy: string | undefined;
  /** A small call that a healthy store answers at once; looks after stores that fall silent. */
  readonly probe?: (signal: AbortSignal) => Promise<unknown>;
}

/** Settings of reading. Units: ms; 0 = none. */
export interface ReadOptions {
  /** Longest wait for a store's next frame. */
  readonly responseTimeout?: number;
  /** Longest time for all of a request. Passing it is a store's failure. */
  readonly requestTimeout?: number;
  /** Silence after which a store is probed, and how long it may take to answer. */
  readonly silence?: number;
  readonly probeTimeout?: number;
  readonly report?: (report: StoreReport) => void;
  /** A store sent series whose labels had to be put in order. */
  readonly onRepaired?: (address: string) => void;
  /** Monotonic milliseconds. */
  readonly monotonic?: () => number;
}

const SILENCE = 10_000;
const PROBE_TIMEOUT = 5000;
/** Warnings of one store that are passed on; the rest is counted. */
const MAX_WARNINGS = 100;

/** Frames of one store; its failure becomes a warning, or is thrown in abort mode. */
export async function* readStore(
  store: ProxiedStore,
  request: SeriesRequest,
  context: CallContext,
  options: ReadOptions,
): AsyncIterable<SeriesFrame> {
  const { responseTimeout = 0, requestTimeout = 0 } = options;
  const monotonic = options.monotonic ?? (() => performance.now());
  const began = monotonic();
  const counts = { frames: 0, bytes: 0, series: 0, chunks: 0, samples: 0 };
  let firstFrame: number | undefined;
  let warned = 0;
  const limited = new Deadline(context.signal, requestTimeout);
  const watch = new FrameWatch({
    responseTimeout,
    silence: options.silence ?? SILENCE,
    probe: store.probe,
    probeTimeout: options.probeTimeout ?? PROBE_TIMEOUT,
  });
  const accept = (frame: SeriesFrame): SeriesFrame => {
    firstFrame ??= monotonic() - began;
    if (frame.series.length > 0 || frame.warnings.length > 0) counts.frames++;
    counts.bytes += frame.bytes ?? 0;
    counts.series += frame.series.length;
    for (let i = 0; i < frame.series.length; i++) {
      const { chunks } = frame.series[i]!;
      counts.chunks += chunks.length;
      for (let k = 0; k < chunks.length; k++) counts.samples += samplesOf(chunks[k]!);
    }
    const series = wellFormedSeries(frame.series, () => options.onRepaired?.(store.address));
    const room = MAX_WARNINGS - warned;
    warned += frame.warnings.length;
    return frame.warnings.length <= room && series === frame.series ? frame : {
      ...frame,
      series,
      warnings: frame.warnings.slice(0, Math.max(0, room)),
    };
  };
  let failure: string | undefined;
  let iterator: AsyncIterator<SeriesFrame> | undefined;
  let awaited: Promise<IteratorResult<SeriesFrame>> | undefined;
  try {
    if (store.unhealthy !== undefined) {
      failure = `fetch series for ${setsText(store)} ${storeText(store)}: ${store.unhealthy}`;
    } else {
      const calls = store.store.series(request, { ...context, signal: limited.signal });
      iterator = calls[Symbol.asyncIterator]();
      for (;;) {
        awaited = iterator.next();
        const step = await watch.next(awaited);
        awaited = undefined;
        if (step.done) break;
        yield accept(step.value);
      }
    }
  } catch (error) {
    throwIfAborted(context.signal);
    if (error instanceof FrameTimeout) {
      failure = `failed to receive any data in ${formatGoDuration(responseTimeout)} from ` +
        `${storeText(store)}: ${rpcText(new RpcError(STATUS_CANCELLED, "context canceled"))}`;
    } else if (limited.expired) {
      failure = `receive series from ${storeText(store)}: ${rpcText(deadlineExceeded())}`;
    } else if (firstFrame === undefined && errorKind(error) === "unavailable") {
      failure = `fetch series for ${setsText(store)} ${storeText(store)}: ${rpcText(error)}`;
    } else failure = `receive series from ${storeText(store)}: ${rpcText(error)}`;
    if (store.store.holdsFrames === true && request.partialResponse !== "abort") {
      // Its call is over; what had come until then is part of the answer.
      limited.stop();
      for await (const frame of remaining(iterator, awaited)) {
        throwIfAborted(context.signal);
        yield accept(frame);
      }
    }
  } finally {
    watch.close();
    // Tells the store that nobody reads on; what it answers does not matter any more.
    limited.stop();
    limited.close();
    iterator?.return?.()?.catch(() => {});
    const report: StoreReport = {
      address: store.address,
      milliseconds: monotonic() - began,
      firstFrame,
      ...counts,
      error: failure,
      ...(counts.series === 0 && failure === undefined && isExternalOnly(store, request)
        ? { externalOnly: true }
        : {}),
    };
    options.report?.(report);
    context.report?.(report);
  }
  if (warned > MAX_WARNINGS) {
    yield {
      series: [],
      warnings: [`and ${warned - MAX_WARNINGS} more warnings from ${storeText(store)}`],
    };
  }
  if (failure === undefined) return;
  if (request.partialResponse === "abort") {
    // Thanos gives a status only to what was received.
    throw failure.startsWith("fetch series")
      ? new MnemeError("unavailable", failure)
      : new RpcError(STATUS_ABORTED, failure);
  }
  yield { series: [], warnings: [failure] };
}

/** Whether some label set of a store takes in all matchers of a request. */
function isExternalOnly({ labelSets }: ProxiedStore, { matchers }: SeriesRequest): boolean {
  return labelSets.some((labels) =>
    matchers.every((m) => hasLabel(labels, m.name) && m.matches(labelValue(labels, m.name)))
  );
}

/** What a call whose signal was aborted still gives, from the frame that was waited for on. */
async function* remaining(
  iterator: AsyncIterator<SeriesFrame> | undefined,
  awaited: Promise<IteratorResult<SeriesFrame>> | undefined,
): AsyncIterable<SeriesFrame> {
  if (iterator === undefined) return;
  try {
    for (let next = awaited; next !== undefined; next = iterator.next()) {
      const step = await next;
      if (step.done) return;
      yield step.value;
    }
  } catch {
    // The failure that is told already, or the abort itself.
  }
}

/** Number of samples as the chunk's header says; of an aggregate, that of one part. */
function samplesOf(c: AggrChunk): number {
  if (c instanceof RawChunk) return c.samples;
  const part: Chunk | undefined = c.raw ?? c.count ?? c.counter ?? c.sum ?? c.min ?? c.max;
  const data = part?.data;
  return data === undefined || data.length < 2 ? 0 : data[0]! << 8 | data[1]!;
}
