/**
 * Traces sent as OTLP over HTTP in JSON. Loaded only when `--tracing.config` is given.
 *
 * Spans wait in memory, at most a few thousand, and go out in batches; when the collector is away
 * they are tried again for a while and then dropped, which one log line tells. Tracing never holds
 * up or fails the work it watches.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { type Clock, errorMessage } from "../base/mod.ts";
import type {
  Logger,
  Span,
  SpanContext,
  SpanKind,
  SpanOptions,
  SpanValue,
  Tracer,
} from "../telemetry/mod.ts";

/** Where spans go and which are recorded. Times in ms. */
export interface OtlpOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly gzip: boolean;
  readonly timeout: number;
  readonly retry: { readonly initial: number; readonly max: number; readonly elapsed: number };
  /** Attributes of the process, `service.name` among them. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: Sampler;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Decides about a trace that begins here, and about one that a caller began. */
export interface Sampler {
  /** Part of new traces that is recorded, 0 to 1. */
  readonly ratio: number;
  /** Follow the caller's decision. */
  readonly parentBased: boolean;
}

const MAX_WAITING = 4096;
const BATCH = 512;
const PERIOD = 5000;
const MAX_ATTRIBUTES = 32;
const MAX_TEXT = 4096;
/** Longest wait for the last batch when the process ends, ms. */
const LAST_BATCH = 5000;

const KINDS: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2, client: 3 };

interface Ended {
  readonly name: string;
  readonly kind: SpanKind;
  readonly context: SpanContext;
  readonly parent: string | undefined;
  readonly began: number;
  readonly ended: number;
  readonly attributes: ReadonlyMap<string, SpanValue>;
  readonly failure: string | undefined;
}

class LiveSpan implements Span {
  readonly context: SpanContext;
  readonly attributes = new Map<string, SpanValue>();
  failure: string | undefined;
  constructor(context: SpanContext) {
    this.context = context;
  }
  set(key: string, value: SpanValue): void {
    if (this.attributes.size >= MAX_ATTRIBUTES) return;
    this.attributes.set(key, typeof value === "string" ? value.slice(0, MAX_TEXT) : value);
  }
  fail(message: string): void {
    this.failure = message.slice(0, MAX_TEXT);
  }
}

/** The tracer; `start()` begins to send. */
export class OtlpTracer implements Tracer {
  readonly enabled = true;
  readonly #options: OtlpOptions;
  readonly #current = new AsyncLocalStorage<SpanContext>();
  readonly #waiting: Ended[] = [];
  readonly #stop = new AbortController();
  #dropped = 0;
  #loop: Promise<void> | undefined;

  constructor(options: OtlpOptions) {
    this.#options = options;
  }

  current(): SpanContext | undefined {
    return this.#current.getStore();
  }

  begin(name: string, options: SpanOptions = {}): { span: Span; end: () => void } {
    const parent = options.parent ?? this.current();
    const context: SpanContext = {
      traceId: parent?.traceId ?? randomHex(16),
      spanId: randomHex(8),
      sampled: options.forced === true || this.#samples(parent, options.parent !== undefined),
    };
    const span = new LiveSpan(context);
    for (const [key, value] of Object.entries(options.attributes ?? {})) span.set(key, value);
    const began = this.#options.clock.now();
    let open = true;
    return {
      span,
      end: () => {
        if (!open) return;
        open = false;
        if (!context.sampled) return;
        this.#keep({
          name,
          kind: options.kind ?? "internal",
          context,
          parent: parent?.spanId,
          began,
          ended: this.#options.clock.now(),
          attributes: span.attributes,
          failure: span.failure,
        });
      },
    };
  }

  async span<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
    const { span, end } = this.begin(name, options);
    try {
      return await this.#current.run(span.context, () => work(span));
    } catch (error) {
      span.fail(errorMessage(error));
      throw error;
    } finally {
      end();
    }
  }

  #samples(parent: SpanContext | undefined, isRemote: boolean): boolean {
    const { ratio, parentBased } = this.#options.sampler;
    // Spans below one of this process share its fate.
    if (parent !== undefined && (parentBased || !isRemote)) return parent.sampled;
    return Math.random() < ratio;
  }

  #keep(span: Ended): void {
    if (this.#waiting.length >= MAX_WAITING) this.#dropped++;
    else this.#waiting.push(span);
  }

  /** Sends batches until it is closed. */
  start(): void {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    this.#loop = (async () => {
      while (!signal.aborted) {
        await clock.sleep(PERIOD, signal).catch(() => undefined);
        await this.flush(signal);
      }
    })();
  }

  /** Sends all that waits; an abort ends the attempts. */
  async flush(signal?: AbortSignal): Promise<void> {
    while (this.#waiting.length > 0 && signal?.aborted !== true) {
      const batch = this.#waiting.splice(0, BATCH);
      if (!await this.#send(batch, signal)) this.#dropped += batch.length;
    }
    if (this.#dropped > 0) {
      this.#options.logger.warn("spans were dropped", { spans: this.#dropped });
      this.#dropped = 0;
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await this.flush(AbortSignal.timeout(LAST_BATCH));
  }

  /** True when the collector took the spans. */
  async #send(batch: readonly Ended[], signal: AbortSignal | undefined): Promise<boolean> {
    const { url, headers, gzip, timeout, retry, clock, logger } = this.#options;
    const text = new TextEncoder().encode(encodeSpans(batch, this.#options.resource));
    const body = gzip ? await gzipped(text) : text;
    const began = clock.now();
    for (let pause = retry.initial;; pause = Math.min(pause * 2, retry.max)) {
      let why: string;
      try {
        const answer = await this.#options.fetch(url, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            ...(gzip ? { "content-encoding": "gzip" } : {}),
            ...headers,
          },
          body,
          signal: AbortSignal.any([
            AbortSignal.timeout(timeout),
            ...(signal === undefined ? [] : [signal]),
          ]),
        });
        await answer.body?.cancel();
        if (answer.ok) return true;
        why = `status ${answer.status}`;
        // The collector refuses these spans, not just this attempt.
        if (answer.status < 500 && answer.status !== 429) {
          logger.warn("spans were refused", { url, err: why });
          return false;
        }
      } catch (error) {
        why = errorMessage(error);
      }
      if (signal?.aborted || clock.now() - began + pause > retry.elapsed) {
        logger.warn("spans cannot be sent", { url, err: why });
        return false;
      }
      await clock.sleep(pause, signal).catch(() => undefined);
    }
  }
}

/** An ExportTraceServiceRequest in JSON. */
export function encodeSpans(
  spans: readonly Ended[],
  resource: Readonly<Record<string, string>>,
): string {
  return JSON.stringify({
    resourceSpans: [{
      resource: { attributes: attributesOf(Object.entries(resource)) },
      scopeSpans: [{
        scope: { name: "mneme" },
        spans: spans.map((span) => ({
          traceId: span.context.traceId,
          spanId: span.context.spanId,
          ...(span.parent === undefined ? {} : { parentSpanId: span.parent }),
          name: span.name,
          kind: KINDS[span.kind],
          startTimeUnixNano: nanos(span.began),
          endTimeUnixNano: nanos(span.ended),
          attributes: attributesOf([...span.attributes]),
          status: span.failure === undefined ? {} : { code: 2, message: span.failure },
        })),
      }],
    }],
  });
}

function attributesOf(entries: readonly (readonly [string, SpanValue])[]) {
  return entries.map(([key, value]) => ({
    key,
    value: typeof value === "string"
      ? { stringValue: value }
      : typeof value === "boolean"
      ? { boolValue: value }
      : Number.isSafeInteger(value)
      ? { intValue: String(value) }
      : { doubleValue: value },
  }));
}

/** Ms as nanoseconds in decimal. */
function nanos(ms: number): string {
  return `${Math.floor(ms)}${String(Math.round((ms % 1) * 1e6)).padStart(6, "0")}`;
}

function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}

async function gzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
