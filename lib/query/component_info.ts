/** What a querier says about itself: the union of what its stores offer. */
import {
  compareLabels,
  equalLabels,
  type Labels,
  MAX_TIME,
  mergeLabels,
  MIN_TIME,
} from "../model/mod.ts";
import type { ComponentInfo } from "../storeapi/mod.ts";

/** Info of a querier over endpoints; `selectorLabels` are added to every label set. */
export function componentInfo(
  endpoints: readonly ComponentInfo[],
  selectorLabels: Labels,
): ComponentInfo {
  const stores = endpoints.filter((info) => info.store !== undefined);
  const sets = stores.flatMap((info) => info.labelSets)
    .map((labels) => mergeLabels(labels, selectorLabels))
    .sort(compareLabels)
    .filter((labels, i, all) => i === 0 || !equalLabels(labels, all[i - 1]!));
  if (sets.length === 0 && selectorLabels.length > 0) sets.push(selectorLabels);
  const minTimes = stores.map((info) => info.store!.minTime);
  const maxTimes = stores.map((info) => info.store!.maxTime);
  return {
    labelSets: sets,
    componentType: "query",
    store: {
      minTime: stores.length === 0 ? MIN_TIME : Math.min(...minTimes),
      maxTime: stores.length === 0 ? MAX_TIME : Math.max(...maxTimes),
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
      tsdbInfos: stores.flatMap((info) => info.store!.tsdbInfos).map((tsdb) => ({
        ...tsdb,
        labels: mergeLabels(tsdb.labels, selectorLabels),
      })),
      fillsWithCoarser: true,
    },
    rules: true,
    metricMetadata: true,
    targets: true,
    exemplars: { minTime: MIN_TIME, maxTime: MAX_TIME },
    query: true,
    status: true,
  };
}
