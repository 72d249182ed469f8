/**
 * Points in time on a command line: RFC 3339, or a duration relative to now.
 *
 * A relative limit slides: it is evaluated at each use, not once at start-up.
 */
import { formatDuration, MnemeError, parseDuration } from "../base/mod.ts";

/** Earliest default limit, 0000-01-01T00:00:00Z in ms. */
export const MIN_TIME_LIMIT = -62_167_219_200_000;
/** Latest default limit, 9999-12-31T23:59:59Z in ms. */
export const MAX_TIME_LIMIT = 253_402_300_799_000;

/** A point in time, fixed or relative to the moment of asking. */
export interface TimeOrDuration {
  /** Ms since the epoch, for the given present. */
  at(now: number): number;
  /** Canonical text. */
  readonly text: string;
}

const RFC3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Parses an RFC 3339 time to ms since the epoch (floor); undefined when it is not one. */
export function parseRfc3339(text: string): number | undefined {
  const m = RFC3339.exec(text);
  if (m === null) return undefined;
  const [year, month, day, hour, minute, second] = m.slice(1, 7).map(Number) as number[];
  const leap = year! % 4 === 0 && (year! % 100 !== 0 || year! % 400 === 0);
  const days = month === 2 && leap ? 29 : DAYS[month! - 1] ?? 0;
  if (day! < 1 || day! > days || hour! > 23 || minute! > 59 || second! > 59) return undefined;
  const at = new Date(0);
  // Date.UTC reads years below 100 as 19xx; setUTCFullYear does not.
  at.setUTCFullYear(year!, month! - 1, day!);
  at.setUTCHours(hour!, minute!, second!, Math.floor(Number(`0.${m[7] ?? "0"}`) * 1000));
  if (m[8] === undefined) return at.getTime();
  const zoneHours = Number(m[9]);
  const zoneMinutes = Number(m[10]);
  if (zoneHours > 23 || zoneMinutes > 59) return undefined;
  const offset = (zoneHours * 60 + zoneMinutes) * 60_000;
  return m[8] === "+" ? at.getTime() - offset : at.getTime() + offset;
}

/**
 * Parses RFC 3339 or `[-]<model duration>`; a duration counts from now, into the future without `-`.
 * With `bareIsPast` a duration without sign lies in the past, too.
 *
 * Throws: bad_data.
 */
export function parseTimeOrDuration(
  text: string,
  options: { readonly bareIsPast?: boolean } = {},
): TimeOrDuration {
  const fixed = parseRfc3339(text);
  if (fixed !== undefined) return { at: () => fixed, text };
  const negative = text.startsWith("-");
  let duration: number;
  try {
    duration = parseDuration(negative ? text.slice(1) : text);
  } catch (cause) {
    throw new MnemeError("bad_data", `'${text}' is neither an RFC 3339 time nor a duration`, {
      cause,
    });
  }
  const shift = negative || options.bareIsPast === true ? -duration : duration;
  return {
    at: (now) => now + shift,
    text: `${shift < 0 ? "-" : ""}${formatDuration(duration)}`,
  };
}
