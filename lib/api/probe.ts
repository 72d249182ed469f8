/** Probes and metrics of every server: `/-/healthy`, `/-/ready`, `/metrics`, whatever the prefix. */
import type { Hono } from "hono";
import { type Metrics, METRICS_OPENMETRICS, METRICS_TEXT, type Probe } from "../telemetry/mod.ts";

/** Adds the routes; they take any method. */
export function addProbeRoutes(
  app: Hono,
  parts: { readonly probe: Probe; readonly metrics: Metrics },
): void {
  const { probe, metrics } = parts;
  const answer = (ok: boolean) =>
    new Response(ok ? "OK" : "NOT OK\n", {
      status: ok ? 200 : 503,
      headers: { "content-type": "text/plain; charset=utf-8" },
    });
  app.all("/-/healthy", () => answer(probe.isHealthy));
  app.all("/-/ready", () => answer(probe.isReady));
  app.all("/metrics", async (c) => {
    const open = wantsOpenMetrics(c.req.header("accept") ?? "");
    const text = await metrics.expose(open ? "openmetrics" : "text");
    return c.body(text, 200, { "content-type": open ? METRICS_OPENMETRICS : METRICS_TEXT });
  });
}

/** True when OpenMetrics is named with at least the weight of plain text. */
export function wantsOpenMetrics(accept: string): boolean {
  let open = 0;
  let text = 0;
  for (const part of accept.split(",")) {
    const [type, ...params] = part.trim().toLowerCase().split(/\s*;\s*/);
    const q = Number(params.find((p) => p.startsWith("q="))?.slice(2) ?? 1);
    if (type === "application/openmetrics-text") open = Math.max(open, q);
    if (type === "text/plain" || type === "*/*") text = Math.max(text, q);
  }
  return open > 0 && open >= text;
}
