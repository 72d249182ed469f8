/** Finding metrics by parts of their names and of what is said about them. */

/** A metric with what its targets tell. */
export interface MetricEntry {
  readonly name: string;
  /** `counter`, `gauge`, …; "" = unknown. */
  readonly type: string;
  readonly help: string;
  readonly unit: string;
}

/** Metadata of a metric, as the API has it. */
export interface MetadataJson {
  readonly type?: string;
  readonly help?: string;
  readonly unit?: string;
}

/** Suffixes of series whose metadata stand under the name without. */
const SUFFIXES = /_(?:bucket|sum|count|total|created|info)$/;

/** Names with their metadata, in order. */
export function metricEntries(
  names: readonly string[],
  metadata: Readonly<Record<string, readonly MetadataJson[]>>,
): MetricEntry[] {
  const of = (name: string) => Object.hasOwn(metadata, name) ? metadata[name]?.[0] : undefined;
  return names.map((name) => {
    const known = of(name) ?? of(name.replace(SUFFIXES, ""));
    return {
      name,
      type: known?.type === "unknown" ? "" : known?.type ?? "",
      help: known?.help ?? "",
      unit: known?.unit ?? "",
    };
  });
}

/** Those that have every word in name, type or help; hits in the name first, its beginning before all. */
export function searchMetrics(all: readonly MetricEntry[], text: string): MetricEntry[] {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return [...all];
  const ranked: { readonly entry: MetricEntry; readonly rank: number }[] = [];
  for (const entry of all) {
    const name = entry.name.toLowerCase();
    const more = `${entry.type} ${entry.help}`.toLowerCase();
    let rank = 0;
    for (const word of words) {
      const at = name.indexOf(word);
      rank += at === 0 ? 0 : at > 0 ? 1 : more.includes(word) ? 10 : Infinity;
    }
    if (rank < Infinity) ranked.push({ entry, rank });
  }
  // Sorting is stable: names stay in order among equals.
  return ranked.sort((a, b) => a.rank - b.rank).map(({ entry }) => entry);
}
