/** A span around each HTTP request, below the caller's when it sends `traceparent`. */
import type { MiddlewareHandler } from "hono";
import { parseTraceparent, TRACEPARENT, type Tracer } from "../telemetry/mod.ts";

/** A request with this header is recorded whatever the sampler says. */
const FORCE_HEADER = "x-thanos-force-tracing";
/** Tells the client which trace to look for. */
const TRACE_HEADER = "x-thanos-trace-id";

/** Traces requests that have a handler; others (probes, metrics) would only be noise. */
export function httpTrace(
  tracer: Tracer,
  handlerOf: (path: string) => string | undefined,
): MiddlewareHandler {
  return async (c, next) => {
    const handler = handlerOf(c.req.path);
    if (!tracer.enabled || handler === undefined) return await next();
    const forced = (c.req.header(FORCE_HEADER) ?? "") !== "";
    await tracer.span(`HTTP ${c.req.raw.method} ${handler}`, {
      kind: "server",
      parent: parseTraceparent(c.req.header(TRACEPARENT)),
      forced,
      attributes: { "http.request.method": c.req.raw.method, "url.path": c.req.path },
    }, async (span) => {
      await next();
      const { status } = c.res;
      span.set("http.response.status_code", status);
      if (status >= 500) span.fail(`status ${status}`);
      if (span.context.sampled) c.res.headers.set(TRACE_HEADER, span.context.traceId);
    });
  };
}
