/** The Query API: PromQL evaluated by another querier, over gRPC in both directions. */
import { errorKind, errorMessage, MnemeError } from "../base/mod.ts";
import type { Matcher } from "../model/mod.ts";
import {
  type RpcClient,
  RpcError,
  type ServerCall,
  type Service,
  STATUS_ABORTED,
} from "../rpc/mod.ts";
import { callOptions, REQUEST_ID_METADATA, TENANT_METADATA } from "./client.ts";
import type { CallContext } from "./store.ts";
import type { ShardInfo } from "./types.ts";
import {
  decodeQueryFrames,
  decodeQueryRequest,
  encodeQueryRequest,
  encodeQueryStats,
  encodeQueryWarnings,
  encodeSeriesMessages,
} from "./wire_query.ts";
import type { SampledSeries } from "./wire_samples.ts";

export const QUERY_SERVICE = "thanos.Query";
const INSTANT_PATH = `/${QUERY_SERVICE}/Query`;
const RANGE_PATH = `/${QUERY_SERVICE}/QueryRange`;

/** A query for another querier. Units: ms; the wire has whole seconds and, of ours, ms beside them. */
export interface RemoteQueryRequest {
  readonly query: string;
  /** An instant query has step 0 and start = end. */
  readonly start: number;
  readonly end: number;
  readonly step: number;
  /** 0 = that of the other querier. */
  readonly timeout: number;
  /** Coarsest acceptable resolution; 0 = the other querier's own choice. */
  readonly maxResolution: number;
  /** Empty = those of the other querier. */
  readonly replicaLabels: readonly string[];
  readonly storeMatchers: readonly (readonly Matcher[])[];
  readonly deduplicate: boolean;
  readonly partialResponse: boolean;
  readonly shardInfo?: ShardInfo;
  /** 0 = that of the other querier. */
  readonly lookbackDelta: number;
  readonly engine: "default" | "prometheus" | "thanos";
  /** Series a message. */
  readonly batchSize: number;
}

/** Counts of an evaluation. */
export interface RemoteQueryStats {
  readonly samplesTotal: number;
  readonly peakSamples: number;
}

/** What a query evaluates to; a scalar is one series without labels. */
export interface RemoteQueryAnswer {
  readonly series: readonly SampledSeries[];
  readonly warnings: readonly string[];
  readonly stats: RemoteQueryStats | undefined;
}

/** Whatever evaluates queries. Errors are MnemeErrors. */
export interface QueryApi {
  query(request: RemoteQueryRequest, context: CallContext): Promise<RemoteQueryAnswer>;
}

/** The Query API of a component elsewhere. */
export class RemoteQuery implements QueryApi {
  readonly #client: RpcClient;
  constructor(client: RpcClient) {
    this.#client = client;
  }

  async query(request: RemoteQueryRequest, context: CallContext): Promise<RemoteQueryAnswer> {
    const path = request.step === 0 ? INSTANT_PATH : RANGE_PATH;
    const series: SampledSeries[] = [];
    const warnings: string[] = [];
    let stats: RemoteQueryStats | undefined;
    const stream = this.#client.stream(path, encodeQueryRequest(request), callOptions(context));
    for await (const messages of stream) {
      for (const message of messages) {
        const frame = decodeQueryFrames(message);
        for (const one of frame.series) series.push(one);
        for (const warning of frame.warnings) warnings.push(warning);
        stats = frame.stats ?? stats;
      }
    }
    return { series, warnings, stats };
  }
}

/** The thanos.Query service over `api`. */
export function queryService(api: QueryApi, defaultTenant = "default-tenant"): Service {
  async function* answer(bytes: Uint8Array, call: ServerCall, ranged: boolean) {
    const request = decodeQueryRequest(bytes, ranged);
    const requestId = call.metadata.get(REQUEST_ID_METADATA);
    let result: RemoteQueryAnswer;
    try {
      result = await api.query(request, {
        signal: call.signal,
        tenant: call.metadata.get(TENANT_METADATA) ?? defaultTenant,
        ...(requestId === undefined ? {} : { requestId }),
      });
    } catch (error) {
      const kind = errorKind(error);
      if (kind === "canceled" || kind === "bad_data") throw error;
      // As Thanos: an instant query that may be partial fails with a warning only.
      if (!ranged && request.partialResponse && error instanceof MnemeError) {
        yield encodeQueryWarnings(error.message);
        return;
      }
      throw new RpcError(STATUS_ABORTED, errorMessage(error), { cause: error });
    }
    if (result.warnings.length > 0) yield encodeQueryWarnings(result.warnings.join(", "));
    yield* encodeSeriesMessages(result.series, request.batchSize);
    if (result.stats !== undefined) yield encodeQueryStats(result.stats);
  }
  return {
    name: QUERY_SERVICE,
    methods: {
      Query: { kind: "server_stream", handle: (bytes, call) => answer(bytes, call, false) },
      QueryRange: { kind: "server_stream", handle: (bytes, call) => answer(bytes, call, true) },
    },
  };
}
