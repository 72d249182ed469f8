/** Metrics of gRPC servers and clients under the field's names, every method and code created at 0. */
import {
  type ClientObserver,
  type ServerObserver,
  STATUS_UNAUTHENTICATED,
  statusName,
} from "../rpc/mod.ts";
import type { Metrics, Tracer } from "../telemetry/mod.ts";

const DURATION_BUCKETS = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120];
const CALL_LABELS = ["grpc_method", "grpc_service", "grpc_type"] as const;
const TYPES = { unary: "unary", server_stream: "server_stream", bidi: "bidi_stream" } as const;

type Kind = keyof typeof TYPES;

/** Names of services with the kinds of their methods. */
export type DescribedServices = readonly {
  readonly name: string;
  readonly methods: Readonly<Record<string, { readonly kind: Kind }>>;
}[];

/** The families of one side; alerts rely on codes that never happened being there as 0. */
function families(
  metrics: Metrics,
  services: DescribedServices,
  side: "server" | "client",
  done: "completed on the server" | "completed by the client",
) {
  const known = services.flatMap((service) =>
    Object.entries(service.methods).map(([method, { kind }]) =>
      labelsOf(service.name, method, kind)
    )
  );
  const codes = Array.from({ length: STATUS_UNAUTHENTICATED + 1 }, (_, code) => statusName(code));
  const counter = (name: string, help: string) =>
    metrics.counterFamily({ name: `grpc_${side}_${name}`, help, labels: CALL_LABELS, known });
  return {
    started: counter("started_total", `RPCs started on the ${side}.`),
    received: counter("msg_received_total", `Messages received by the ${side}.`),
    sent: counter("msg_sent_total", `Messages sent by the ${side}.`),
    handled: metrics.counterFamily({
      name: `grpc_${side}_handled_total`,
      help: `RPCs ${done}, whatever their outcome.`,
      labels: ["grpc_code", ...CALL_LABELS],
      known: known.flatMap((call) => codes.map((grpc_code) => ({ grpc_code, ...call }))),
    }),
    seconds: metrics.histogramFamily({
      name: `grpc_${side}_handling_seconds`,
      help: `Time until RPCs were ${done}, in seconds.`,
      labels: CALL_LABELS,
      known,
      buckets: DURATION_BUCKETS,
    }),
  };
}

/** An observer that counts the calls of a server. */
export function grpcServerMetrics(metrics: Metrics, services: DescribedServices): ServerObserver {
  const of = families(metrics, services, "server", "completed on the server");
  return {
    started: (service, method, kind) => of.started.with(labelsOf(service, method, kind)).inc(),
    received: (service, method, kind) => of.received.with(labelsOf(service, method, kind)).inc(),
    sent: (service, method, kind) => of.sent.with(labelsOf(service, method, kind)).inc(),
    ended(call) {
      const labels = labelsOf(call.service, call.method, call.kind);
      of.handled.with({ grpc_code: statusName(call.code), ...labels }).inc();
      of.seconds.with(labels).observe(call.seconds);
    },
  };
}

/** An observer that counts the calls of clients to `services`. */
export function grpcClientMetrics(
  metrics: Metrics,
  services: DescribedServices,
  tracer?: Tracer,
): ClientObserver {
  const of = families(metrics, services, "client", "completed by the client");
  return {
    started({ service, method, kind }) {
      const labels = labelsOf(service, method, kind);
      of.started.with(labels).inc();
      of.sent.with(labels).inc();
      const traceId = tracer?.current()?.sampled === true ? tracer.current()?.traceId : undefined;
      return {
        received: (messages) => of.received.with(labels).inc(messages),
        ended(code, seconds) {
          of.handled.with({ grpc_code: statusName(code), ...labels }).inc();
          of.seconds.with(labels).observe(seconds, traceId);
        },
      };
    },
  };
}

function labelsOf(service: string, method: string, kind: Kind) {
  return { grpc_method: method, grpc_service: service, grpc_type: TYPES[kind] };
}
