/**
 * Windows of `rate()` and the like against the distance of downsampled samples: below five of them
 * a window holds too few, and the answer thins out or is empty.
 */
import { formatDuration, parseDuration } from "./durations.ts";

/** A window in an expression. Units: ms, characters. */
export interface ShortWindow {
  readonly func: string;
  readonly window: number;
  /** Where the duration stands between its brackets. */
  readonly from: number;
  readonly to: number;
}

/** Samples that a window should hold. */
const ENOUGH = 5;
/** Functions that need several samples to say anything. */
const CALL = /\b(rate|irate|increase|delta|idelta|deriv|predict_linear|resets|changes)\s*\(/g;

/** The windows that are shorter than five times a resolution; none for raw data. */
export function shortWindows(expr: string, resolution: number): ShortWindow[] {
  if (resolution <= 0) return [];
  const bare = withoutTexts(expr);
  const found: ShortWindow[] = [];
  for (const { 0: call, 1: func, index } of bare.matchAll(CALL)) {
    const begin = index + call.length;
    const end = closing(bare, begin);
    // A window over an expression, `[1h:5m]`, has samples as dense as it asks for.
    const range = /\[([^\[\]:]+)\]\s*(?:(?:offset|@)\s*[^()\[\],]*(?:\(\s*\))?\s*)?(?:,|$)/
      .exec(bare.slice(begin, end));
    const window = range === null ? undefined : parseDuration(range[1]!);
    if (range === null || window === undefined || window >= ENOUGH * resolution) continue;
    const from = begin + range.index + 1;
    found.push({ func: func!, window, from, to: from + range[1]!.length });
  }
  return found;
}

/** The expression with every window long enough. */
export function widened(expr: string, windows: readonly ShortWindow[], resolution: number): string {
  const text = formatDuration(ENOUGH * resolution);
  return windows.toSorted((a, b) => b.from - a.from)
    .reduce((out, { from, to }) => out.slice(0, from) + text + out.slice(to), expr);
}

/** The window that is long enough, as PromQL writes it. */
export function enough(resolution: number): string {
  return formatDuration(ENOUGH * resolution);
}

/** Strings and comments blanked, so that every other character keeps its place. */
function withoutTexts(expr: string): string {
  return expr.replace(
    /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|#[^\n]*/g,
    (text) => " ".repeat(text.length),
  );
}

/** Where the parenthesis that is open at `from` closes. */
function closing(text: string, from: number): number {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")" && --depth === 0) return i;
  }
  return text.length;
}
