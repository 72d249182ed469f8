/**
 * The plan of a generated bucket: which blocks, which series in them, how their values move.
 *
 * The types GAUGE, COUNTER and RANDOM are those of thanosbench: every block starts its curve anew.
 * The others are ours: their values are functions of labels and time, so a series goes on from block
 * to block whatever blocks are generated, and samples lie on the grid of the scrape interval.
 */
import type { Labels } from "../model/mod.ts";

/** How the values of a series move. */
export type SeriesType =
  | "GAUGE"
  | "COUNTER"
  | "RANDOM"
  | "STEADY_COUNTER"
  | "WALK"
  | "WAVE"
  | "CONSTANT";

/** All types, in the order errors list them. */
export const SERIES_TYPES: readonly SeriesType[] = [
  "GAUGE",
  "COUNTER",
  "RANDOM",
  "STEADY_COUNTER",
  "WALK",
  "WAVE",
  "CONSTANT",
];

/** True for the types whose series go on from block to block. */
export function isContinuous(type: SeriesType): boolean {
  return type !== "GAUGE" && type !== "COUNTER" && type !== "RANDOM";
}

/** Series of one shape, one for each target. Times and intervals in ms. */
export interface SeriesSpec {
  readonly labels: Labels;
  readonly targets: number;
  readonly type: SeriesType;
  readonly minTime: number;
  readonly maxTime: number;
  /** Width of the random part of a value; for WALK the largest step. */
  readonly jitter: number;
  readonly scrapeInterval: number;
  readonly changeInterval: number;
  /** Largest value; for STEADY_COUNTER the largest increase in a scrape. */
  readonly max: number;
  readonly min: number;
  /**
   * Labels that tell the targets apart, instead of `__blockgen_target__`: a text in which `{n}`
   * stands for the number of the target (from 0), or a list that is gone through again and again.
   */
  readonly targetLabels?: Readonly<Record<string, string | readonly string[]>>;
  /** A scrape is at most this late, ms. */
  readonly late?: number;
  /** Which part of the scrapes is late, 0 to 1. */
  readonly lateShare?: number;
  /** Mean time between resets of a STEADY_COUNTER, ms; 0 = never. */
  readonly resetInterval?: number;
  /** Values are rounded to so many decimals; for WALK 0 and for WAVE 1 when absent. */
  readonly decimals?: number;
}

/** One block. */
export interface BlockSpec {
  /** Planned range, ms; only blocks of continuous series take it as their own. */
  readonly minTime: number;
  readonly maxTime: number;
  readonly externalLabels: Labels;
  /** Resolution in ms. */
  readonly resolution: number;
  readonly source: string;
  readonly series: readonly SeriesSpec[];
}

/** Name of the label that tells targets apart where a spec has no `targetLabels`. */
export const TARGET_LABEL = "__blockgen_target__";
/** The `source` of generated blocks. */
export const BLOCK_SOURCE = "blockgen";
