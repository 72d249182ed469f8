/** What a store gateway tells beside series: statistics of its blocks, and nothing else. */
import type {
  CallContext,
  Catalog,
  Told,
  TsdbStatistics,
  TsdbStatisticsRequest,
} from "../storeapi/mod.ts";

/** Whatever counts its blocks. */
export interface CountedStore {
  statistics(
    request: TsdbStatisticsRequest,
    signal: AbortSignal,
  ): Promise<TsdbStatistics | undefined>;
}

/** The catalog of a store gateway. */
export class BlockCatalog implements Catalog {
  readonly #store: CountedStore;
  constructor(store: CountedStore) {
    this.#store = store;
  }

  rules() {
    return Promise.resolve({ value: [], warnings: [] });
  }
  targets() {
    return Promise.resolve({ value: { activeTargets: [], droppedTargets: [] }, warnings: [] });
  }
  metricMetadata() {
    return Promise.resolve({ value: new Map<string, []>(), warnings: [] });
  }
  exemplars() {
    return Promise.resolve({ value: [], warnings: [] });
  }
  async tsdbStatistics(
    request: TsdbStatisticsRequest,
    context: CallContext,
  ): Promise<Told<ReadonlyMap<string, TsdbStatistics>>> {
    const counted = await this.#store.statistics(request, context.signal);
    return {
      value: new Map(counted === undefined ? [] : [[request.tenant, counted]]),
      warnings: [],
    };
  }
}
