/**
 * Links to panels: `?g0.expr=…&g0.tab=…`. Both dialects in the field are read, Thanos' and
 * Prometheus'; what is written carries the fields of both, so that a link works in all three.
 */
import { formatDuration, parseDuration } from "./durations.ts";
import type { Density } from "./steps.ts";
import { ZoneClock } from "./times.ts";

export type Tab = "graph" | "table" | "explain";
export type Display = "lines" | "stacked" | "heatmap";
/** How coarse the data may be: see `max_source_resolution`. */
export type Resolution = "auto" | "0s" | "5m" | "1h";

/** Everything about a panel that a link carries. Units: ms; step in seconds. */
export interface PanelOptions {
  readonly expr: string;
  readonly tab: Tab;
  readonly display: Display;
  readonly range: number;
  /** End of the range and time of the table; undefined = now. */
  readonly end: number | undefined;
  /** Given step; undefined = automatic by density. */
  readonly step: number | undefined;
  readonly density: Density;
  readonly resolution: Resolution;
  readonly dedup: boolean;
  /** Undefined = what the server is set to. */
  readonly partialResponse: boolean | undefined;
  readonly stores: readonly string[];
  readonly engine: "" | "prometheus" | "thanos";
  readonly tenant: string;
  readonly exemplars: boolean;
  /** Y axis from zero. */
  readonly fromZero: boolean;
}

/** A new panel. */
export const NEW_PANEL: PanelOptions = {
  expr: "",
  tab: "table",
  display: "lines",
  range: 3_600_000,
  end: undefined,
  step: undefined,
  density: "medium",
  resolution: "auto",
  dedup: true,
  partialResponse: undefined,
  stores: [],
  engine: "",
  tenant: "",
  exemplars: false,
  fromZero: false,
};

/** Most panels of one link: more would only be an attack on the server. */
export const MAX_PANELS = 50;

const UTC = new ZoneClock("utc");

/** Reads the panels of a query string; panels without expression are kept, gaps end the list. */
export function readPermalink(search: string): PanelOptions[] {
  const fields = new Map<string, Map<string, string>>();
  for (const [key, value] of new URLSearchParams(search)) {
    const match = /^g(\d{1,4})\.([a-z_]+)$/.exec(key);
    if (match === null) continue;
    const panel = fields.get(match[1]!) ?? new Map<string, string>();
    panel.set(match[2]!, value);
    fields.set(match[1]!, panel);
  }
  return [...fields]
    .sort(([a], [b]) => Number(a) - Number(b))
    .filter(([, panel]) => panel.has("expr"))
    .slice(0, MAX_PANELS)
    .map(([, panel]) => readPanel(panel));
}

function readPanel(fields: ReadonlyMap<string, string>): PanelOptions {
  const get = (name: string) => fields.get(name) ?? "";
  const step = readStep(get);
  const resolution = get("max_source_resolution");
  return {
    expr: get("expr"),
    tab: readTab(get("tab")),
    display: readDisplay(get("display_mode"), get("stacked")),
    range: Math.max(1, parseDuration(get("range_input")) || NEW_PANEL.range),
    end: UTC.parse(get("end_input")) ?? UTC.parse(get("moment_input")),
    step,
    density: oneOf(["low", "medium", "high"], get("res_density")) ?? "medium",
    resolution: resolution === "0" ? "0s" : oneOf(["auto", "0s", "5m", "1h"], resolution) ??
      NEW_PANEL.resolution,
    dedup: readBool(get("deduplicate")) ?? true,
    partialResponse: readBool(get("partial_response")),
    stores: readStores(get("store_matches")),
    engine: oneOf(["prometheus", "thanos"], get("engine")) ?? "",
    tenant: get("tenant"),
    exemplars: readBool(get("show_exemplars")) ?? false,
    fromZero: get("y_axis_min") === "0",
  };
}

function readTab(text: string): Tab {
  if (text === "0" || text === "graph") return "graph";
  return text === "explain" ? "explain" : "table";
}

function readDisplay(mode: string, stacked: string): Display {
  return oneOf(["lines", "stacked", "heatmap"], mode) ?? (readBool(stacked) ? "stacked" : "lines");
}

/** Prometheus says how its step was chosen, Thanos has one field. */
function readStep(get: (name: string) => string): number | undefined {
  const type = get("res_type");
  if (type === "auto") return undefined;
  const text = type === "" ? get("step_input") : get("res_step") || get("step_input");
  const seconds = Number(text);
  return text !== "" && seconds > 0 && Number.isFinite(seconds) ? seconds : undefined;
}

function readStores(text: string): string[] {
  if (text === "") return [];
  try {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list)) return [];
    return list.slice(0, 1000).flatMap((item: unknown) => {
      const name = (item as { name?: unknown } | null)?.name;
      return typeof name === "string" ? [name] : [];
    });
  } catch {
    return [];
  }
}

function readBool(text: string): boolean | undefined {
  if (/^(?:1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  return undefined;
}

function oneOf<T extends string>(known: readonly T[], text: string): T | undefined {
  return known.find((value) => value === text);
}

/** Writes the panels; with `fixedNow` a panel without an end gets that one. */
export function writePermalink(panels: readonly PanelOptions[], fixedNow?: number): string {
  const out = new URLSearchParams();
  panels.slice(0, MAX_PANELS).forEach((panel, i) => writePanel(out, `g${i}.`, panel, fixedNow));
  return out.toString();
}

function writePanel(
  out: URLSearchParams,
  prefix: string,
  panel: PanelOptions,
  fixedNow: number | undefined,
): void {
  const set = (name: string, value: string) => out.append(`${prefix}${name}`, value);
  const bit = (value: boolean) => value ? "1" : "0";
  set("expr", panel.expr);
  set("tab", panel.tab === "graph" ? "0" : panel.tab === "table" ? "1" : "explain");
  set("stacked", bit(panel.display === "stacked"));
  set("display_mode", panel.display);
  set("range_input", formatDuration(panel.range));
  const end = panel.end ?? fixedNow;
  if (end !== undefined) {
    set("end_input", UTC.format(end));
    set("moment_input", UTC.format(end));
  }
  if (panel.step === undefined) {
    set("res_type", "auto");
    set("res_density", panel.density);
  } else {
    set("step_input", String(panel.step));
    set("res_type", "custom");
    set("res_step", String(panel.step));
  }
  set("max_source_resolution", panel.resolution);
  set("deduplicate", bit(panel.dedup));
  if (panel.partialResponse !== undefined) set("partial_response", bit(panel.partialResponse));
  set("store_matches", JSON.stringify(panel.stores.map((name) => ({ name }))));
  if (panel.engine !== "") set("engine", panel.engine);
  if (panel.tenant !== "") set("tenant", panel.tenant);
  set("show_exemplars", bit(panel.exemplars));
  if (panel.fromZero) set("y_axis_min", "0");
}
