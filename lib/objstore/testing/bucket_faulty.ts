/**
 * A bucket that misbehaves on purpose, the same way for the same seed: errors, missing objects,
 * slow answers, short and corrupt reads, uploads that stop half-way. For tests.
 */
import { type Clock, type ErrorKind, MnemeError, systemClock } from "../../base/mod.ts";
import { Random } from "../../base/testing/random.ts";
import { readAll, streamOf } from "../body.ts";
import type {
  Bucket,
  BucketEntry,
  CallOptions,
  IterOptions,
  ObjectAttributes,
  RangeCallOptions,
  UploadBody,
  UploadOptions,
} from "../bucket.ts";

/** Operations as the metrics name them; getStream counts as get. */
export type BucketOperation =
  | "iter"
  | "get"
  | "get_range"
  | "exists"
  | "attributes"
  | "upload"
  | "delete";

/** What happens to a call. */
export type Fault =
  /** Fails before anything is done. */
  | { readonly type: "error"; readonly kind: ErrorKind; readonly message?: string }
  /** Is done, and then reported as failed: the answer got lost. */
  | { readonly type: "error_after"; readonly kind: ErrorKind; readonly message?: string }
  /** Waits on the clock first. */
  | { readonly type: "slow"; readonly ms: number }
  /** Waits until the call is aborted. */
  | { readonly type: "stall" }
  /** Reads give only this share of their bytes, without an error. */
  | { readonly type: "short"; readonly share: number }
  /** One bit of what is read is flipped. */
  | { readonly type: "corrupt" };

/** Which calls a fault hits; all conditions must hold. */
export interface FaultRule {
  readonly fault: Fault;
  readonly operations?: readonly BucketOperation[];
  /** The object's name matches. */
  readonly name?: RegExp;
  /** Chance of each call, 1 when absent. */
  readonly probability?: number;
  /** Number of matching calls that pass first. */
  readonly skip?: number;
  /** Number of hits, then the rule is spent. */
  readonly times?: number;
}

/** A call that was made. */
export interface RecordedCall {
  readonly operation: BucketOperation;
  readonly name: string;
  readonly offset?: number;
  readonly length?: number;
  /** The fault that hit it, if any. */
  readonly fault?: Fault["type"];
}

interface RuleState {
  readonly rule: FaultRule;
  seen: number;
  hits: number;
}

/** Wraps a bucket; the first rule that matches a call decides. */
export class FaultyBucket implements Bucket {
  readonly name: string;
  readonly provider: string;
  /** Every call so far. */
  readonly calls: RecordedCall[] = [];
  readonly #inner: Bucket;
  readonly #random: Random;
  readonly #clock: Clock;
  #rules: RuleState[] = [];

  constructor(
    inner: Bucket,
    options: {
      readonly seed?: number;
      readonly rules?: readonly FaultRule[];
      readonly clock?: Clock;
    } = {},
  ) {
    this.name = inner.name;
    this.provider = inner.provider;
    this.#inner = inner;
    this.#random = new Random(options.seed ?? 1);
    this.#clock = options.clock ?? systemClock;
    this.setRules(options.rules ?? []);
  }

  /** Replaces the rules; an empty list heals the bucket. */
  setRules(rules: readonly FaultRule[]): void {
    this.#rules = rules.map((rule) => ({ rule, seen: 0, hits: 0 }));
  }
  /** Number of calls so far of these operations. */
  count(...operations: BucketOperation[]): number {
    return this.calls.filter((call) => operations.includes(call.operation)).length;
  }

  async *iter(dir: string, options: IterOptions = {}): AsyncIterable<BucketEntry> {
    const entries = await this.#call(
      "iter",
      dir,
      options,
      () => Array.fromAsync(this.#inner.iter(dir, options)),
    );
    yield* entries;
  }
  async get(name: string, options: CallOptions = {}): Promise<Uint8Array> {
    return await this.#read("get", name, options, () => this.#inner.get(name, options));
  }
  async getStream(name: string, options: CallOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return streamOf(
      await this.#read(
        "get",
        name,
        options,
        async () => await readAll(await this.#inner.getStream(name, options)),
      ),
    );
  }
  async getRange(
    name: string,
    offset: number,
    length: number,
    options: RangeCallOptions = {},
  ): Promise<Uint8Array> {
    return await this.#read(
      "get_range",
      name,
      options,
      () => this.#inner.getRange(name, offset, length, options),
      { offset, length },
    );
  }
  async exists(name: string, options: CallOptions = {}): Promise<boolean> {
    return await this.#call("exists", name, options, () => this.#inner.exists(name, options));
  }
  async attributes(name: string, options: CallOptions = {}): Promise<ObjectAttributes> {
    return await this.#call(
      "attributes",
      name,
      options,
      () => this.#inner.attributes(name, options),
    );
  }
  async upload(name: string, body: UploadBody, options: UploadOptions = {}): Promise<void> {
    await this.#call("upload", name, options, () => this.#inner.upload(name, body, options));
  }
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#call("delete", name, options, () => this.#inner.delete(name, options));
  }
  async close(): Promise<void> {
    await this.#inner.close();
  }

  async #read(
    operation: BucketOperation,
    name: string,
    options: CallOptions,
    work: () => Promise<Uint8Array>,
    range: { offset?: number; length?: number } = {},
  ): Promise<Uint8Array> {
    let hit: Fault | undefined;
    const bytes = await this.#call(operation, name, options, work, range, (fault) => hit = fault);
    if (hit?.type === "short") return bytes.slice(0, Math.floor(bytes.length * hit.share));
    if (hit?.type === "corrupt" && bytes.length > 0) {
      const copy = bytes.slice();
      copy[this.#random.below(copy.length)]! ^= 1 << this.#random.below(8);
      return copy;
    }
    return bytes;
  }

  async #call<T>(
    operation: BucketOperation,
    name: string,
    options: CallOptions,
    work: () => Promise<T>,
    range: { offset?: number; length?: number } = {},
    told: (fault: Fault) => void = () => {},
  ): Promise<T> {
    const fault = this.#choose(operation, name);
    this.calls.push({
      operation,
      name,
      ...range,
      ...(fault === undefined ? {} : { fault: fault.type }),
    });
    if (fault === undefined) return await work();
    told(fault);
    switch (fault.type) {
      case "error":
        throw injected(fault, operation, name);
      case "error_after":
        await work();
        throw injected(fault, operation, name);
      case "slow":
        await this.#clock.sleep(fault.ms, options.signal);
        return await work();
      case "stall":
        return await stall<T>(options.signal);
      default:
        return await work();
    }
  }

  #choose(operation: BucketOperation, name: string): Fault | undefined {
    for (const state of this.#rules) {
      const { rule } = state;
      if (rule.operations !== undefined && !rule.operations.includes(operation)) continue;
      if (rule.name !== undefined && !rule.name.test(name)) continue;
      if (rule.times !== undefined && state.hits >= rule.times) continue;
      if (rule.probability !== undefined && !this.#random.chance(rule.probability)) continue;
      if (state.seen++ < (rule.skip ?? 0)) continue;
      state.hits++;
      return rule.fault;
    }
    return undefined;
  }
}

function injected(
  fault: { readonly kind: ErrorKind; readonly message?: string },
  operation: string,
  name: string,
): MnemeError {
  const message = fault.message ?? `Cannot ${operation} object ${name}: injected ${fault.kind}`;
  return new MnemeError(fault.kind, message);
}

function stall<T>(signal: AbortSignal | undefined): Promise<T> {
  return new Promise((_, reject) => {
    const fail = () =>
      reject(new MnemeError("canceled", "context canceled", { cause: signal?.reason }));
    if (signal?.aborted === true) fail();
    else signal?.addEventListener("abort", fail, { once: true });
  });
}
