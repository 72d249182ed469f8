/**
 * Mneme as a library: formats, buckets, the Store API and PromQL, for programs of one's own.
 *
 * The commands in `cmd` are made of nothing else. Modules are namespaces, lowest layer first:
 *
 * ```ts
 * import { promql, query } from "./mod.ts";
 * const storage = query.BlockStorage.open("./data/bucket");
 * const result = await new promql.Engine().instantQuery({
 *   query: "sum(up)",
 *   time: Date.now(),
 *   storage,
 * });
 * ```
 */
export * as base from "./lib/base/mod.ts";
export * as model from "./lib/model/mod.ts";
export * as chunks from "./lib/chunks/mod.ts";
export * as objstore from "./lib/objstore/mod.ts";
export * as rpc from "./lib/rpc/mod.ts";
export * as tsdb from "./lib/tsdb/mod.ts";
export * as storeapi from "./lib/storeapi/mod.ts";
export * as promql from "./lib/promql/mod.ts";
export * as block from "./lib/block/mod.ts";
export * as dedup from "./lib/dedup/mod.ts";
export * as query from "./lib/query/mod.ts";
export * as store from "./lib/store/mod.ts";
