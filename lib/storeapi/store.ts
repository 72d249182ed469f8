/** Store: something that answers the Store API, near or far. Every one passes `acceptance.ts`. */
import type { Arena } from "../base/mod.ts";
import type {
  LabelNamesRequest,
  LabelValuesRequest,
  SeriesFrame,
  SeriesRequest,
  StringsResponse,
} from "./types.ts";

/** Circumstances of one call. */
export interface CallContext {
  readonly signal: AbortSignal;
  readonly tenant: string;
  readonly requestId?: string;
  /** Memory for the answer, of a caller that knows when it has read all. */
  readonly memory?: Arena;
  /** Told by a proxy what each store behind it did for a Series request, when that store is done. */
  readonly report?: (report: StoreReport) => void;
}

/** What one store did for one Series request. Units: ms, bytes. */
export interface StoreReport {
  readonly address: string;
  readonly milliseconds: number;
  /** Time until its first frame; undefined when none came. */
  readonly firstFrame: number | undefined;
  readonly bytes: number;
  readonly frames: number;
  readonly series: number;
  readonly chunks: number;
  /** As the chunks' headers say. */
  readonly samples: number;
  /** Why it failed, as the user is told. */
  readonly error: string | undefined;
  /**
   * Every matcher was about its external labels, so that nothing was left to choose series by. Store
   * gateways have no series then.
   */
  readonly externalOnly?: boolean;
}

/**
 * A source of series.
 *
 * Rules for series(): sorted by labels after all label changes (external labels added and winning,
 * `withoutReplicaLabels` removed); a series may span consecutive frames, never come back later;
 * chunks may stick out of the asked range. Errors are MnemeErrors.
 */
export interface Store {
  /**
   * True when series() holds frames back to put them in order: those that had come are still given
   * when the call's signal is aborted, before its failure.
   */
  readonly holdsFrames?: boolean;
  series(request: SeriesRequest, context: CallContext): AsyncIterable<SeriesFrame>;
  /**
   * The same answer as SeriesResponse messages of up to `responseBatchSize` series, for stores that
   * have chunks in a form from which messages are made without objects in between.
   */
  seriesMessages?(request: SeriesRequest, context: CallContext): AsyncIterable<Uint8Array>;
  /** Takes the memory of a message of seriesMessages() back; calling it is no duty. */
  recycleMessage?(message: Uint8Array): void;
  labelNames(request: LabelNamesRequest, context: CallContext): Promise<StringsResponse>;
  labelValues(request: LabelValuesRequest, context: CallContext): Promise<StringsResponse>;
}
