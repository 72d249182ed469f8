/**
 * promql: the query language and its engine. Layer 4; imports model and base only.
 *
 * Sees storage through its own port (storage.ts); whoever has series implements it. Main types:
 * Engine, Storage, Value. The engine keeps samples in typed arrays from storage to result.
 */
export * from "./annotations.ts";
export * from "./ast.ts";
export * from "./ast_check.ts";
export { exprToJson } from "./ast_json.ts";
export { prettyExpr } from "./ast_pretty.ts";
export { printExpr } from "./ast_print.ts";
export * from "./engine.ts";
export * from "./functions.ts";
export type { AnalysisNode } from "./metered.ts";
export * from "./parse_error.ts";
export * from "./parse_options.ts";
export * from "./parser.ts";
export type { QueryTimes } from "./lower.ts";
export { type ExplainNode, explainText, explainTree } from "./plan_print.ts";
export * from "./script.ts";
export * from "./storage.ts";
export * from "./testing_storage.ts";
export * from "./value.ts";
