/**
 * promql: the query language and its engine. Layer 4; imports model and base only.
 *
 * Sees storage through its own port (storage.ts); whoever has series implements it. Main types:
 * Engine, Storage, Value. The engine keeps samples in typed arrays from storage to result.
 */
export * from "./annotations.ts";
export * from "./storage.ts";
export * from "./value.ts";
