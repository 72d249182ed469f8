/**
 * runtime: the process. Layer 8; the one library module that may use Deno's own API freely.
 *
 * Programs made of commands, actors and their group, operating system signals, the HTTP and gRPC
 * servers, child processes, metrics of the process.
 * Main types: Command, CommandEnv, Actor, HttpServer, GrpcServer, ChildProcess.
 */
export * from "./child_process.ts";
export * from "./data_directory.ts";
export * from "./data_directory_check.ts";
export * from "./find_files.ts";
export * from "./grpc_metrics.ts";
export * from "./grpc_server.ts";
export * from "./grpc_trace.ts";
export { GrpcTlsFiles } from "./grpc_tls.ts";
export * from "./http_client.ts";
export * from "./http_server.ts";
export * from "./page_files.ts";
export * from "./process_metrics.ts";
export * from "./profiler.ts";
export * from "./program.ts";
export * from "./query_journal.ts";
export * from "./run_group.ts";
export * from "./signals.ts";
export * from "./watch_files.ts";
export { WebConfigFile } from "./web_config.ts";
