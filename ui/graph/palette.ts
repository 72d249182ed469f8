/** Colours of series: told apart by most eyes, on light and on dark ground. */
const LIGHT = [
  "#1f5fd6",
  "#d9480f",
  "#0b8a5e",
  "#a3269c",
  "#9a6b00",
  "#0b7f9e",
  "#c2255c",
  "#5f3dc4",
  "#4d7c0f",
  "#8b4a2b",
  "#3b5b92",
  "#b0392b",
];
const DARK = [
  "#7aa7ff",
  "#ff9f5a",
  "#4fd1a1",
  "#e58be0",
  "#e6c04a",
  "#5cc8e8",
  "#ff8fb1",
  "#b197fc",
  "#a5d65c",
  "#d9a07a",
  "#9db4d6",
  "#ff8a7a",
];

/** The colour of the n-th series. */
export function seriesColor(index: number, dark: boolean): string {
  const list = dark ? DARK : LIGHT;
  return list[index % list.length]!;
}

/** A colour with transparency, from `#rrggbb`. */
export function withAlpha(color: string, alpha: number): string {
  return `${color}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;
}

/** Steps of the colours of heat maps. */
const HEAT_STEPS = 256;

/** Colours of a heat map from the least to the most. Shape: RGB triples. */
export function heatColors(dark: boolean): Uint8Array {
  const colors = new Uint8Array(HEAT_STEPS * 3);
  for (let i = 0; i < HEAT_STEPS; i++) {
    // Small counts among large ones are told apart by the root.
    const s = Math.sqrt((i + 0.5) / HEAT_STEPS);
    const hue = 205 - 165 * s;
    colors.set(dark ? rgb(hue, 0.75, 0.18 + 0.47 * s) : rgb(hue, 0.78, 0.9 - 0.45 * s), i * 3);
  }
  return colors;
}

/** The colour of a cell, 0 ≤ share ≤ 1. */
export function heatColor(share: number, colors: Uint8Array): string {
  const at = Math.max(0, Math.min(HEAT_STEPS - 1, Math.floor(share * HEAT_STEPS))) * 3;
  return `rgb(${colors[at]} ${colors[at + 1]} ${colors[at + 2]})`;
}

/** Hue in degrees, saturation and lightness up to 1. */
function rgb(hue: number, saturation: number, lightness: number): number[] {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}
