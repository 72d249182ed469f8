/**
 * Traces: spans of work across processes, joined by the W3C `traceparent` header.
 *
 * Parts get a Tracer like a logger. Without tracing it is `noTracer`, which costs nothing; the one
 * that exports lives in `lib/runtime` and is loaded only when it is configured.
 */

/** The identity of a span, as it travels between processes. */
export interface SpanContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  readonly sampled: boolean;
}

/** Values of a span's attributes. */
export type SpanValue = string | number | boolean;

/** One piece of work while it runs. */
export interface Span {
  readonly context: SpanContext;
  set(key: string, value: SpanValue): void;
  /** Marks the work as failed. */
  fail(message: string): void;
}

/** Which side of a call a span is. */
export type SpanKind = "internal" | "server" | "client";

/** What is known when a span begins. */
export interface SpanOptions {
  readonly kind?: SpanKind;
  /** The caller's span in another process; the current span of this one otherwise. */
  readonly parent?: SpanContext | undefined;
  /** Record it whatever the sampler says. */
  readonly forced?: boolean;
  readonly attributes?: Readonly<Record<string, SpanValue>>;
}

/** Makes spans. */
export interface Tracer {
  readonly enabled: boolean;
  /** Runs `work` in a new span, which ends when the work does; a rejection marks it as failed. */
  span<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
  /** Begins a span that the caller ends. */
  begin(name: string, options?: SpanOptions): { readonly span: Span; readonly end: () => void };
  /** The span whose work is running. */
  current(): SpanContext | undefined;
  /** Sends what has not been sent. */
  close(): Promise<void>;
}

const NO_SPAN: Span = {
  context: { traceId: "", spanId: "", sampled: false },
  set() {},
  fail() {},
};

/** Traces nothing. */
export const noTracer: Tracer = {
  enabled: false,
  span: (_name, _options, work) => work(NO_SPAN),
  begin: () => ({ span: NO_SPAN, end() {} }),
  current: () => undefined,
  close: () => Promise.resolve(),
};

/** Name of the W3C header and of the gRPC metadata. */
export const TRACEPARENT = "traceparent";

/** The header's value for a span. */
export function formatTraceparent(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.sampled ? "01" : "00"}`;
}

/** The caller's span, or undefined when the header is absent or not what the standard says. */
export function parseTraceparent(value: string | undefined): SpanContext | undefined {
  const m = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(value ?? "");
  if (m === null || m[1] === "ff" || (m[1] === "00" && m[5] !== undefined)) return undefined;
  const [, , traceId, spanId, flags] = m as unknown as [string, string, string, string, string];
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (parseInt(flags, 16) & 1) === 1 };
}
