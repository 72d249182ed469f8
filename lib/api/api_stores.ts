/** `/api/v1/stores`: the endpoints by type, as Thanos shows them. */
import type { Hono } from "hono";
import { labelsToRecord, MAX_TIME, MIN_TIME } from "../model/mod.ts";
import type { EndpointStatus } from "../query/mod.ts";
import { envelopeJson } from "./encode_result.ts";
import { route } from "./route.ts";

/** Thanos' sentinels for "no bound" on the wire, as JSON numbers. */
const INT64_MIN = "-9223372036854775808";
const INT64_MAX = "9223372036854775807";

/** Adds the route. */
export function addStoresRoute(app: Hono, endpoints: () => readonly EndpointStatus[]): void {
  route(app, "/stores", ["GET"], () => {
    const groups = new Map<string, EndpointStatus[]>();
    for (const status of endpoints()) {
      const list = groups.get(status.componentType);
      if (list === undefined) groups.set(status.componentType, [status]);
      else list.push(status);
    }
    const types = [...groups].map(([type, list]) =>
      `${JSON.stringify(type)}:[${list.map(storeJson).join(",")}]`
    );
    return new Response(`{"status":"success","data":{${types.join(",")}}}\n`, {
      headers: { "content-type": "application/json" },
    });
  });
}

/** Written by hand: the extremes of int64 are no JavaScript numbers. */
function storeJson(status: EndpointStatus): string {
  const bound = (ms: number) =>
    ms <= MIN_TIME ? INT64_MIN : ms >= MAX_TIME ? INT64_MAX : String(ms);
  const sets = status.labelSets.map((labels) => labelsToRecord(labels));
  // The last member is ours: how long the last health check took, in ms.
  const roundTrip = status.roundTrip === undefined ? "" : `,"roundTrip":${status.roundTrip}`;
  return `{"name":${JSON.stringify(status.name)},"lastCheck":${
    JSON.stringify(new Date(status.lastCheck).toISOString())
  },"lastError":${JSON.stringify(status.lastError ?? null)},"labelSets":${
    envelopeJson(sets)
  },"minTime":${bound(status.minTime)},"maxTime":${bound(status.maxTime)}${roundTrip}}`;
}
