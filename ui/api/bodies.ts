/** Bodies of answers: as JSON, and as columns of samples read while they arrive. */
import { type Columns, MatrixScanner } from "../model/matrix_scanner.ts";
import { parseSample } from "../model/numbers.ts";
import type { MatrixSeries, SeriesColumns } from "./types.ts";

/** How long reading keeps the page from anything else, ms: less than a frame. */
const SLICE = 10;

/** What is common to all answers, as far as it was looked at. */
export interface Envelope {
  readonly status?: unknown;
  readonly data?: unknown;
  readonly error?: unknown;
  readonly errorType?: unknown;
  readonly warnings?: unknown;
  readonly infos?: unknown;
}

/** A body that came; without an envelope when it was something else than an answer of the API. */
export interface Body {
  readonly envelope: Envelope | undefined;
  readonly text: () => string;
}

/** Reads a body as JSON. */
export async function readText(response: Response): Promise<Body> {
  const text = await response.text();
  return { envelope: parseEnvelope(text), text: () => text };
}

/**
 * Reads the answer to a range query: each series as `SeriesColumns`. The time is that of the last
 * byte: what came before was read by then.
 */
export async function readRange(response: Response): Promise<Body> {
  if (!response.ok || response.body === null) return await readText(response);
  const scanner = new MatrixScanner();
  mark("first-byte");
  await feed(scanner, response.body);
  mark("last-byte");
  const scanned = scanner.finish();
  const envelope = scanned === undefined
    ? parseEnvelope(scanner.text())
    : asEnvelope(scanned.envelope);
  const body = {
    envelope: envelope === undefined ? undefined : withColumns(envelope, scanned?.columns ?? []),
    text: () => scanner.text(),
  };
  mark("parsed");
  return body;
}

/** A point of the way from bytes to a drawn graph, for developer tools and the benchmark. */
export function mark(name: string): void {
  performance.clearMarks(`answer:${name}`);
  performance.mark(`answer:${name}`);
}

/** Passes a body on, with a pause whenever the page would otherwise stand still. */
async function feed(scanner: MatrixScanner, body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  let began = performance.now();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    scanner.push(value);
    if (performance.now() - began < SLICE) continue;
    await pause();
    began = performance.now();
  }
}

/** Lets the browser do what waits: a click, a frame. */
function pause(): Promise<void> {
  const { scheduler } = globalThis as { scheduler?: { yield?: () => Promise<void> } };
  return scheduler?.yield?.() ?? new Promise((done) => setTimeout(done));
}

function parseEnvelope(text: string): Envelope | undefined {
  try {
    return asEnvelope(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function asEnvelope(value: unknown): Envelope | undefined {
  return typeof value === "object" && value !== null && "status" in value ? value : undefined;
}

/** The envelope of a range with columns in place of samples. */
export function withColumns(envelope: Envelope, columns: readonly Columns[]): Envelope {
  const { data } = envelope;
  if (typeof data !== "object" || data === null || !("result" in data)) return envelope;
  if (!Array.isArray(data.result) || !("resultType" in data) || data.resultType !== "matrix") {
    return envelope;
  }
  const series = data.result as readonly (Omit<MatrixSeries, "values"> & {
    readonly values?: MatrixSeries["values"] | number;
  })[];
  const result = series.map(({ values, ...rest }): SeriesColumns => ({
    ...rest,
    ...(typeof values === "number" ? columns[values]! : columnsOf(values ?? [])),
  }));
  return { ...envelope, data: { ...data, result } };
}

function columnsOf(values: NonNullable<MatrixSeries["values"]>): Columns {
  return {
    times: Float64Array.from(values, ([time]) => time),
    values: Float64Array.from(values, ([, text]) => parseSample(text)),
  };
}
