/**
 * Mneme as a library: formats, buckets, PromQL and the Store API, for programs of one's own.
 *
 * Everything here is also what Mneme's own commands are made of; the commands are in `cmd`.
 */
export * as base from "./lib/base/mod.ts";
export * as model from "./lib/model/mod.ts";
export * as chunks from "./lib/chunks/mod.ts";
