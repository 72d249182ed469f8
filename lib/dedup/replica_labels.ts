/** Replica labels: taking them off moves series, so their order is restored here. */
import { compareLabels, dropLabels, type Labels } from "../model/mod.ts";

/**
 * Takes the labels in `names` off each item and sorts what moved; equal label sets keep the order of
 * the input. Returns the same array when no item has such a label.
 *
 * Shape: `items` ascending by labels; so is the result, in which replicas of one series follow each
 *   other.
 */
export function stripReplicaLabels<T extends { readonly labels: Labels }>(
  items: readonly T[],
  names: ReadonlySet<string>,
): readonly T[] {
  let changed = false;
  let sorted = true;
  const out: T[] = [];
  for (const item of items) {
    const labels = dropLabels(item.labels, names);
    if (labels !== item.labels) changed = true;
    if (sorted && out.length > 0 && compareLabels(out[out.length - 1]!.labels, labels) > 0) {
      sorted = false;
    }
    out.push(labels === item.labels ? item : { ...item, labels });
  }
  if (!changed) return items;
  return sorted ? out : out.sort((a, b) => compareLabels(a.labels, b.labels));
}
