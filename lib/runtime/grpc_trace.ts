/** Traces of gRPC calls: the caller's span travels as `traceparent` in the metadata. */
import { type ClientObserver, type ServerObserver, STATUS_OK, statusName } from "../rpc/mod.ts";
import {
  formatTraceparent,
  type Metrics,
  parseTraceparent,
  TRACEPARENT,
  type Tracer,
} from "../telemetry/mod.ts";
import { type DescribedServices, grpcClientMetrics } from "./grpc_metrics.ts";

/** An observer that runs the handler of a traced call in a span below the caller's. */
export function grpcServerTrace(tracer: Tracer): Pick<ServerObserver, "around"> {
  return {
    around({ service, method, metadata, peer }, work) {
      const parent = parseTraceparent(metadata.get(TRACEPARENT));
      // Probes and the Info calls of every few seconds are no traces of their own.
      if (parent === undefined) return work();
      return tracer.span(`/${service}/${method}`, {
        kind: "server",
        parent,
        attributes: {
          "rpc.system": "grpc",
          "rpc.service": service,
          "rpc.method": method,
          "network.peer.address": peer,
        },
      }, work);
    },
  };
}

/** An observer that makes a span of each call within a trace and tells the server about it. */
function grpcClientTrace(tracer: Tracer): ClientObserver {
  return {
    started({ service, method, address }) {
      if (tracer.current() === undefined) return {};
      const { span, end } = tracer.begin(`/${service}/${method}`, {
        kind: "client",
        attributes: {
          "rpc.system": "grpc",
          "rpc.service": service,
          "rpc.method": method,
          "server.address": address,
        },
      });
      let messages = 0;
      return {
        metadata: { [TRACEPARENT]: formatTraceparent(span.context) },
        received: (count) => void (messages += count),
        ended(code) {
          span.set("rpc.grpc.status_code", code);
          span.set("rpc.messages", messages);
          if (code !== STATUS_OK) span.fail(statusName(code));
          end();
        },
      };
    },
  };
}

/** An observer of clients that counts their calls to `services` and traces them. */
export function grpcClientObserver(
  env: { readonly metrics: Metrics; readonly tracer: Tracer },
  services: DescribedServices,
): ClientObserver {
  const counted = grpcClientMetrics(env.metrics, services, env.tracer);
  return env.tracer.enabled ? joinClientObservers([grpcClientTrace(env.tracer), counted]) : counted;
}

/** Several observers of clients as one. */
function joinClientObservers(observers: readonly ClientObserver[]): ClientObserver {
  return {
    started(call) {
      const all = observers.map((observer) => observer.started(call));
      return {
        metadata: Object.assign({}, ...all.map((one) => one.metadata)),
        received: (messages) => all.forEach((one) => one.received?.(messages)),
        ended: (code, seconds, error) => all.forEach((one) => one.ended?.(code, seconds, error)),
      };
    },
  };
}
