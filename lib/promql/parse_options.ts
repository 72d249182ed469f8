/** What a parser accepts. */

/** Language features and limits of the parser. */
export interface ParseOptions {
  /** `promql-experimental-functions`. Default: off. */
  readonly experimentalFunctions?: boolean;
  /** Computed durations. Default: on, as in Prometheus 3.14. */
  readonly durationExpressions?: boolean;
  /** `promql-extended-range-selectors`: anchored and smoothed. Default: off. */
  readonly extendedRangeSelectors?: boolean;
  /** `promql-binop-fill-modifiers`. Default: off. */
  readonly fillModifiers?: boolean;
  /** xrate, xincrease, xdelta. Default: off. */
  readonly xFunctions?: boolean;
  /** Longest query, bytes of UTF-8. Default: 64 KiB. */
  readonly maxLength?: number;
  /** Deepest nesting of expressions. Default: 1,000. */
  readonly maxDepth?: number;
}

/** Longest query unless an option says otherwise, bytes. */
export const DEFAULT_MAX_QUERY_LENGTH = 64 * 1024;

/** Deepest nesting unless an option says otherwise: well within the stack of every later pass. */
export const DEFAULT_MAX_QUERY_DEPTH = 1000;
