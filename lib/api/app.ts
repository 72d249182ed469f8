/**
 * The base of every HTTP application: request id, access metrics, gzip, CORS, errors as JSON,
 * probes and `/metrics`. Components add their routes to it.
 *
 *   const app = createApp({ component: "query", probe, metrics, logger }, (api) => {
 *     addStatusRoutes(api, …);
 *     addQueryRoutes(api, …);
 *   });
 *   new HttpServer({ handle: app.fetch, … })
 *
 * Handlers throw; nothing but this file and `envelope.ts` makes an error answer.
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { errorKind, makeUlid } from "../base/mod.ts";
import { type Logger, type Metrics, noTracer, type Probe, type Tracer } from "../telemetry/mod.ts";
import { compress } from "./compress.ts";
import { addDebugRoutes, type ProfileSource } from "./debug.ts";
import { errorResponse } from "./envelope.ts";
import { handlerName, httpMetrics, type TenantLabel } from "./http_metrics.ts";
import { httpTrace } from "./http_trace.ts";
import { addProbeRoutes } from "./probe.ts";

/** What an application needs. */
export interface AppOptions {
  /** Name of the command, such as `query`. */
  readonly component: string;
  readonly probe: Probe;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Path under which the API and pages live; probes and metrics stay outside. */
  readonly routePrefix?: string;
  /** Allow other sites' pages to read the API; default true. */
  readonly cors?: boolean;
  /** Adds a `tenant` label to the access metrics. */
  readonly tenant?: TenantLabel;
  readonly tracer?: Tracer;
  /** Makes profiles for `/debug/pprof/`; absent = off. */
  readonly profiles?: ProfileSource;
  /** Runs around every request, such as request logging. */
  readonly middleware?: readonly MiddlewareHandler[];
}

const CORS_HEADERS: readonly (readonly [string, string])[] = [
  ["access-control-allow-headers", "Accept, Accept-Encoding, Authorization, Content-Type, Origin"],
  ["access-control-allow-methods", "GET, POST, OPTIONS"],
  ["access-control-allow-origin", "*"],
  ["access-control-expose-headers", "Date"],
];

/** Makes the application; `addRoutes` gets the part below the route prefix. */
export function createApp(options: AppOptions, addRoutes: (api: Hono) => void = () => {}): Hono {
  const { component, logger, metrics, probe, cors = true } = options;
  const prefix = normalizePrefix(options.routePrefix ?? "");
  const log = logger.with({ service: "http/server" });
  const app = new Hono({ strict: true });
  const api = new Hono({ strict: true });
  addRoutes(api);

  const handlers = routeHandlers(api, prefix);
  app.use("*", requestId());
  const tracer = options.tracer ?? noTracer;
  app.use("*", httpTrace(tracer, handlers));
  app.use("*", httpMetrics(metrics, handlers, options.tenant, { tracer }));
  for (const middleware of options.middleware ?? []) app.use("*", middleware);
  app.use("*", compress());
  app.use(`${prefix}/api/*`, corsHeaders(cors));

  addProbeRoutes(app, { probe, metrics });
  addDebugRoutes(app, options.profiles);
  app.options(`${prefix}/api/v1/*`, (c) => c.body(null, 204));
  app.route(prefix === "" ? "/" : prefix, api);
  if (prefix !== "") app.all("/", (c) => c.redirect(`${prefix}/`, 302));
  app.notFound((c) => redirectToCleanPath(c, handlers) ?? c.text("404 page not found\n", 404));
  app.onError((error, c) => {
    if (errorKind(error) === "internal") {
      log.error("request failed", {
        path: c.req.path,
        "request-id": requestIdOf(c),
        err: error,
        stack: error.stack,
      });
    }
    return errorResponse(error);
  });
  // Named last, so that a component may serve its own pages at "/".
  app.get(`${prefix}/`, async (c) => {
    // Mounted below a prefix, the component's "/" answers the prefix itself, not what ends in "/".
    const { url, raw } = c.req;
    const own = prefix === ""
      ? undefined
      : await api.fetch(new Request(new URL(`/${new URL(url).search}`, url), raw));
    if (own !== undefined && own.status !== 404) return own;
    return c.html(landingPage(component, prefix));
  });
  return app;
}

/** `/` + the trimmed prefix, or "" for none. */
export function normalizePrefix(prefix: string): string {
  const trimmed = prefix.replace(/^\/+|\/+$/g, "");
  return trimmed === "" ? "" : `/${trimmed}`;
}

/** The request's id: the client's own, or one made here. */
export function requestIdOf(c: Context): string {
  return c.get("requestId") ?? "";
}

/** Longest id taken over from a client; it goes into logs and further requests. */
const MAX_REQUEST_ID = 128;

function requestId(): MiddlewareHandler {
  return async (c, next) => {
    const given = c.req.header("x-request-id") ?? "";
    c.set(
      "requestId",
      given !== "" && given.length <= MAX_REQUEST_ID ? given : makeUlid(Date.now()),
    );
    await next();
  };
}

function corsHeaders(enabled: boolean): MiddlewareHandler {
  return async (c, next) => {
    await next();
    if (!enabled) return;
    const { status } = c.res;
    const routed = status !== 405 && !(status >= 300 && status < 400) &&
      !(status === 404 && !isJson(c.res));
    if (routed) { for (const [name, value] of CORS_HEADERS) c.res.headers.set(name, value); }
  };
}

function isJson(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith("application/json") ?? false;
}

/** Finds the handler name of a path among the routes that a component added. */
function routeHandlers(api: Hono, prefix: string): (path: string) => string | undefined {
  const exact = new Map<string, string>();
  const patterns: { readonly pattern: URLPattern; readonly name: string }[] = [];
  for (const { path } of api.routes) {
    if (path.includes("*")) continue;
    const full = `${prefix}${path}`;
    const name = handlerName(path);
    if (path.includes(":")) patterns.push({ pattern: new URLPattern({ pathname: full }), name });
    else exact.set(full, name);
  }
  return (path) =>
    exact.get(path) ?? patterns.find(({ pattern }) => pattern.test({ pathname: path }))?.name;
}

/** Doubled or trailing slashes lead to the real path, with the query string. */
function redirectToCleanPath(
  c: Context,
  handlers: (path: string) => string | undefined,
): Response | undefined {
  const { path } = c.req;
  const clean = path.replace(/\/{2,}/g, "/").replace(/(.)\/$/, "$1");
  if (clean === path || handlers(clean) === undefined) return undefined;
  const at = c.req.url.indexOf("?");
  const query = at < 0 ? "" : c.req.url.slice(at);
  return c.redirect(`${clean}${query}`, c.req.method === "GET" ? 301 : 307);
}

function landingPage(component: string, prefix: string): string {
  const links = [
    [`${prefix}/api/v1/status/buildinfo`, "build"],
    [`${prefix}/api/v1/status/flags`, "flags"],
    [`${prefix}/api/v1/status/runtimeinfo`, "runtime"],
    ["/metrics", "metrics"],
    ["/-/ready", "ready"],
    ["/-/healthy", "healthy"],
  ].map(([href, text]) => `<li><a href="${href}">${text}</a></li>`).join("");
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mneme ${component}` +
    `</title></head><body><h1>Mneme ${component}</h1><ul>${links}</ul></body></html>\n`;
}
