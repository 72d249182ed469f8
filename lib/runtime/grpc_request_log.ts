/** Log lines of gRPC calls, as `--request.logging-config` asks for them. */
import { errorMessage } from "../base/mod.ts";
import type { RequestLogRule } from "../config/mod.ts";
import {
  type ServerObserver,
  STATUS_DATA_LOSS,
  STATUS_INTERNAL,
  STATUS_UNIMPLEMENTED,
  STATUS_UNKNOWN,
  statusName,
} from "../rpc/mod.ts";
import type { Logger } from "../telemetry/mod.ts";

/** Codes that mean a fault of the server. */
const FAULTS: ReadonlySet<number> = new Set([
  STATUS_UNKNOWN,
  STATUS_UNIMPLEMENTED,
  STATUS_INTERNAL,
  STATUS_DATA_LOSS,
]);

/** `inner` with log lines at the start and the end of calls. */
export function grpcRequestLog(
  rule: RequestLogRule,
  logger: Logger,
  inner: ServerObserver,
): ServerObserver {
  const isLogged = (service: string, method: string) =>
    rule.targets?.has(`/${service}/${method}`) ?? true;
  return {
    ...inner,
    started(service, method, kind) {
      inner.started?.(service, method, kind);
      if (rule.start && isLogged(service, method)) {
        logger.debug("started call", { "grpc.service": service, "grpc.method": method });
      }
    },
    ended(call) {
      inner.ended?.(call);
      const { service, method, code, seconds, peer, error } = call;
      if (!isLogged(service, method)) return;
      logger[FAULTS.has(code) ? "error" : "debug"]("finished call", {
        "grpc.service": service,
        "grpc.method": method,
        "grpc.code": statusName(code),
        "grpc.time_ms": Math.round(seconds * 1e6) / 1000,
        "peer.address": peer,
        err: error === undefined ? undefined : errorMessage(error),
      });
    },
  };
}
