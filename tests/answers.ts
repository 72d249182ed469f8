/** Compares two answers of the query API as people would: floats by tolerance, vectors as sets. */

interface Sample {
  readonly metric: Record<string, string>;
  readonly value?: [number, string];
  readonly values?: [number, string][];
  readonly histogram?: unknown;
  readonly histograms?: unknown;
}

/** The part of the envelope that is compared. */
export interface Answer {
  readonly status: string;
  readonly data?: { readonly resultType: string; readonly result: unknown };
}

/** Relative 1e-9; NaN equals NaN, infinities by sign. */
export function closeEnough(a: string, b: string, tolerance = 1e-9): boolean {
  if (a === b) return true;
  const x = Number(a.replace("Inf", "Infinity"));
  const y = Number(b.replace("Inf", "Infinity"));
  if (!Number.isFinite(x) || !Number.isFinite(y)) return Object.is(x, y);
  return Math.abs(x - y) <= tolerance * Math.max(Math.abs(x), Math.abs(y));
}

function keyOf(metric: Record<string, string>): string {
  return JSON.stringify(Object.entries(metric).sort(([a], [b]) => a < b ? -1 : 1));
}

/** The first difference in words, or undefined when both say the same. */
export function compareAnswers(
  expected: Answer,
  actual: Answer,
  tolerance = 1e-9,
): string | undefined {
  if (expected.status !== actual.status) {
    return `status ${actual.status}, expected ${expected.status}`;
  }
  if (expected.data?.resultType !== actual.data?.resultType) {
    return `type ${actual.data?.resultType}, expected ${expected.data?.resultType}`;
  }
  const type = expected.data?.resultType;
  if (type === "scalar" || type === "string") {
    const [t, v] = expected.data!.result as [number, string];
    const [u, w] = actual.data!.result as [number, string];
    return t === u && closeEnough(v, w, tolerance)
      ? undefined
      : `[${u}, ${w}], expected [${t}, ${v}]`;
  }
  const left = expected.data!.result as Sample[];
  const right = new Map((actual.data!.result as Sample[]).map((s) => [keyOf(s.metric), s]));
  if (left.length !== right.size) return `${right.size} series, expected ${left.length}`;
  for (const a of left) {
    const b = right.get(keyOf(a.metric));
    if (b === undefined) return `series ${JSON.stringify(a.metric)} is missing`;
    const x = a.values ?? (a.value === undefined ? [] : [a.value]);
    const y = b.values ?? (b.value === undefined ? [] : [b.value]);
    if (x.length !== y.length) {
      return `${JSON.stringify(a.metric)}: ${y.length} points, expected ${x.length}`;
    }
    for (let i = 0; i < x.length; i++) {
      if (x[i]![0] !== y[i]![0] || !closeEnough(x[i]![1], y[i]![1], tolerance)) {
        return `${JSON.stringify(a.metric)}: [${y[i]}], expected [${x[i]}]`;
      }
    }
    if (
      JSON.stringify(a.histogram ?? a.histograms) !== JSON.stringify(b.histogram ?? b.histograms)
    ) {
      return `${JSON.stringify(a.metric)}: histograms differ`;
    }
  }
  return undefined;
}

/** True for the envelope of a query result. */
function isAnswer(body: unknown): body is Answer {
  const data = (body as Answer | null)?.data;
  return typeof data === "object" && data !== null && "resultType" in data;
}

/**
 * The first difference between two bodies: query results as compareAnswers() does, warnings and
 * errors word for word, everything else as JSON. Ids and times of day are not compared.
 */
export function compareBodies(expected: unknown, actual: unknown): string | undefined {
  if (typeof expected === "string") {
    return expected === actual
      ? undefined
      : `${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`;
  }
  const a = expected as Record<string, unknown>;
  const b = actual as Record<string, unknown>;
  if (isAnswer(a) && isAnswer(b)) {
    const difference = compareAnswers(a, b);
    if (difference !== undefined) return difference;
  } else if (!sameJson(a.data, b.data)) {
    return `data ${short(b.data)}, expected ${short(a.data)}`;
  }
  for (const key of ["errorType", "error"]) {
    if (inOrder(a[key]) !== inOrder(b[key])) {
      return `${key} ${short(b[key])}, expected ${short(a[key])}`;
    }
  }
  const warnings = (body: Record<string, unknown>) => [...(body.warnings as string[] ?? [])].sort();
  if (!sameWarnings(warnings(a), warnings(b))) {
    return `warnings ${short(b.warnings)}, expected ${short(a.warnings)}`;
  }
  return undefined;
}

/** The two series named in an error about duplicates come in the order they were found. */
function inOrder(text: unknown): unknown {
  if (typeof text !== "string") return text;
  return text.replace(
    /operation: \[(\{.*?\}), (\{.*?\})\];/,
    (_, x: string, y: string) => `operation: [${[x, y].sort().join(", ")}];`,
  );
}

/** Word for word, but that a PromQL annotation may say more than the recorded one, as newer ones do. */
function sameWarnings(expected: readonly string[], actual: readonly string[]): boolean {
  return expected.length === actual.length &&
    expected.every((text, i) =>
      text === actual[i] || (text.startsWith("PromQL ") && actual[i]!.startsWith(text))
    );
}

function short(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 400);
}

/** Equal JSON values; the order of object keys does not matter. */
function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((k) =>
    sameJson((a as Record<string, unknown>)[k], (b as Record<string, unknown>)[k])
  );
}
