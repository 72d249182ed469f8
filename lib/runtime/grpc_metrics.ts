/** Metrics of a gRPC server under the field's names, every method and code created at 0. */
import {
  type ServerObserver,
  type Service,
  STATUS_UNAUTHENTICATED,
  statusName,
} from "../rpc/mod.ts";
import type { Metrics } from "../telemetry/mod.ts";

const DURATION_BUCKETS = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120];
const CALL_LABELS = ["grpc_method", "grpc_service", "grpc_type"] as const;
const TYPES = { unary: "unary", server_stream: "server_stream", bidi: "bidi_stream" } as const;

type Kind = keyof typeof TYPES;

/** An observer that counts; alerts rely on codes that never happened being there as 0. */
export function grpcServerMetrics(metrics: Metrics, services: readonly Service[]): ServerObserver {
  const calls = services.flatMap((service) =>
    Object.entries(service.methods).map(([method, { kind }]) =>
      labelsOf(service.name, method, kind)
    )
  );
  const codes = Array.from({ length: STATUS_UNAUTHENTICATED + 1 }, (_, code) => statusName(code));
  const counter = (name: string, help: string) =>
    metrics.counterFamily({ name, help, labels: CALL_LABELS, known: calls });
  const started = counter("grpc_server_started_total", "RPCs started on the server.");
  const received = counter("grpc_server_msg_received_total", "Messages received by the server.");
  const sent = counter("grpc_server_msg_sent_total", "Messages sent by the server.");
  const handled = metrics.counterFamily({
    name: "grpc_server_handled_total",
    help: "RPCs completed on the server, whatever their outcome.",
    labels: ["grpc_code", ...CALL_LABELS],
    known: calls.flatMap((call) => codes.map((grpc_code) => ({ grpc_code, ...call }))),
  });
  const seconds = metrics.histogramFamily({
    name: "grpc_server_handling_seconds",
    help: "Time until RPCs were completed, in seconds.",
    labels: CALL_LABELS,
    known: calls,
    buckets: DURATION_BUCKETS,
  });
  return {
    started: (service, method, kind) => started.with(labelsOf(service, method, kind)).inc(),
    received: (service, method, kind) => received.with(labelsOf(service, method, kind)).inc(),
    sent: (service, method, kind) => sent.with(labelsOf(service, method, kind)).inc(),
    ended(call) {
      const labels = labelsOf(call.service, call.method, call.kind);
      handled.with({ grpc_code: statusName(call.code), ...labels }).inc();
      seconds.with(labels).observe(call.seconds);
    },
  };
}

function labelsOf(service: string, method: string, kind: Kind) {
  return { grpc_method: method, grpc_service: service, grpc_type: TYPES[kind] };
}
