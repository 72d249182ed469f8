/** Access metrics under the field's names: `http_requests_total{code,handler,method}` and its kin. */
import type { MiddlewareHandler } from "hono";
import type { Family, Gauge, Metrics, Tracer } from "../telemetry/mod.ts";

const DURATION_BUCKETS = [
  0.001,
  0.01,
  0.1,
  0.3,
  0.6,
  1,
  3,
  6,
  9,
  20,
  30,
  60,
  90,
  120,
  240,
  360,
  720,
];
/** Tenants come from a header: beyond this many they share one label value. */
const MAX_TENANTS = 1000;

/** Where the `tenant` label comes from, for the commands that have it. */
export interface TenantLabel {
  readonly header: string;
  readonly fallback: string;
}

/** Handler names that differ from their path below `/api/v1`. */
const HANDLERS: ReadonlyMap<string, string> = new Map([
  ["query_explain", "query"],
  ["query_range_explain", "query_range"],
  ["labels", "label_names"],
  ["label/:name/values", "label_values"],
  ["query_exemplars", "exemplars"],
]);

/** The `handler` label of a route pattern. */
export function handlerName(routePath: string): string {
  const path = routePath.replace(/^.*\/api\/v1\//, "").replace(/^\/|\/$/g, "");
  return HANDLERS.get(path) ?? (path === "" ? "index" : path.replace(/[^a-zA-Z0-9]+/g, "_"));
}

/**
 * Counts and times requests; `handlerOf` tells the handler of a request, undefined leaves it out.
 * Duration and size are taken when the body has been sent.
 */
export function httpMetrics(
  metrics: Metrics,
  handlerOf: (path: string) => string | undefined,
  tenant: TenantLabel | undefined,
  options: { readonly now?: () => number; readonly tracer?: Tracer } = {},
): MiddlewareHandler {
  const { now = () => performance.now(), tracer } = options;
  const labels = ["code", "handler", "method", ...(tenant === undefined ? [] : ["tenant"])];
  const total = metrics.counterFamily({
    name: "http_requests_total",
    help: "Total number of HTTP requests.",
    labels,
  });
  const duration = metrics.histogramFamily({
    name: "http_request_duration_seconds",
    help: "Duration of HTTP requests in seconds.",
    labels,
    buckets: DURATION_BUCKETS,
  });
  const requestSize = metrics.summaryFamily({
    name: "http_request_size_bytes",
    help: "Size of HTTP requests in bytes.",
    labels,
  });
  const responseSize = metrics.summaryFamily({
    name: "http_response_size_bytes",
    help: "Size of HTTP responses in bytes.",
    labels,
  });
  const inflight: Family<Gauge> = metrics.gaugeFamily({
    name: "http_inflight_requests",
    help: "HTTP requests being answered.",
    labels: labels.slice(1),
  });
  const tenants = new Set<string>();
  const tenantOf = (value: string | undefined): string => {
    const name = value === undefined || value === "" ? tenant!.fallback : value;
    if (!tenants.has(name) && tenants.size >= MAX_TENANTS) return "other";
    tenants.add(name);
    return name;
  };
  return async (c, next) => {
    const handler = handlerOf(c.req.path);
    if (handler === undefined) return await next();
    const common = {
      handler,
      method: METHODS.has(c.req.raw.method) ? c.req.raw.method.toLowerCase() : "unknown",
      ...(tenant === undefined ? {} : { tenant: tenantOf(c.req.header(tenant.header)) }),
    };
    const began = now();
    const running = inflight.with(common);
    running.inc();
    const trace = tracer?.current();
    const traceId = trace?.sampled === true ? trace.traceId : undefined;
    const done = (bytes: number) => {
      running.dec();
      const all = { code: String(c.res.status), ...common };
      total.with(all).inc();
      duration.with(all).observe((now() - began) / 1000, traceId);
      requestSize.with(all).observe(Number(c.req.header("content-length") ?? 0) || 0);
      responseSize.with(all).observe(bytes);
    };
    await next();
    const { res } = c;
    if (res.body === null) return done(0);
    const body = countBytes(res.body, done);
    c.res = undefined;
    c.res = new Response(body, res);
  };
}

/** The methods of HTTP; others must not make label values. */
const METHODS: ReadonlySet<string> = new Set(
  "GET POST PUT PATCH DELETE HEAD OPTIONS TRACE CONNECT".split(" "),
);

/** Passes a body on and tells its size once, when it ends, fails or is cancelled. */
function countBytes(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  done: (bytes: number) => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let bytes = 0;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const { done: ended, value } = await reader.read();
        if (ended) {
          controller.close();
          done(bytes);
          return;
        }
        bytes += value.length;
        controller.enqueue(value);
      } catch (error) {
        done(bytes);
        throw error;
      }
    },
    async cancel(reason) {
      done(bytes);
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
