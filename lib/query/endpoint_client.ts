/** Connections to endpoints: over gRPC, or straight to a part of the same process. */
import { type ClientObserver, connectRpc, connectRpcGroup } from "../rpc/mod.ts";
import { fetchInfo, RemoteCatalog, RemoteQuery, RemoteStore } from "../storeapi/mod.ts";
import { PLAIN_CLIENT, rpcOptions } from "./client_settings.ts";
import type { EndpointClient, EndpointSpec } from "./endpoint_set.ts";

/** What all connections share. */
export interface ConnectorOptions {
  readonly observer: ClientObserver;
  /** Endpoints of this process by address. */
  readonly local: ReadonlyMap<string, EndpointClient>;
  /** Largest message that is accepted, bytes. */
  readonly maxReceiveBytes: number;
  /** Reads certificates. */
  readonly readFile: (path: string) => Uint8Array;
}

/** Connects to endpoints, each with its own settings. */
export function endpointConnector(
  options: ConnectorOptions,
): (spec: EndpointSpec) => EndpointClient {
  const { observer, local, maxReceiveBytes, readFile } = options;
  return (spec) => {
    const here = local.get(spec.address);
    if (here !== undefined) return here;
    const settings = {
      ...rpcOptions(spec.client ?? PLAIN_CLIENT, readFile),
      maxReceiveBytes,
      observer,
    };
    const client = spec.members === undefined
      ? connectRpc(spec.address, settings)
      : connectRpcGroup(spec.address, spec.members, settings);
    return {
      info: (signal, timeoutMs) => fetchInfo(client, { signal, timeoutMs, waitForReady: true }),
      store: new RemoteStore(client),
      catalog: new RemoteCatalog(client),
      query: new RemoteQuery(client),
      close: () => client.close(),
    };
  };
}
