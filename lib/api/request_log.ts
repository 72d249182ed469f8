/** Log lines of HTTP requests, as `--request.logging-config` asks for them. */
import type { MiddlewareHandler } from "hono";
import type { RequestLogRule } from "../config/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import { requestIdOf } from "./app.ts";

/** Longest URL in a log line. */
const MAX_URL = 2048;

/** Logs the start and the end of requests; errors of the server stand out by their level. */
export function requestLog(
  rule: RequestLogRule,
  options: {
    readonly logger: Logger;
    /** Port the server listens on, part of the targets' names. */
    readonly port: number;
    readonly now?: () => number;
  },
): MiddlewareHandler {
  const { logger, port, now = () => performance.now() } = options;
  return async (c, next) => {
    const url = new URL(c.req.url);
    const target = `${url.pathname}${url.search}`;
    if (rule.targets?.has(`${target}:${port}`) === false) return await next();
    const remote = (c.env as { remote?: string } | undefined)?.remote;
    const fields = {
      "http.method": `${c.req.raw.method} ${target.slice(0, MAX_URL)}`,
      "http.request_id": requestIdOf(c),
      "http.user_agent": c.req.header("user-agent") ?? "",
      ...(remote === undefined ? {} : { "http.remote_addr": remote }),
      "thanos.method_name": url.pathname,
    };
    if (rule.start) logger.debug("started call", fields);
    const began = now();
    await next();
    const { status } = c.res;
    logger[status >= 500 ? "error" : "debug"]("finished call", {
      ...fields,
      "http.status_code": status,
      "http.time_ms": Math.round((now() - began) * 1000) / 1000,
    });
  };
}
