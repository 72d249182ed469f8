/** Serves a Store and its Info over gRPC. */
import { MnemeError } from "../base/mod.ts";
import type { ServerCall, Service } from "../rpc/mod.ts";
import { REQUEST_ID_METADATA, TENANT_METADATA } from "./client.ts";
import type { CallContext, Store } from "./store.ts";
import type { ComponentInfo, Series, SeriesFrame } from "./types.ts";
import { encodeInfo, INFO_SERVICE } from "./wire_info.ts";
import {
  aggrChunkSize,
  decodeLabelNamesRequest,
  decodeLabelValuesRequest,
  decodeSeriesRequest,
  encodeHints,
  encodeSeriesBatch,
  encodeStringsResponse,
  encodeWarning,
  labelsSize,
  STORE_SERVICE,
} from "./wire_store.ts";

/** Settings of a served Store. */
export interface StoreServiceOptions {
  /** Tenant of calls that name none. */
  readonly defaultTenant?: string;
}

/** Bytes at which a message is sent, even when it holds fewer series than asked for. */
const MESSAGE_BYTES = 1024 * 1024;

/** The thanos.Store service over `store`. */
export function storeService(store: Store, options: StoreServiceOptions = {}): Service {
  const tenant = options.defaultTenant ?? "default-tenant";
  const context = (call: ServerCall): CallContext => {
    const requestId = call.metadata.get(REQUEST_ID_METADATA);
    return {
      signal: call.signal,
      tenant: call.metadata.get(TENANT_METADATA) ?? tenant,
      ...(requestId === undefined ? {} : { requestId }),
    };
  };
  return {
    name: STORE_SERVICE,
    methods: {
      Series: {
        kind: "server_stream",
        handle(bytes, call) {
          const request = decodeSeriesRequest(bytes);
          return store.seriesMessages?.(request, context(call)) ??
            encodeFrames(store.series(request, context(call)), request.responseBatchSize);
        },
        recycle: (message) => store.recycleMessage?.(message),
      },
      LabelNames: {
        kind: "unary",
        async handle(bytes, call) {
          const request = decodeLabelNamesRequest(bytes);
          return encodeStringsResponse(await store.labelNames(request, context(call)));
        },
      },
      LabelValues: {
        kind: "unary",
        async handle(bytes, call) {
          const request = decodeLabelValuesRequest(bytes);
          if (request.label === "") {
            throw new MnemeError("bad_data", "label name parameter cannot be empty");
          }
          return encodeStringsResponse(await store.labelValues(request, context(call)));
        },
      },
    },
  };
}

/** The thanos.info.Info service; `info` throws while the component is not ready. */
export function infoService(info: () => ComponentInfo): Service {
  return {
    name: INFO_SERVICE,
    methods: {
      Info: { kind: "unary", handle: () => Promise.resolve().then(() => encodeInfo(info())) },
    },
  };
}

/**
 * Turns frames into messages: up to `batchSize` series each (0 and 1: one series), fewer when they
 * are large; a series larger than a message goes on in the next one. Warnings and hints keep their
 * place: series that came before them are sent first.
 */
export async function* encodeFrames(
  frames: AsyncIterable<SeriesFrame>,
  batchSize: number,
): AsyncIterable<Uint8Array> {
  const most = Math.max(1, batchSize);
  let pending: Series[] = [];
  let size = 0;
  const flush = () => {
    const message = encodeSeriesBatch(pending, size + (size >> 4) + 64);
    pending = [];
    size = 0;
    return message;
  };
  for await (const frame of frames) {
    if (pending.length > 0 && (frame.warnings.length > 0 || frame.hints !== undefined)) {
      yield flush();
    }
    for (const warning of frame.warnings) yield encodeWarning(warning);
    for (const series of frame.series) {
      for (const part of splitSeries(series)) {
        pending.push(part.series);
        size += part.size;
        if (pending.length >= most || size >= MESSAGE_BYTES) yield flush();
      }
    }
    if (frame.hints !== undefined) {
      if (pending.length > 0) yield flush();
      yield encodeHints(frame.hints);
    }
  }
  if (pending.length > 0) yield flush();
}

/** The series in parts of about MESSAGE_BYTES, with their sizes; nearly always one part. */
function splitSeries(series: Series): { series: Series; size: number }[] {
  const { labels, chunks } = series;
  const base = labelsSize(labels);
  const parts: { series: Series; size: number }[] = [];
  let from = 0;
  let size = base;
  for (let i = 0; i < chunks.length; i++) {
    size += aggrChunkSize(chunks[i]!) + 6;
    if (size > MESSAGE_BYTES && i + 1 < chunks.length) {
      parts.push({ series: { labels, chunks: chunks.slice(from, i + 1) }, size });
      from = i + 1;
      size = base;
    }
  }
  parts.push({ series: from === 0 ? series : { labels, chunks: chunks.slice(from) }, size });
  return parts;
}
