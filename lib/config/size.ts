/** Byte sizes as flags and documents write them: base 2 whatever the unit's spelling. */
import { MnemeError } from "../base/mod.ts";

const UNITS = ["B", "K", "M", "G", "T", "P", "E"] as const;
/** The largest size: int64 bytes, as far as a double holds it exactly below that. */
const MAX = 2 ** 63;

const UNIT_BYTES: ReadonlyMap<string, number> = new Map(
  UNITS.flatMap((unit, i): [string, number][] =>
    i === 0 ? [["B", 1]] : [[`${unit}B`, 1024 ** i], [`${unit}iB`, 1024 ** i]]
  ),
);

/**
 * Parses a size such as `250MB`, `1.5GiB`, `1GiB512MiB` or `0` to bytes; `MB` and `MiB` are both 2^20.
 *
 * Throws: bad_data; a plain non-zero number has no unit and is refused.
 */
export function parseSize(text: string): number {
  if (text === "0") return 0;
  if (text === "") throw new MnemeError("bad_data", "units: empty size");
  let rest = text;
  let bytes = 0;
  while (rest !== "") {
    const m = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
    if (m === null) throw new MnemeError("bad_data", `units: invalid ${text}`);
    const unit = UNIT_BYTES.get(m[2]!);
    if (unit === undefined) {
      throw new MnemeError("bad_data", `units: unknown unit ${m[2]} in ${text}`);
    }
    bytes += Number(m[1]) * unit;
    rest = rest.slice(m[0].length);
  }
  if (bytes >= MAX) throw new MnemeError("bad_data", `units: invalid ${text}: too large`);
  return Math.floor(bytes);
}

/** Prints a size with the largest units that fit: `250MiB`, `1GiB512MiB`, `0B`. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return "0B";
  let text = "";
  let rest = bytes;
  for (let i = UNITS.length - 1; i >= 0; i--) {
    const unit = 1024 ** i;
    const n = Math.floor(rest / unit);
    if (n === 0) continue;
    text += `${n}${UNITS[i]}${i === 0 ? "" : "iB"}`;
    rest -= n * unit;
  }
  return text;
}
