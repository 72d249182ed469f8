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

/** The fill of a heat map's cell, 0 ≤ share ≤ 1. */
export function heatColor(share: number, dark: boolean): string {
  const s = Math.sqrt(Math.max(0, Math.min(1, share)));
  const hue = 205 - 165 * s;
  return dark ? `hsl(${hue} 75% ${18 + 47 * s}%)` : `hsl(${hue} 78% ${90 - 45 * s}%)`;
}
