/**
 * The port through which the engine sees storage; whoever has series implements it.
 *
 * The engine learns all labels first and decodes each series into a batch when it needs it, so an
 * implementation may keep series compressed until then.
 */
import type { Labels, Matcher, SampleBatch } from "../model/mod.ts";

/** What a selector will be used for; every member is a hint, none changes the meaning. */
export interface SelectHints {
  /** First and last time of interest, ms, both inclusive. */
  readonly start: number;
  readonly end: number;
  /** Step of the query in ms, 0 for an instant query. */
  readonly step: number;
  /** Length of the range selector in ms, 0 for an instant selector. */
  readonly range: number;
  /**
   * The shortest stretch in which a use of these samples must find one, ms: the range, or the
   * lookback of an instant selector.
   */
  readonly window?: number;
  /** Name of the innermost function or aggregation around the selector, "" when none. */
  readonly func: string;
  /** Labels of the aggregation directly around it. */
  readonly grouping: readonly string[];
  readonly by: boolean;
  /** Only labels are needed. */
  readonly skipSamples?: boolean;
  /** The smallest start and largest end over all selectors of the query, ms. */
  readonly queryStart: number;
  readonly queryEnd: number;
}

/** The series that a selector found. */
export interface SelectedSeries {
  /** Labels of each series, ascending by compareLabels, no duplicates. */
  readonly labels: readonly Labels[];
  /** Messages for the user (partial answers and the like). */
  readonly warnings: readonly string[];
  /** Informational messages. */
  readonly infos?: readonly string[];
  /**
   * Replaces the contents of `batch` with the samples of series `i` within the hinted range (more
   * may be returned, in ascending time, without duplicates). Synchronous: everything was fetched.
   */
  read(i: number, batch: SampleBatch): void;
  /** Bytes held for these series until close(). */
  readonly bytes: number;
  close(): void;
}

/** A place to select series from, fixed for one query. */
export interface Storage {
  select(
    matchers: readonly Matcher[],
    hints: SelectHints,
    signal: AbortSignal,
  ): Promise<SelectedSeries>;
}
