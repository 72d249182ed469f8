/**
 * Request parameters of the HTTP API: Go's form rules, and values with Thanos' messages.
 */
import { MnemeError, parseDuration } from "../base/mod.ts";
import { quoteGo } from "../model/mod.ts";

/** Largest form body that is read, bytes. */
const MAX_BODY = 10 * 1024 * 1024;

/** Parameters of one request: body before URL; names may repeat. */
export class Params {
  readonly #values: ReadonlyMap<string, readonly string[]>;
  /** A pair could not be decoded and was left out. */
  readonly malformed: string | undefined;
  constructor(values: ReadonlyMap<string, readonly string[]>, malformed: string | undefined) {
    this.#values = values;
    this.malformed = malformed;
  }
  /** The first value, "" when absent. */
  get(name: string): string {
    return this.#values.get(name)?.[0] ?? "";
  }
  /** All values, body first. */
  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
  has(name: string): boolean {
    return this.#values.has(name);
  }
}

/** Reads the parameters of a request: the form body of a POST, then the URL. */
export async function readParams(request: Request): Promise<Params> {
  const values = new Map<string, string[]>();
  let malformed: string | undefined;
  const add = (name: string, value: string) => {
    const list = values.get(name);
    if (list === undefined) values.set(name, [value]);
    else list.push(value);
  };
  if (request.method === "POST" && request.body !== null) {
    const type = (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
    const encoded = (request.headers.get("content-encoding") ?? "identity") !== "identity";
    if (!encoded && type === "application/x-www-form-urlencoded") {
      malformed = parsePairs(new TextDecoder().decode(await readBody(request)), add);
    } else if (!encoded && type === "multipart/form-data") {
      const bytes = await readBody(request);
      const form = await new Response(bytes, {
        headers: { "content-type": request.headers.get("content-type")! },
      }).formData().catch((error: unknown) => {
        throw new MnemeError("bad_data", "parse form: malformed multipart body", { cause: error });
      });
      for (const [name, value] of form) if (typeof value === "string") add(name, value);
    }
  }
  const at = request.url.indexOf("?");
  if (at >= 0) {
    const end = request.url.indexOf("#", at);
    malformed = parsePairs(request.url.slice(at + 1, end < 0 ? undefined : end), add) ?? malformed;
  }
  return new Params(values, malformed);
}

async function readBody(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body!) {
    size += part.length;
    if (size > MAX_BODY) {
      throw new MnemeError("limit", `request body is larger than ${MAX_BODY} bytes`, {
        attrs: { status: 413 },
      });
    }
    parts.push(part);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Splits `a=b&c=d`; returns the first pair that could not be decoded. */
function parsePairs(text: string, add: (name: string, value: string) => void): string | undefined {
  let malformed: string | undefined;
  for (const pair of text.split("&")) {
    if (pair === "") continue;
    const eq = pair.indexOf("=");
    const name = pair.includes(";") ? undefined : unescapePair(eq < 0 ? pair : pair.slice(0, eq));
    const value = name === undefined ? undefined : unescapePair(eq < 0 ? "" : pair.slice(eq + 1));
    if (name === undefined || value === undefined) malformed ??= pair;
    else add(name, value);
  }
  return malformed;
}

function unescapePair(text: string): string | undefined {
  const spaced = text.replaceAll("+", " ");
  if (!spaced.includes("%")) return spaced;
  if (/%(?![0-9a-fA-F]{2})/.test(spaced)) return undefined;
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Not UTF-8: keep what can be read, as a lenient decoder does.
    const bytes: number[] = [];
    const raw = new TextEncoder().encode(spaced);
    for (let i = 0; i < raw.length; i++) {
      if (raw[i] === 0x25) {
        bytes.push(parseInt(String.fromCharCode(raw[i + 1]!, raw[i + 2]!), 16));
        i += 2;
      } else bytes.push(raw[i]!);
    }
    return new TextDecoder().decode(new Uint8Array(bytes));
  }
}

const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** A boolean parameter; empty or absent gives `fallback`. */
export function boolParam(params: Params, name: string, fallback: boolean): boolean {
  const text = params.get(name);
  if (text === "") return fallback;
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw new MnemeError(
    "bad_data",
    `'${name}' parameter: strconv.ParseBool: parsing ${quoteGo(text)}: invalid syntax`,
  );
}

const FLOAT = /^[+-]?(\d+(_?\d+)*\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
/** Years -9999 to 9999 are what a date can show; beyond them a time is a mistake of unit. */
const MAX_SECONDS = 253_402_300_799;

/** A time as float seconds or RFC 3339, in ms; throws `cannot parse "x" to a valid timestamp`. */
export function parseTime(text: string): number {
  if (FLOAT.test(text)) {
    const seconds = Number(text.replaceAll("_", ""));
    if (Math.abs(seconds) <= MAX_SECONDS) {
      const whole = Math.trunc(seconds);
      return whole * 1000 + Math.round((seconds - whole) * 1000);
    }
    // Clients probe with milliseconds: such a time is far away, not an error.
    if (Math.abs(seconds) <= MAX_SECONDS * 1000) return Math.sign(seconds) * MAX_SECONDS * 1000;
  } else if (RFC3339.test(text)) {
    const ms = Date.parse(text.toUpperCase().replace(/(\.\d{3})\d+/, "$1"));
    if (!Number.isNaN(ms)) return ms;
  }
  throw new MnemeError("bad_data", `cannot parse ${quoteGo(text)} to a valid timestamp`);
}

/** A duration as float seconds or `1h30m`, in ms (fractions kept). */
export function parseDurationParam(text: string): number {
  if (FLOAT.test(text)) {
    const ms = Number(text.replaceAll("_", "")) * 1000;
    if (Math.abs(ms) > 9_223_372_036_854) {
      throw new MnemeError(
        "bad_data",
        `cannot parse ${quoteGo(text)} to a valid duration. It overflows int64`,
      );
    }
    return ms;
  }
  try {
    return parseDuration(text);
  } catch (cause) {
    throw new MnemeError("bad_data", `cannot parse ${quoteGo(text)} to a valid duration`, {
      cause,
    });
  }
}

/** A duration parameter by name; undefined when empty or absent. */
export function durationParam(params: Params, name: string, label = true): number | undefined {
  const text = params.get(name);
  if (text === "") return undefined;
  try {
    return parseDurationParam(text);
  } catch (error) {
    if (!label || !(error instanceof MnemeError)) throw error;
    throw new MnemeError("bad_data", `'${name}' parameter: ${error.message}`);
  }
}

/** The evaluation time of an instant query, ms. */
export function timeParam(params: Params, name: string, fallback: number): number {
  const text = params.get(name);
  if (text === "") return fallback;
  try {
    return parseTime(text);
  } catch (error) {
    throw new MnemeError(
      "bad_data",
      `Invalid time value for '${name}': ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** `limit`: a whole number of 0 or more, 0 = none. */
export function limitParam(params: Params): number {
  const text = params.get("limit");
  if (text === "") return 0;
  if (!/^[+-]?\d+$/.test(text) || Math.abs(Number(text)) > Number.MAX_SAFE_INTEGER) {
    throw new MnemeError("bad_data", `cannot parse ${quoteGo(text)} to a valid limit`);
  }
  if (Number(text) < 0) throw new MnemeError("bad_data", "limit must be non-negative");
  return Number(text);
}

/** Start, end and step of a range query, ms; throws Thanos' texts. */
export function rangeParams(
  params: Params,
  defaultStep: number,
): { start: number; end: number; step: number } {
  const start = parseTime(params.get("start"));
  const end = parseTime(params.get("end"));
  if (end < start) {
    throw new MnemeError("bad_data", "end timestamp must not be before start time");
  }
  let step = durationParam(params, "step");
  if (step === undefined) {
    step = Math.max(Math.floor((end - start) / 1000 / 250) * 1000, defaultStep);
  }
  step = Math.trunc(step);
  if (step <= 0) {
    throw new MnemeError(
      "bad_data",
      "zero or negative query resolution step widths are not accepted. Try a positive integer",
    );
  }
  if (Math.floor((end - start) / step) > 11_000) {
    throw new MnemeError(
      "bad_data",
      "exceeded maximum resolution of 11,000 points per timeseries. " +
        "Try decreasing the query resolution (?step=XX)",
    );
  }
  return { start, end, step };
}

/** Start and end of a metadata request, ms; an absent one is the given bound. */
export function metadataRange(
  params: Params,
  defaults: { start: number; end: number },
): { start: number; end: number } {
  try {
    const start = timeParam(params, "start", defaults.start);
    const end = timeParam(params, "end", defaults.end);
    if (end < start) {
      throw new MnemeError("bad_data", "end timestamp must not be before start time");
    }
    return { start, end };
  } catch (error) {
    // The prefix is part of Thanos' text here.
    if (error instanceof MnemeError) throw new MnemeError("bad_data", `bad_data: ${error.message}`);
    throw error;
  }
}
