/** Points in time: int64 limits of stores, time zones, text in and out. All in ms. */

/** Stores tell "no limit" as the extremes of int64; JSON numbers lose their last digits. */
const NO_LIMIT = 2 ** 63 - 1024;

/** True when a store's bound means that there is none. */
export function isUnlimited(ms: number): boolean {
  return !(Math.abs(ms) < NO_LIMIT);
}

/** Before and after these, a bound is a way to say that there is none. */
const EARLIEST = Date.UTC(1980, 0, 1);
const LATEST = Date.UTC(9000, 0, 1);

/** True for bounds that a person would not call one: int64's ends, year 0, year 9999. */
export function isOpen(ms: number): boolean {
  return isUnlimited(ms) || ms < EARLIEST || ms > LATEST;
}

/** Largest |ms| a Date can hold. */
const MAX_DATE = 8.64e15;

/** `utc`, `local`, or an IANA name. */
export type Zone = string;

interface Fields {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

const formats = (zone: Zone) =>
  new Intl.DateTimeFormat("en-CA", {
    ...(zone === "local" ? {} : { timeZone: zone === "utc" ? "UTC" : zone }),
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });

/** True for `utc`, `local` and the names the browser knows. */
export function isZone(text: string): boolean {
  if (text === "utc" || text === "local") return true;
  try {
    formats(text);
    return /^[A-Za-z0-9_+\-/]+$/.test(text);
  } catch {
    return false;
  }
}

/** A formatter for one zone; making one is slow, using it is not. */
export class ZoneClock {
  readonly zone: Zone;
  readonly #format: Intl.DateTimeFormat | undefined;

  constructor(zone: Zone) {
    this.zone = zone;
    this.#format = zone === "utc" ? undefined : formats(zone);
  }

  /** Name for people. */
  get name(): string {
    if (this.zone === "utc") return "UTC";
    return this.#format!.resolvedOptions().timeZone;
  }

  #fields(ms: number): Fields {
    if (this.#format === undefined) {
      const d = new Date(ms);
      return {
        year: d.getUTCFullYear(),
        month: d.getUTCMonth() + 1,
        day: d.getUTCDate(),
        hour: d.getUTCHours(),
        minute: d.getUTCMinutes(),
        second: d.getUTCSeconds(),
      };
    }
    const parts: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(ms)) parts[type] = Number(value);
    return parts as unknown as Fields;
  }

  /** `2026-09-12 08:30:00`, with `.123` where there are fractions. */
  format(ms: number): string {
    if (!(Math.abs(ms) <= MAX_DATE)) return "no date";
    const f = this.#fields(ms);
    const fraction = Math.abs(ms % 1000);
    return `${this.date(ms)} ${two(f.hour)}:${two(f.minute)}:${two(f.second)}` +
      (fraction === 0 ? "" : `.${String(Math.floor(fraction)).padStart(3, "0")}`);
  }

  /** `2026-09-12`. */
  date(ms: number): string {
    if (!(Math.abs(ms) <= MAX_DATE)) return "no date";
    const f = this.#fields(ms);
    return `${String(f.year).padStart(4, "0")}-${two(f.month)}-${two(f.day)}`;
  }

  /** `08:30`. */
  clock(ms: number): string {
    const f = this.#fields(ms);
    return `${two(f.hour)}:${two(f.minute)}`;
  }

  /** What an axis shows for ticks that are `spacing` ms apart. */
  tick(ms: number, spacing: number): string {
    const f = this.#fields(ms);
    if (spacing >= 86_400_000) {
      return spacing >= 28 * 86_400_000 ? this.date(ms).slice(0, 7) : this.date(ms).slice(5);
    }
    const time = spacing < 60_000 ? `${this.clock(ms)}:${two(f.second)}` : this.clock(ms);
    return f.hour === 0 && f.minute === 0 && f.second === 0 ? this.date(ms).slice(5) : time;
  }

  /**
   * Reads `2026-09-12 08:30[:00[.123]]`, a date alone, ISO 8601 with a zone, or seconds or ms since
   * the epoch; undefined for anything else.
   */
  parse(text: string): number | undefined {
    const trimmed = text.trim();
    if (/^-?\d{9,11}(?:\.\d+)?$/.test(trimmed)) return Math.round(Number(trimmed) * 1000);
    if (/^-?\d{12,14}$/.test(trimmed)) return Number(trimmed);
    const match =
      /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/i
        .exec(trimmed);
    if (match === null) return undefined;
    const [, y, mo, d, h = "0", mi = "0", s = "0", fraction = "", zone] = match;
    const wall = Date.UTC(+y!, +mo! - 1, +d!, +h, +mi, +s) +
      Math.trunc(Number(`0${fraction}`) * 1000);
    const check = new Date(wall);
    if (
      check.getUTCMonth() !== +mo! - 1 || check.getUTCDate() !== +d! || +h > 23 || +mi > 59 ||
      +s > 60
    ) {
      return undefined;
    }
    if (zone !== undefined) {
      if (/^z$/i.test(zone)) return wall;
      const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
      return wall - (zone[0] === "-" ? -1 : 1) * minutes * 60_000;
    }
    return wall - this.#offset(wall);
  }

  /** Offset of the zone at a wall time, ms: asked twice, since it depends on its own answer. */
  #offset(wall: number): number {
    if (this.zone === "utc") return 0;
    const offsetAt = (ms: number) => {
      const f = this.#fields(ms);
      return Date.UTC(f.year, f.month - 1, f.day, f.hour, f.minute, f.second) -
        Math.floor(ms / 1000) * 1000;
    };
    return offsetAt(wall - offsetAt(wall));
  }
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}

/** `5 s ago`, `in 3 min`. */
export function ago(ms: number, now: number): string {
  const distance = Math.abs(now - ms);
  const steps: readonly (readonly [number, string])[] = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1000, "s"],
  ];
  const [size, unit] = steps.find(([size]) => distance >= size) ?? [1, "ms"];
  const text = `${Math.floor(distance / size)} ${unit}`;
  return distance < 1000 ? "just now" : now >= ms ? `${text} ago` : `in ${text}`;
}

const MONTH = 28 * 86_400_000;

/** Times for the ticks of an axis and how far they are apart, ms: whole months for long spans. */
export function timeTicks(
  from: number,
  to: number,
  count: number,
  clock: ZoneClock,
): { readonly times: number[]; readonly spacing: number } {
  const spacing = tickSpacing(to - from, count);
  const times: number[] = [];
  if (!(to > from)) return { times, spacing };
  if (spacing >= MONTH) {
    const months = [1, 2, 3, 6, 12, 24, 60, 120, 600].find((n) =>
      n * 30 * 86_400_000 >= (to - from) / count
    ) ?? 1200;
    const [year, month] = clock.date(from).split("-").map(Number) as [number, number];
    const first = Math.floor((year * 12 + month - 1) / months) * months;
    for (let m = first; times.length < 200; m += months) {
      const time = clock.parse(
        `${String(Math.floor(m / 12)).padStart(4, "0")}-${two(m % 12 + 1)}-01`,
      );
      if (time === undefined || time > to) break;
      if (time >= from) times.push(time);
    }
    return { times, spacing };
  }
  // Days begin at midnight of the zone, not of UTC.
  const day = spacing < 3_600_000 ? undefined : clock.parse(clock.date(from));
  const origin = day ?? 0;
  for (
    let t = Math.ceil((from - origin) / spacing) * spacing + origin;
    t <= to && times.length < 200;
    t += spacing
  ) {
    times.push(t);
  }
  return { times, spacing };
}

/** Round distances of ticks: the smallest that keeps at most `count` ticks in `span` ms. */
export function tickSpacing(span: number, count: number): number {
  const s = 1000, m = 60 * s, h = 60 * m, d = 24 * h;
  const nice = [
    1,
    10,
    100,
    s,
    5 * s,
    10 * s,
    30 * s,
    m,
    5 * m,
    10 * m,
    30 * m,
    h,
    2 * h,
    3 * h,
    6 * h,
    12 * h,
    d,
    2 * d,
    7 * d,
    14 * d,
    28 * d,
    91 * d,
    182 * d,
    364 * d,
  ];
  const least = span / Math.max(1, count);
  return nice.find((size) => size >= least) ?? Math.ceil(least / (364 * d)) * 364 * d;
}
