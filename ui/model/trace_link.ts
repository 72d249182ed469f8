/** Links into a tracing system: a template of the operator or the reader, and IDs out of answers. */
import type { LabelRecord } from "./labels.ts";

const PLACE = /\{(\w+)\}/g;

/** Why a template cannot be used; undefined = it can, "" among them, which means none. */
export function templateProblem(template: string): string | undefined {
  if (template.trim() === "") return undefined;
  if (!/^https?:\/\/[^{}\s]+/i.test(template.trim())) {
    return "Write an address that begins with http:// or https://";
  }
  if (template.search(PLACE) < 0) return "Put {trace_id} where the ID of the trace belongs";
  return addressOf(template, () => "1") === undefined
    ? "{trace_id} belongs after the host"
    : undefined;
}

/**
 * The address of the trace that labels name: `{trace_id}` takes a label `trace_id`, `traceID` or
 * `TraceId`. Undefined when a label is missing, or when the result would lead elsewhere than the
 * template: labels are input.
 */
export function traceLink(template: string, labels: LabelRecord): string | undefined {
  if (template === "" || templateProblem(template) !== undefined) return undefined;
  const known = new Map(Object.entries(labels).map(([name, value]) => [plain(name), value]));
  return addressOf(template, (name) => known.get(plain(name)) || undefined);
}

function addressOf(
  template: string,
  valueOf: (name: string) => string | undefined,
): string | undefined {
  let missing = false;
  const text = template.trim().replace(PLACE, (_all, name: string) => {
    const value = valueOf(name);
    missing ||= value === undefined;
    // Dots alone would climb out of the path that the template names.
    return encodeURIComponent(value ?? "").replace(/^\.+$/, "");
  });
  if (missing || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const host = /^https?:\/\/([^/?#]*)/i.exec(template.trim())![1]!;
  const safe = (url.protocol === "http:" || url.protocol === "https:") && url.username === "" &&
    url.password === "" && !/[{}@\\]/.test(host);
  return safe ? url.href : undefined;
}

/** Names in all their spellings: `traceID` and `trace_id` are one. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll("_", "");
}
