/** Catalogs over gRPC: the client of one elsewhere, and the services that offer one. */
import type { RpcClient, ServerCall, Service } from "../rpc/mod.ts";
import type {
  Catalog,
  ExemplarData,
  ExemplarsRequest,
  MetricMetadata,
  MetricMetadataRequest,
  RuleGroup,
  RulesRequest,
  TargetDiscovery,
  TargetsRequest,
  Told,
  TsdbStatistics,
  TsdbStatisticsRequest,
} from "./catalog_types.ts";
import { callOptions, REQUEST_ID_METADATA, TENANT_METADATA } from "./client.ts";
import type { Message } from "./message.ts";
import { QUERY_SERVICE } from "./query_api.ts";
import type { CallContext } from "./store.ts";
import {
  EXEMPLARS_REQUEST,
  EXEMPLARS_RESPONSE,
  METADATA_REQUEST,
  METADATA_RESPONSE,
  RULES_REQUEST,
  RULES_RESPONSE,
  STATISTICS_REQUEST,
  STATISTICS_RESPONSE,
  TARGETS_REQUEST,
  TARGETS_RESPONSE,
} from "./wire_catalog.ts";
import { INFO_SERVICE } from "./wire_info.ts";
import { STORE_SERVICE } from "./wire_store.ts";

export const RULES_SERVICE = "thanos.Rules";
export const TARGETS_SERVICE = "thanos.Targets";
export const METADATA_SERVICE = "thanos.Metadata";
export const EXEMPLARS_SERVICE = "thanos.Exemplars";
export const STATUS_SERVICE = "thanos.Status";
/** Names of all services of a catalog. */
export const CATALOG_SERVICES: readonly string[] = [
  RULES_SERVICE,
  TARGETS_SERVICE,
  METADATA_SERVICE,
  EXEMPLARS_SERVICE,
  STATUS_SERVICE,
];

/** Every method that a querier calls at an endpoint. */
export const ENDPOINT_METHODS = [
  {
    name: STORE_SERVICE,
    methods: {
      Series: { kind: "server_stream" },
      LabelNames: { kind: "unary" },
      LabelValues: { kind: "unary" },
    },
  },
  { name: INFO_SERVICE, methods: { Info: { kind: "unary" } } },
  { name: RULES_SERVICE, methods: { Rules: { kind: "server_stream" } } },
  { name: TARGETS_SERVICE, methods: { Targets: { kind: "server_stream" } } },
  { name: METADATA_SERVICE, methods: { MetricMetadata: { kind: "server_stream" } } },
  { name: EXEMPLARS_SERVICE, methods: { Exemplars: { kind: "server_stream" } } },
  { name: STATUS_SERVICE, methods: { TSDBStatistics: { kind: "server_stream" } } },
  {
    name: QUERY_SERVICE,
    methods: { Query: { kind: "server_stream" }, QueryRange: { kind: "server_stream" } },
  },
] as const;

type PieceOf<T> = Message<
  { readonly value: T | undefined; readonly warning: string | undefined }
>;

/** The catalog of a component elsewhere. */
export class RemoteCatalog implements Catalog {
  readonly #client: RpcClient;
  constructor(client: RpcClient) {
    this.#client = client;
  }

  async #ask<T extends object>(
    path: string,
    request: Uint8Array,
    of: PieceOf<T>,
    context: CallContext,
  ): Promise<Told<T[]>> {
    const value: T[] = [];
    const warnings: string[] = [];
    for await (const messages of this.#client.stream(path, request, callOptions(context))) {
      for (const bytes of messages) {
        const piece = of.decode(bytes);
        if (piece.value !== undefined) value.push(piece.value);
        else if (piece.warning !== undefined) warnings.push(piece.warning);
      }
    }
    return { value, warnings };
  }

  rules(request: RulesRequest, context: CallContext): Promise<Told<readonly RuleGroup[]>> {
    const bytes = RULES_REQUEST.encode(request);
    return this.#ask(`/${RULES_SERVICE}/Rules`, bytes, RULES_RESPONSE, context);
  }

  async targets(request: TargetsRequest, context: CallContext): Promise<Told<TargetDiscovery>> {
    const bytes = TARGETS_REQUEST.encode(request);
    const path = `/${TARGETS_SERVICE}/Targets`;
    const { value, warnings } = await this.#ask(path, bytes, TARGETS_RESPONSE, context);
    return {
      value: {
        activeTargets: value.flatMap((part) => part.activeTargets),
        droppedTargets: value.flatMap((part) => part.droppedTargets),
      },
      warnings,
    };
  }

  async metricMetadata(
    request: MetricMetadataRequest,
    context: CallContext,
  ): Promise<Told<MetricMetadata>> {
    const bytes = METADATA_REQUEST.encode(request);
    const path = `/${METADATA_SERVICE}/MetricMetadata`;
    const { value, warnings } = await this.#ask(path, bytes, METADATA_RESPONSE, context);
    const all = new Map<string, readonly MetricMetaOf[]>();
    for (const { metadata } of value) {
      for (const [name, { metas }] of metadata) all.set(name, [...all.get(name) ?? [], ...metas]);
    }
    return { value: all, warnings };
  }

  exemplars(
    request: ExemplarsRequest,
    context: CallContext,
  ): Promise<Told<readonly ExemplarData[]>> {
    const bytes = EXEMPLARS_REQUEST.encode(request);
    return this.#ask(`/${EXEMPLARS_SERVICE}/Exemplars`, bytes, EXEMPLARS_RESPONSE, context);
  }

  async tsdbStatistics(
    request: TsdbStatisticsRequest,
    context: CallContext,
  ): Promise<Told<ReadonlyMap<string, TsdbStatistics>>> {
    const bytes = STATISTICS_REQUEST.encode(request);
    const path = `/${STATUS_SERVICE}/TSDBStatistics`;
    const { value, warnings } = await this.#ask(path, bytes, STATISTICS_RESPONSE, context);
    return { value: new Map(value.flatMap((part) => [...part.statistics])), warnings };
  }
}

type MetricMetaOf = MetricMetadata extends ReadonlyMap<string, readonly (infer M)[]> ? M : never;

/** The five services over `catalog`. */
export function catalogServices(catalog: Catalog): Service[] {
  const service = <R extends object, T extends object>(
    name: string,
    method: string,
    requests: Message<R>,
    responses: PieceOf<T>,
    ask: (request: R, context: CallContext) => Promise<Told<readonly T[]>>,
  ): Service => ({
    name,
    methods: {
      [method]: {
        kind: "server_stream",
        async *handle(bytes, call) {
          const { value, warnings } = await ask(requests.decode(bytes), contextOf(call));
          for (const warning of warnings) yield responses.encode({ value: undefined, warning });
          for (const item of value) yield responses.encode({ value: item, warning: undefined });
        },
      },
    },
  });
  const whole = async <T, U>(told: Promise<Told<T>>, wrap: (value: T) => U) => {
    const { value, warnings } = await told;
    return { value: [wrap(value)], warnings };
  };
  return [
    service(RULES_SERVICE, "Rules", RULES_REQUEST, RULES_RESPONSE, (r, c) => catalog.rules(r, c)),
    service(
      TARGETS_SERVICE,
      "Targets",
      TARGETS_REQUEST,
      TARGETS_RESPONSE,
      (r, c) => whole(catalog.targets(r, c), (value) => value),
    ),
    service(
      METADATA_SERVICE,
      "MetricMetadata",
      METADATA_REQUEST,
      METADATA_RESPONSE,
      (r, c) =>
        whole(catalog.metricMetadata(r, c), (value) => ({
          metadata: new Map([...value].map(([name, metas]) => [name, { metas }])),
        })),
    ),
    service(
      EXEMPLARS_SERVICE,
      "Exemplars",
      EXEMPLARS_REQUEST,
      EXEMPLARS_RESPONSE,
      (r, c) => catalog.exemplars(r, c),
    ),
    service(
      STATUS_SERVICE,
      "TSDBStatistics",
      STATISTICS_REQUEST,
      STATISTICS_RESPONSE,
      (r, c) => whole(catalog.tsdbStatistics(r, c), (statistics) => ({ statistics })),
    ),
  ];
}

function contextOf(call: ServerCall): CallContext {
  const requestId = call.metadata.get(REQUEST_ID_METADATA);
  return {
    signal: call.signal,
    tenant: call.metadata.get(TENANT_METADATA) ?? "",
    ...(requestId === undefined ? {} : { requestId }),
  };
}
