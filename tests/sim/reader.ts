/**
 * A reader: the real store gateway over the simulated bucket, asked for everything while compactors
 * and shippers are at work. I12: it gives what was to be seen when it last looked, or says that it
 * does not.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import type { Random } from "../../lib/base/testing/random.ts";
import { DeletionMarkFilter, DuplicateFilter, MetaFetcher } from "../../lib/block/mod.ts";
import { labelsToRecord, makeMatcher } from "../../lib/model/mod.ts";
import {
  type Bucket,
  type BucketEntry,
  type IterOptions,
  type ObjectAttributes,
  streamOf,
} from "../../lib/objstore/mod.ts";
import { BucketStore, HeaderPool, type StoreMetrics } from "../../lib/store/mod.ts";
import type { Store } from "../../lib/storeapi/mod.ts";
import { silentLogger } from "../../lib/telemetry/mod.ts";
import { readXor } from "./block_bytes.ts";
import { type Library, type Oracle, Violation } from "./oracle.ts";
import { HOUR, type Scenario } from "./scenario.ts";
import { listNames, type SimBucket, type SimClock, SimDisk, type StoredObject } from "./world.ts";

/** A store gateway serves marked blocks until then; the replacement is known by that time. */
const IGNORE_DELETION_MARKS = 24 * HOUR;

/** A bug that is planted in the reader. */
export interface ReaderMutant {
  readonly bucket?: (bucket: Bucket) => Bucket;
  readonly store?: (store: Store) => Store;
}

/** What a reader needs. */
export interface ReaderParts {
  readonly scenario: Scenario;
  readonly library: Library;
  readonly oracle: Oracle;
  readonly bucket: SimBucket;
  readonly clock: SimClock;
  readonly random: Random;
  readonly metrics: StoreMetrics;
  readonly mutant: ReaderMutant | undefined;
}

/** One reader; it lives as long as its process. */
export class SimReader {
  readonly #parts: ReaderParts;
  readonly #gateway: BucketStore;
  readonly #store: Store;
  /** Answers that were whole, and those that said they were not. */
  readonly answers = { whole: 0, partial: 0 };

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    const { clock, metrics, mutant } = parts;
    const quiet = new QuietBucket(parts.bucket, parts.random);
    const bucket = mutant?.bucket?.(quiet) ?? quiet;
    this.#gateway = new BucketStore({
      bucket,
      fetcher: new MetaFetcher({
        bucket,
        filters: [
          new DeletionMarkFilter(bucket, IGNORE_DELETION_MARKS, clock),
          new DuplicateFilter(),
        ],
      }),
      headers: new HeaderPool({ bucket, files: new SimDisk(), clock }),
      metrics,
      logger: silentLogger,
      clock,
    });
    this.#store = mutant?.store?.(this.#gateway) ?? this.#gateway;
  }

  /** Looks at the bucket and asks twice, others doing something in between. Throws: Violation. */
  async read(): Promise<void> {
    const { oracle, random } = this.#parts;
    const promised = oracle.visibleRaw();
    try {
      await this.#gateway.sync();
    } catch (error) {
      if (!(error instanceof MnemeError)) throw error;
      this.answers.partial++;
      return;
    }
    for (let n = 0; n < 2; n++) {
      await this.#ask(promised);
      for (let turns = random.below(300); turns > 0; turns--) await null;
    }
  }

  async #ask(promised: ReadonlyMap<number, number>): Promise<void> {
    const { library, clock } = this.#parts;
    const found = new Set<number>();
    let isTold = false;
    try {
      const { signal } = new AbortController();
      const frames = this.#store.series({
        minTime: Number.MIN_SAFE_INTEGER,
        maxTime: Number.MAX_SAFE_INTEGER,
        matchers: [makeMatcher("=", "__name__", "m")],
        maxResolutionWindow: 0,
        aggregates: [0],
        partialResponse: "warn",
        skipChunks: false,
        withoutReplicaLabels: [],
        limit: 0,
        responseBatchSize: 0,
      }, { signal, tenant: "" });
      for await (const { series, warnings } of frames) {
        if (warnings.length > 0) isTold = true;
        for (const { labels, chunks } of series) {
          this.#collect(labelsToRecord(labels), chunks, found);
        }
      }
    } catch (error) {
      if (!(error instanceof MnemeError)) throw error;
      isTold = true;
    }
    if (isTold) {
      this.answers.partial++;
      return;
    }
    this.answers.whole++;
    const now = clock.now();
    for (const [id, expires] of promised) {
      if (found.has(id) || now > expires) continue;
      throw new Violation("I12", `a reader was not given ${library.name(id)}, nor told so`);
    }
  }

  #collect(
    labels: Readonly<Record<string, string>>,
    chunks: readonly { readonly raw?: { readonly data: Uint8Array } }[],
    found: Set<number>,
  ): void {
    const { library } = this.#parts;
    const group = `cluster=${labels.cluster}`;
    const name = `__name__=${labels.__name__},i=${labels.i}`;
    for (const { raw } of chunks) {
      for (const point of raw === undefined ? [] : readXor(raw.data)) {
        const id = library.rawId(group, name, point);
        if (id === undefined) throw new Violation("I12", `a reader was given ${name} ${point}`);
        found.add(id);
      }
    }
  }
}

/** The bucket as a reader sees it: nothing fails, no time passes, and nobody takes note. */
class QuietBucket implements Bucket {
  readonly name = "sim";
  readonly provider = "SIM";
  readonly #world: SimBucket;
  readonly #random: Random;

  constructor(world: SimBucket, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** Lets others go first. */
  async #turn(): Promise<void> {
    for (let n = this.#random.below(4); n > 0; n--) await null;
  }
  async #find(name: string): Promise<StoredObject> {
    await this.#turn();
    const object = this.#world.objects.get(name);
    if (object === undefined) throw new MnemeError("not_found", `object ${name} does not exist`);
    return object;
  }
  async *iter(dir: string, options: IterOptions = {}): AsyncIterable<BucketEntry> {
    await this.#turn();
    yield* listNames(this.#world.copy(), dir, options);
  }
  async get(name: string): Promise<Uint8Array> {
    return (await this.#find(name)).bytes.slice();
  }
  async getStream(name: string): Promise<ReadableStream<Uint8Array>> {
    return streamOf(await this.get(name));
  }
  async getRange(name: string, offset: number, length: number): Promise<Uint8Array> {
    const { bytes } = await this.#find(name);
    return bytes.slice(offset, length < 0 ? undefined : offset + length);
  }
  async exists(name: string): Promise<boolean> {
    await this.#turn();
    return this.#world.objects.has(name);
  }
  async attributes(name: string): Promise<ObjectAttributes> {
    const { bytes, modified } = await this.#find(name);
    return { size: bytes.length, lastModified: modified };
  }
  upload(): Promise<void> {
    throw new Violation("I12", "a reader writes");
  }
  delete(): Promise<void> {
    throw new Violation("I12", "a reader deletes");
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
