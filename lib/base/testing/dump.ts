/** Text of samples that tells staleness markers, other NaNs and -0 apart; for assertions. */

/** The columns that can be dumped; a SampleBatch has this shape. */
export interface DumpColumns {
  readonly length: number;
  readonly t: Float64Array;
  readonly v: Float64Array;
  readonly st?: Float64Array | null;
  readonly h?: readonly unknown[] | null;
}

/** One value by its bits: `stale`, `NaN`, `NaN(7ff8…)` for unusual payloads, `-0`, or the number. */
export function dumpValue(values: Float64Array, i: number): string {
  const bits = new Uint32Array(values.buffer, values.byteOffset + i * 8, 2);
  const low = bits[0]!;
  const high = bits[1]!;
  if (high === 0x7ff00000 && low === 2) return "stale";
  const value = values[i]!;
  if (value !== value) {
    if (high === 0x7ff80000 && low <= 1) return "NaN";
    return `NaN(${high.toString(16)}${low.toString(16).padStart(8, "0")})`;
  }
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Samples as `t:value` separated by blanks; histograms as JSON with their sum by bits. */
export function dump(batch: DumpColumns, from = 0, to = batch.length): string {
  const parts: string[] = [];
  for (let i = from; i < to; i++) {
    const st = batch.st === null || batch.st === undefined ? "" : `@${batch.st[i]}`;
    const h = batch.h?.[i];
    parts.push(`${batch.t[i]}${st}:${h === undefined ? dumpValue(batch.v, i) : dumpObject(h)}`);
  }
  return parts.join(" ");
}

function dumpObject(value: unknown): string {
  return JSON.stringify(value, (_key, x: unknown) => {
    if (x instanceof Float64Array) return Array.from(x, (_, i) => dumpValue(x, i));
    if (typeof x === "number" && (!Number.isFinite(x) || Object.is(x, -0))) {
      return dumpValue(Float64Array.of(x), 0);
    }
    return x;
  });
}
