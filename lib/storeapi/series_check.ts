/**
 * Looks at what stores send before it is merged: series whose labels are out of order, given twice
 * or empty would be merged wrongly, silently.
 */
import { compareUtf8 } from "../base/mod.ts";
import { formatLabels, type Labels, labelsFromSorted } from "../model/mod.ts";
import { RpcError, STATUS_INTERNAL } from "../rpc/mod.ts";
import type { Series } from "./types.ts";

/** True when names ascend strictly and no value is empty: what the rest of the program relies on. */
export function isWellFormed(labels: Labels): boolean {
  for (let i = 0; i < labels.length; i += 2) {
    if (labels[i + 1] === "") return false;
    if (i === 0) continue;
    const before = labels[i - 2]!;
    const name = labels[i]!;
    // The order of UTF-16 is that of bytes for nearly all names; only the rest is looked at twice.
    if (before < name ? hasSurrogate(before, name) : true) {
      if (compareUtf8(before, name) >= 0) return false;
    }
  }
  return true;
}

function hasSurrogate(a: string, b: string): boolean {
  return /[\ud800-\udfff]/.test(a) || /[\ud800-\udfff]/.test(b);
}

/**
 * The series in the form the program relies on: labels sorted, empty ones left out; the same array
 * when all are well-formed. `onRepaired` is called once for each series that was not.
 *
 * Throws: internal, for a series that has a label twice.
 */
export function wellFormedSeries(
  series: readonly Series[],
  onRepaired: () => void,
): readonly Series[] {
  let out: Series[] | undefined;
  for (let i = 0; i < series.length; i++) {
    const one = series[i]!;
    if (isWellFormed(one.labels)) {
      out?.push(one);
      continue;
    }
    out ??= series.slice(0, i);
    out.push({ ...one, labels: repaired(one.labels) });
    onRepaired();
  }
  return out ?? series;
}

function repaired(labels: Labels): Labels {
  const pairs: [string, string][] = [];
  for (let i = 0; i < labels.length; i += 2) pairs.push([labels[i]!, labels[i + 1]!]);
  pairs.sort(([a], [b]) => compareUtf8(a, b));
  for (let i = 1; i < pairs.length; i++) {
    if (pairs[i]![0] !== pairs[i - 1]![0]) continue;
    throw new RpcError(
      STATUS_INTERNAL,
      `the store sent label ${pairs[i]![0]} twice in series ${formatLabels(labels)}`,
    );
  }
  return labelsFromSorted(pairs.filter(([, value]) => value !== "").flat());
}
