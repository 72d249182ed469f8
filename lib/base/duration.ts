/**
 * The two duration syntaxes of the field, in milliseconds.
 *
 * "Model" durations are Prometheus' (`1h30m`, integers, y w d h m s ms in this order); "flag"
 * durations are Go's with d and w added (`1.5h`, signs, ns and µs).
 */
import { MnemeError } from "./errors.ts";

const UNITS: readonly (readonly [string, number])[] = [
  ["y", 365 * 86_400_000],
  ["w", 7 * 86_400_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
];
const MODEL = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;
const MAX = 9_223_372_036_854; // int64 nanoseconds, in ms

/** Parses a model duration such as `1h30m` or `0`; throws bad_data with Prometheus' wording. */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  if (text === "") throw new MnemeError("bad_data", "empty duration string");
  const parts = MODEL.exec(text);
  if (parts === null) {
    const unit = /^\d+([^\d]*)/.exec(text)?.[1];
    const known = unit !== undefined && UNITS.some(([name]) => name === unit);
    if (unit === "") throw new MnemeError("bad_data", `missing unit in duration "${text}"`);
    throw new MnemeError(
      "bad_data",
      known || unit === undefined
        ? `not a valid duration string: "${text}"`
        : `unknown unit "${unit}" in duration "${text}"`,
    );
  }
  let ms = 0;
  for (let i = 0; i < UNITS.length; i++) {
    const digits = parts[i + 1];
    if (digits !== undefined) ms += Number(digits) * UNITS[i]![1];
  }
  if (ms > MAX) throw new MnemeError("bad_data", "duration out of range");
  return ms;
}

/** Prints a duration as Prometheus does: y and w only when they divide exactly. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  let rest = Math.abs(ms);
  let text = ms < 0 ? "-" : "";
  for (const [unit, size] of UNITS) {
    const exactOnly = unit === "y" || unit === "w";
    if (exactOnly && rest % size !== 0) continue;
    const n = Math.floor(rest / size);
    if (n > 0) {
      text += `${n}${unit}`;
      rest -= n * size;
    }
  }
  return text;
}

const GO_UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3,
  "μs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** Parses a flag duration such as `1.5h`, `-30s`, `2d12h` or `0`; fractions of a ms are kept. */
export function parseGoDuration(text: string): number {
  const negative = text.startsWith("-");
  let rest = negative || text.startsWith("+") ? text.slice(1) : text;
  if (rest === "0") return 0;
  if (rest === "") throw new MnemeError("bad_data", `time: invalid duration "${text}"`);
  let ms = 0;
  while (rest !== "") {
    const m = /^(\d+\.?\d*|\.\d+)([a-zµμ]*)/.exec(rest);
    if (m === null) throw new MnemeError("bad_data", `time: invalid duration "${text}"`);
    if (m[2] === "") {
      throw new MnemeError("bad_data", `time: missing unit in duration "${text}"`);
    }
    const unit = GO_UNITS[m[2]!];
    if (unit === undefined) {
      throw new MnemeError("bad_data", `time: unknown unit "${m[2]}" in duration "${text}"`);
    }
    ms += Number(m[1]) * unit;
    rest = rest.slice(m[0].length);
  }
  if (ms > MAX) throw new MnemeError("bad_data", `time: invalid duration "${text}"`);
  return negative ? -ms : ms;
}

/** Prints a duration as Go's time.Duration does: `1h0m0s`, `1.5s`, `20ms`, `0s`. */
export function formatGoDuration(ms: number): string {
  if (ms === 0) return "0s";
  const sign = ms < 0 ? "-" : "";
  const ns = Math.round(Math.abs(ms) * 1e6);
  if (ns < 1e3) return `${sign}${ns}ns`;
  if (ns < 1e6) return `${sign}${ns / 1e3}µs`;
  if (ns < 1e9) return `${sign}${ns / 1e6}ms`;
  const totalSeconds = Math.floor(ns / 1e9);
  const fraction = (ns % 1e9).toString().padStart(9, "0").replace(/0+$/, "");
  const seconds = `${totalSeconds % 60}${fraction === "" ? "" : "." + fraction}s`;
  const minutes = Math.floor(totalSeconds / 60);
  if (minutes === 0) return sign + seconds;
  const hours = Math.floor(minutes / 60);
  return hours === 0
    ? `${sign}${minutes}m${seconds}`
    : `${sign}${hours}h${minutes % 60}m${seconds}`;
}
