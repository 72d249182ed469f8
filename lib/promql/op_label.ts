/** label_replace and label_join: rows pass, labels change. */
import { MnemeError } from "../base/mod.ts";
import {
  compileReplace,
  expandTemplate,
  type Labels,
  labelValue,
  METRIC_NAME,
  type ReplacePattern,
  withLabel,
} from "../model/mod.ts";
import type { Operator, SeriesList } from "./operator.ts";
import type { Grid, Tile } from "./tile.ts";

/** New labels, or the same object when nothing is set. */
export type Relabel = (labels: Labels) => Labels;

/**
 * Applies a Relabel to every row. A row whose metric name was set keeps it under delayed name
 * removal. Rows may come out with equal labels.
 */
export class LabelOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #relabel: Relabel;
  readonly #setsName: boolean;

  constructor(child: Operator, relabel: Relabel, destination: string) {
    this.grid = child.grid;
    this.#child = child;
    this.#relabel = relabel;
    this.#setsName = destination === METRIC_NAME;
  }

  async series(): Promise<SeriesList> {
    const list = await this.#child.series();
    const labels = list.labels.map(this.#relabel);
    if (list.dropName === null || !this.#setsName) return { labels, dropName: list.dropName };
    const marks = list.dropName.slice();
    for (let i = 0; i < labels.length; i++) if (labels[i] !== list.labels[i]) marks[i] = 0;
    return { labels, dropName: marks };
  }

  next(tile: Tile): number | Promise<number> {
    return this.#child.next(tile);
  }

  close(): void {
    this.#child.close();
  }
}

function isLabelName(name: string): boolean {
  return name !== "" && name.isWellFormed();
}

/** The Relabel of label_replace(v, dst, replacement, src, regex). */
export function labelReplace(
  destination: string,
  replacement: string,
  source: string,
  regex: string,
): Relabel {
  let pattern: ReplacePattern;
  try {
    pattern = compileReplace(regex);
  } catch {
    // Prometheus names the expression only, not why it is no expression.
    throw new MnemeError("execution", `invalid regular expression in label_replace(): ${regex}`);
  }
  if (!isLabelName(destination)) {
    throw new MnemeError(
      "execution",
      `invalid destination label name in label_replace(): ${destination}`,
    );
  }
  const expansions = new Map<string, string | undefined>();
  const expand = (value: string): string | undefined => {
    if (expansions.has(value)) return expansions.get(value);
    const groups = pattern.match(value);
    const text = groups === undefined
      ? undefined
      : expandTemplate(replacement, groups, pattern.groupNames);
    expansions.set(value, text);
    return text;
  };
  return (labels) => {
    const text = expand(labelValue(labels, source));
    if (text === undefined) return labels;
    // A copy even when equal, so that a set metric name is told from an untouched one.
    return withLabel(labels, destination, text);
  };
}

/** The Relabel of label_join(v, dst, separator, src…). */
export function labelJoin(
  destination: string,
  separator: string,
  sources: readonly string[],
): Relabel {
  for (const source of sources) {
    if (!isLabelName(source)) {
      throw new MnemeError("execution", `invalid source label name in label_join(): ${source}`);
    }
  }
  if (!isLabelName(destination)) {
    throw new MnemeError(
      "execution",
      `invalid destination label name in label_join(): ${destination}`,
    );
  }
  return (labels) =>
    withLabel(labels, destination, sources.map((s) => labelValue(labels, s)).join(separator));
}
