/** What a panel asks the server: paths and parameters. Times in ms, steps in seconds. */
import type { Form } from "../api/client.ts";
import type { PanelOptions } from "./permalink.ts";
import { autoStep } from "./steps.ts";

/** A request for data. */
export interface QueryRequest {
  readonly path: "/query" | "/query_range";
  readonly form: Form;
  readonly headers: Readonly<Record<string, string>>;
  readonly start: number;
  readonly end: number;
  /** 0 for an instant. */
  readonly step: number;
}

/** Settings of the server that shape a request. */
export interface QueryDefaults {
  /** Seconds. */
  readonly step: number;
  readonly tenantHeader: string;
}

/** The request of a panel at a time; the table asks for an instant, the graph for a range. */
export function queryRequest(
  panel: PanelOptions,
  kind: "table" | "graph",
  now: number,
  defaults: QueryDefaults,
): QueryRequest {
  const end = panel.end ?? now;
  const headers: Record<string, string> = panel.tenant === ""
    ? {}
    : { [defaults.tenantHeader]: panel.tenant };
  if (kind === "table") {
    return {
      path: "/query",
      form: [["query", panel.expr], ["time", seconds(end)], ...sharedForm(panel)],
      headers,
      start: end,
      end,
      step: 0,
    };
  }
  const step = panel.step ?? autoStep(panel.range, panel.density, defaults.step);
  // Whole multiples of the step: the same points again after a reload, and caches that hit.
  const alignedEnd = panel.end === undefined ? Math.ceil(end / (step * 1000)) * step * 1000 : end;
  const start = alignedEnd - panel.range;
  return {
    path: "/query_range",
    form: [
      ["query", panel.expr],
      ["start", seconds(start)],
      ["end", seconds(alignedEnd)],
      ["step", String(step)],
      ...sharedForm(panel),
    ],
    headers,
    start,
    end: alignedEnd,
    step,
  };
}

/** Parameters that both kinds have; what the panel leaves open is the server's to decide. */
function sharedForm(panel: PanelOptions): [string, string][] {
  return [
    ["dedup", String(panel.dedup)],
    ...(panel.partialResponse === undefined
      ? []
      : [["partial_response", String(panel.partialResponse)] as [string, string]]),
    ["max_source_resolution", panel.resolution],
    ...panel.stores.map((name): [string, string] => ["storeMatch[]", storeSelector(name)]),
    ...(panel.engine === "" ? [] : [["engine", panel.engine] as [string, string]]),
    ["analyze", "true"],
  ];
}

/** The selector of one store by its address. */
export function storeSelector(name: string): string {
  return `{__address__=${JSON.stringify(name)}}`;
}

function seconds(ms: number): string {
  return String(Math.round(ms) / 1000);
}
