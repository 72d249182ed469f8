/** The contract suite over a Store in memory: directly, over gRPC, and behind a proxy. */
import { connectRpc, serveRpc } from "../rpc/mod.ts";
import { MAX_TIME, MIN_TIME } from "../model/mod.ts";
import { type AcceptanceData, storeAcceptance } from "./acceptance.ts";
import { RemoteStore } from "./client.ts";
import { type ProxiedStore, StoreProxy } from "./proxy.ts";
import { storeService } from "./server.ts";
import type { Store } from "./store.ts";
import { encodeSeriesData } from "./testing/fixtures.ts";
import { MemoryStore } from "./testing/memory_store.ts";

function memory(data: AcceptanceData, keep: (i: number) => boolean = () => true): Store {
  return new MemoryStore({
    series: data.series.filter((_, i) => keep(i)).map((s) => encodeSeriesData(s)),
    externalLabels: data.externalLabels,
  });
}

function proxied(store: Store, address: string, able: boolean): ProxiedStore {
  return {
    address,
    store,
    labelSets: [],
    unhealthy: undefined,
    info: {
      minTime: MIN_TIME,
      maxTime: MAX_TIME,
      supportsSharding: able,
      supportsWithoutReplicaLabels: able,
      tsdbInfos: [],
    },
  };
}

storeAcceptance({
  name: "memory",
  // deno-lint-ignore require-await
  make: async (data) => ({ store: memory(data), close: () => {} }),
});

storeAcceptance({
  name: "remote",
  network: true,
  make: async (data) => {
    const server = await serveRpc({
      address: "127.0.0.1:0",
      services: [storeService(memory(data))],
    });
    const client = connectRpc(server.address);
    return {
      store: new RemoteStore(client),
      async close() {
        client.close();
        await server.stop(1000);
      },
    };
  },
});

/** A store that knows neither sharding nor replica labels, like an old one. */
function unable(store: Store): Store {
  return {
    series: ({ shardInfo: _, ...request }, context) =>
      store.series({ ...request, withoutReplicaLabels: [], limit: 0 }, context),
    labelNames: (request, context) => store.labelNames(request, context),
    labelValues: (request, context) => store.labelValues(request, context),
  };
}

for (const strategy of ["eager", "lazy"] as const) {
  for (const able of [true, false]) {
    storeAcceptance({
      name: `proxy, ${strategy}${able ? "" : ", old stores"}`,
      // deno-lint-ignore require-await
      make: async (data) => {
        // Three stores; every series is in one or two of them.
        const parts = [0, 1, 2].map((k) => memory(data, (i) => i % 3 === k || i % 4 === k));
        const stores = parts.map((s, k) => proxied(able ? s : unable(s), `s${k}:1`, able));
        const store = new StoreProxy({ stores: () => stores, strategy, maxBufferedFrames: 1 });
        return { store, close: () => {} };
      },
    });
  }
}

storeAcceptance({
  name: "proxy, one store",
  // deno-lint-ignore require-await
  make: async (data) => ({
    store: new StoreProxy({ stores: () => [proxied(memory(data), "s:1", true)] }),
    close: () => {},
  }),
});
