/** A Store in another process, over gRPC. */
import type { CallOptions, RpcClient } from "../rpc/mod.ts";
import type { CallContext, Store } from "./store.ts";
import type {
  ComponentInfo,
  LabelNamesRequest,
  LabelValuesRequest,
  SeriesFrame,
  SeriesRequest,
  StringsResponse,
} from "./types.ts";
import { decodeInfo, INFO_PATH } from "./wire_info.ts";
import {
  decodeSeriesFrame,
  decodeStringsResponse,
  encodeLabelNamesRequest,
  encodeLabelValuesRequest,
  encodeSeriesRequest,
  LABEL_NAMES_PATH,
  LABEL_VALUES_PATH,
  SERIES_PATH,
} from "./wire_store.ts";

/** Size of messages that are decoded at once, bytes. */
const FRAME_BYTES = 512 * 1024;

/** Metadata names of the tenant and the request's id. */
export const TENANT_METADATA = "thanos-tenant";
export const REQUEST_ID_METADATA = "request-id";

/** The remote Store; a frame holds messages that had arrived when it was asked for. */
export class RemoteStore implements Store {
  readonly #client: RpcClient;

  constructor(client: RpcClient) {
    this.#client = client;
  }

  async *series(request: SeriesRequest, context: CallContext): AsyncIterable<SeriesFrame> {
    const { memory } = context;
    const options = {
      ...callOptions(context),
      ...(memory === undefined ? {} : { allocate: (size: number) => memory.allocate(size) }),
    };
    for await (
      const messages of this.#client.stream(SERIES_PATH, encodeSeriesRequest(request), options)
    ) {
      // A little at a time: objects of a frame die young when there are few of them.
      for (let from = 0; from < messages.length;) {
        let to = from;
        let bytes = 0;
        while (to < messages.length && bytes < FRAME_BYTES) bytes += messages[to++]!.length;
        yield decodeSeriesFrame(messages.slice(from, to));
        from = to;
      }
    }
  }

  async labelNames(request: LabelNamesRequest, context: CallContext): Promise<StringsResponse> {
    const bytes = encodeLabelNamesRequest(request);
    return decodeStringsResponse(
      await this.#client.unary(LABEL_NAMES_PATH, bytes, callOptions(context)),
    );
  }

  async labelValues(request: LabelValuesRequest, context: CallContext): Promise<StringsResponse> {
    const bytes = encodeLabelValuesRequest(request);
    return decodeStringsResponse(
      await this.#client.unary(LABEL_VALUES_PATH, bytes, callOptions(context)),
    );
  }
}

/** Asks a component what it offers. */
export async function fetchInfo(
  client: RpcClient,
  options: CallOptions = {},
): Promise<ComponentInfo> {
  return decodeInfo(await client.unary(INFO_PATH, new Uint8Array(0), options));
}

/** Settings of a call on behalf of `context`. */
export function callOptions(context: CallContext): CallOptions {
  const metadata: Record<string, string> = {};
  if (context.tenant !== "") metadata[TENANT_METADATA] = context.tenant;
  if (context.requestId !== undefined) metadata[REQUEST_ID_METADATA] = context.requestId;
  return { signal: context.signal, metadata };
}
