/** Connections to endpoints: over gRPC, or straight to a part of the same process. */
import { type ClientObserver, connectRpc } from "../rpc/mod.ts";
import { fetchInfo, RemoteCatalog, RemoteStore } from "../storeapi/mod.ts";
import type { EndpointClient, EndpointSpec } from "./endpoint_set.ts";

/** Connects to endpoints; an address in `local` is one of this process. */
export function endpointConnector(
  observer: ClientObserver,
  local: ReadonlyMap<string, EndpointClient>,
): (spec: EndpointSpec) => EndpointClient {
  return ({ address }) => {
    const here = local.get(address);
    if (here !== undefined) return here;
    const client = connectRpc(address, { observer });
    return {
      info: (signal, timeoutMs) => fetchInfo(client, { signal, timeoutMs, waitForReady: true }),
      store: new RemoteStore(client),
      catalog: new RemoteCatalog(client),
      close: () => client.close(),
    };
  };
}
