/** `/api/v1/queries`: the queries that wait and run, and an end to one of them. Ours, not Thanos'. */
import type { Context, Hono } from "hono";
import { MnemeError } from "../base/mod.ts";
import type { ActiveQueries } from "../query/mod.ts";
import { dataResponse } from "./envelope.ts";
import { route } from "./route.ts";
import type { Tenants } from "./tenant.ts";

/** Adds the routes; with enforced tenancy a tenant sees and cancels its own queries only. */
export function addRunningRoutes(app: Hono, active: ActiveQueries, tenants: Tenants): void {
  const scope = (c: Context) => tenants.enforced ? tenants.of(c) : undefined;
  route(app, "/queries", ["GET"], (c) =>
    dataResponse(
      active.list(scope(c)).map((q) => ({
        id: q.id,
        query: q.query,
        start: q.start / 1000,
        end: q.end / 1000,
        step: q.step / 1000,
        tenant: q.tenant,
        elapsed: q.elapsed / 1000,
        samples: q.samples,
        state: q.queued ? "queued" : "running",
      })),
    ));
  route(app, "/queries/:id", ["DELETE"], (c) => {
    // Browsers ask before a DELETE from another site, and the answer to that names no DELETE.
    const id = c.req.param("id") ?? "";
    if (!active.cancel(id, scope(c))) {
      throw new MnemeError("not_found", `no query with id ${id} is running`);
    }
    return dataResponse({ id });
  });
}
