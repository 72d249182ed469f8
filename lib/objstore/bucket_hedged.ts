/**
 * Reads that are asked for again when their answer takes longer than most: of a few requests the
 * first answer counts, which cuts the long tail of a store far away. Costs some requests more.
 */
import { MnemeError, throwIfAborted } from "../base/mod.ts";
import { readNode, schema, type SchemaType, type YamlNode } from "../config/mod.ts";
import type {
  Bucket,
  BucketEntry,
  CallOptions,
  IterOptions,
  ObjectAttributes,
  RangeCallOptions,
  UploadBody,
  UploadOptions,
} from "./bucket.ts";

const hedgingSchema = schema.object({
  enabled: schema.bool(false),
  up_to: schema.int(3, { min: 1, max: 10 }),
  quantile: schema.float(0.9),
});

/** When and how often a read is asked for again. */
export type HedgingConfig = SchemaType<typeof hedgingSchema>;

/** Reads `hedging_config`; throws bad_data. */
export function readHedgingConfig(node: YamlNode | undefined): HedgingConfig {
  const config = readNode(hedgingSchema, node, "hedging_config");
  if (!(config.quantile > 0 && config.quantile < 1)) {
    throw new MnemeError("bad_data", "hedging_config: quantile must be between 0 and 1");
  }
  return config;
}

/** Latencies that are remembered; before this many are known nothing is repeated. */
const REMEMBERED = 512;
const ENOUGH = 32;

/** Repeats slow get() and getRange() calls of `inner`; `after` runs a function later, for tests. */
export function hedgeBucket(
  inner: Bucket,
  config: HedgingConfig,
  env: {
    readonly now?: () => number;
    readonly after?: (ms: number, run: () => void) => () => void;
  } = {},
): Bucket {
  if (!config.enabled || config.up_to < 2) return inner;
  return new HedgedBucket(inner, config, env.now ?? (() => performance.now()), env.after ?? later);
}

function later(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

class HedgedBucket implements Bucket {
  readonly name: string;
  readonly provider: string;
  readonly #inner: Bucket;
  readonly #config: HedgingConfig;
  readonly #now: () => number;
  readonly #after: (ms: number, run: () => void) => () => void;
  readonly #latencies = new Float64Array(REMEMBERED);
  #seen = 0;
  /** The quantile, computed anew every so often. */
  #limit = Infinity;

  constructor(
    inner: Bucket,
    config: HedgingConfig,
    now: () => number,
    after: (ms: number, run: () => void) => () => void,
  ) {
    this.name = inner.name;
    this.provider = inner.provider;
    this.#inner = inner;
    this.#config = config;
    this.#now = now;
    this.#after = after;
  }

  async get(name: string, options: CallOptions = {}): Promise<Uint8Array> {
    return await this.#first(options.signal, (signal) => this.#inner.get(name, { signal }));
  }

  async getRange(
    name: string,
    offset: number,
    length: number,
    options: RangeCallOptions = {},
  ): Promise<Uint8Array> {
    // Memory is not lent: of two readers into the same memory one would spoil the other's bytes.
    return await this.#first(
      options.signal,
      (signal) => this.#inner.getRange(name, offset, length, { signal }),
    );
  }

  #first<T>(
    signal: AbortSignal | undefined,
    ask: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal);
    return new Promise((resolve, reject) => {
      const stop = new AbortController();
      const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
      let asked = 0;
      let failed = 0;
      let cancel = () => {};
      const settle = (end: () => void) => {
        cancel();
        end();
        stop.abort();
      };
      const request = () => {
        const began = this.#now();
        asked++;
        ask(either).then((value) => {
          this.#remember(this.#now() - began);
          settle(() => resolve(value));
        }, (error) => {
          // An answer is an answer: only when all that were asked failed there is nothing to wait for.
          if (++failed === asked) settle(() => reject(error));
        });
        if (asked < this.#config.up_to && this.#limit !== Infinity) {
          cancel = this.#after(this.#limit, request);
        }
      };
      request();
    });
  }

  #remember(ms: number): void {
    this.#latencies[this.#seen++ % REMEMBERED] = ms;
    if (this.#seen < ENOUGH || this.#seen % ENOUGH !== 0) return;
    const sorted = this.#latencies.slice(0, Math.min(this.#seen, REMEMBERED)).sort();
    this.#limit =
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * this.#config.quantile))]!;
  }

  iter(dir: string, options?: IterOptions): AsyncIterable<BucketEntry> {
    return this.#inner.iter(dir, options);
  }
  async getStream(name: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>> {
    return await this.#inner.getStream(name, options);
  }
  async exists(name: string, options?: CallOptions): Promise<boolean> {
    return await this.#inner.exists(name, options);
  }
  async attributes(name: string, options?: CallOptions): Promise<ObjectAttributes> {
    return await this.#inner.attributes(name, options);
  }
  async upload(name: string, body: UploadBody, options?: UploadOptions): Promise<void> {
    await this.#inner.upload(name, body, options);
  }
  async delete(name: string, options?: CallOptions): Promise<void> {
    await this.#inner.delete(name, options);
  }
  async close(): Promise<void> {
    await this.#inner.close();
  }
}
