/** Numbers in and out: PromQL's text, axis labels, sizes. */

/** Reads a sample's text, `+Inf` and `NaN` included. */
export function parseSample(text: string): number {
  if (text === "+Inf" || text === "Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  return Number(text);
}

const SI: readonly (readonly [number, string])[] = [
  [1e24, "Y"],
  [1e21, "Z"],
  [1e18, "E"],
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** A short form for axes: `1.5M`, `300µ`. */
export function shortNumber(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  const abs = Math.abs(value);
  if (abs === 0) return "0";
  const found = SI.find(([size]) => abs >= size);
  if (found !== undefined) return `${Number((value / found[0]).toPrecision(digits))}${found[1]}`;
  if (abs >= 0.001) return String(Number(value.toPrecision(digits)));
  if (abs >= 1e-6) return `${Number((value * 1e6).toPrecision(digits))}µ`;
  return value.toExponential(2);
}

/** Whole numbers with thin spaces between thousands. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u2009");
}

/** `1.5 MiB`. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : Number(size.toPrecision(3))} ${units[unit]}`;
}

/** `1 series`, `2 blocks`: the count with its word. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}
