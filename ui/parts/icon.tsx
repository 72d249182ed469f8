/** Line icons, drawn on a grid of 16. */
const PATHS = {
  play: "M5 3.5v9l7-4.500z",
  stop: "M4.500 4.500h7v7h-7z",
  plus: "M8 3.500v9M3.500 8h9",
  minus: "M3.500 8h9",
  close: "M4 4l8 8M12 4l-8 8",
  left: "M10 3.500L5.500 8l4.500 4.500",
  right: "M6 3.500L10.500 8 6 12.500",
  down: "M3.500 6L8 10.500 12.500 6",
  search: "M7 2.500a4.500 4.500 0 100 9 4.500 4.500 0 000-9zM10.300 10.300L13.500 13.500",
  copy: "M6 5.500h7v8H6zM3 10.500v-8h7",
  link:
    "M6.500 9.500l3-3M7 4.500l1.500-1.500a3 3 0 014.300 4.300L11.300 8.700M9 11.500L7.500 13a3 3 0 01-4.300-4.300l1.500-1.500",
  download: "M8 2.500v7M4.800 6.500L8 9.800l3.200-3.300M3 13h10",
  warning: "M8 2.500l6 11H2zM8 6.500v3.200M8 11.500v.3",
  info: "M8 2.500a5.500 5.500 0 100 11 5.500 5.500 0 000-11zM8 7.200v3.500M8 5v.3",
  check: "M3.500 8.500l3 3 6-7",
  sun:
    "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1.500v1.300M8 13.200v1.300M1.500 8h1.300M13.200 8h1.300M3.400 3.400l.9.9M11.700 11.700l.9.9M12.600 3.400l-.9.9M4.300 11.700l-.9.9",
  moon: "M13 9.500A5.500 5.500 0 016.500 3 5.500 5.500 0 1013 9.500z",
  auto: "M8 2.500a5.500 5.500 0 100 11zM8 2.500a5.500 5.500 0 010 11",
  gear: "M3 4.500h10M3 8h10M3 11.500h10M6 3v3M10.500 6.500v3M5 10v3",
  trash: "M3.500 4.500h9M6.500 4.500V3h3v1.500M5 4.500l.5 8.500h5l.5-8.500",
  twice: "M5.500 5.500h7v7h-7zM3.500 10.500v-7h7",
  format: "M3 4h10M5 7h8M5 10h6M3 13h10",
  refresh: "M13 4v3h-3M12.600 7A5 5 0 103 8.500",
  list: "M6 4h7.500M6 8h7.500M6 12h7.500M2.500 4h.5M2.500 8h.5M2.500 12h.5",
} as const;

export type IconName = keyof typeof PATHS;

/** An icon beside a text that says the same, or inside a button with a label. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
