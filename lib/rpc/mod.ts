/**
 * rpc: gRPC in both directions over raw message bytes. Layer 3; imports base.
 *
 * Serving: serveRpc() with Service tables. Calling: connectRpc(). HTTP/2 is spoken in h2/. Message
 * bytes are made and read with ProtoWriter and ProtoReader.
 */
export {
  type CallOptions,
  type ClientTls,
  connectRpc,
  type RpcClient,
  type RpcClientOptions,
} from "./client.ts";
export { connectRpcGroup } from "./group.ts";
export { Health, HEALTH_SERVICE, healthService } from "./health.ts";
export { type FileDescriptor, reflectionServices } from "./reflection.ts";
export { type RpcServer, type RpcServerOptions, serveRpc, type ServerTls } from "./server.ts";
export * from "./service.ts";
export * from "./status.ts";
export * from "./wire.ts";
