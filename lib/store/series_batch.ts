/**
 * A batch of series of one block with their chunks in memory: columns instead of objects, since a
 * request may touch hundreds of thousands of chunks.
 */
import { type BufferPool, xxhash64Into } from "../base/mod.ts";
import {
  type AggrParts,
  type Chunk,
  ENCODING_AGGR,
  findAggrParts,
  PLACE_SIZE,
  PLACES_SIZE,
} from "../chunks/mod.ts";
import type { Labels } from "../model/mod.ts";
import {
  AGGR_COUNT,
  AGGR_COUNTER,
  AGGR_MAX,
  AGGR_MIN,
  AGGR_SUM,
  type AggrChunk,
} from "../storeapi/mod.ts";

/** Loaded series in their final order; series i has chunks [starts[i], starts[i + 1]). */
export class SeriesBatch {
  readonly labels: Labels[] = [];
  readonly starts: number[] = [0];
  /** Closed time range of each chunk, ms. */
  readonly minTimes: Float64Array;
  readonly maxTimes: Float64Array;
  /** Encoding of each chunk; 0 = damaged and left out, see `objects` for SPECIAL. */
  readonly encodings: Uint8Array;
  /** The chunk's data are bytes [dataAt, dataAt + dataLength) of `regions[regionOf]`. */
  readonly regionOf: Uint32Array;
  readonly dataAt: Uint32Array;
  readonly dataLength: Uint32Array;
  readonly regions: Uint8Array[] = [];
  /** Chunks that do not fit the columns: re-encoded ones. */
  readonly objects = new Map<number, readonly AggrChunk[]>();
  /** Parts of aggregate chunks that were asked for, ascending AGGR_ numbers. */
  readonly aggregates: readonly number[];

  readonly #pool: BufferPool | undefined;
  #released: (() => void) | undefined;

  /** `pool` gets the regions back on release(), and `released` is called. */
  constructor(
    chunkCount: number,
    pool?: BufferPool,
    released?: () => void,
    aggregates: readonly number[] = [],
  ) {
    this.aggregates = aggregates;
    this.#pool = pool;
    this.#released = released;
    // One piece of memory: an answer has a batch of every block, most of them small.
    const n = chunkCount;
    const memory = new ArrayBuffer(n * 29);
    this.minTimes = new Float64Array(memory, 0, n);
    this.maxTimes = new Float64Array(memory, n * 8, n);
    this.regionOf = new Uint32Array(memory, n * 16, n);
    this.dataAt = new Uint32Array(memory, n * 20, n);
    this.dataLength = new Uint32Array(memory, n * 24, n);
    this.encodings = new Uint8Array(memory, n * 28, n);
  }

  get count(): number {
    return this.labels.length;
  }

  /** The same chunks with only these series, in ascending order of their index. */
  pick(series: readonly number[]): SeriesBatch {
    const chunks = series.flatMap((i) => {
      const from = this.starts[i]!;
      return Array.from({ length: this.starts[i + 1]! - from }, (_, k) => from + k);
    });
    const batch = new SeriesBatch(chunks.length, this.#pool, this.#released, this.aggregates);
    chunks.forEach((k, n) => {
      batch.minTimes[n] = this.minTimes[k]!;
      batch.maxTimes[n] = this.maxTimes[k]!;
      batch.encodings[n] = this.encodings[k]!;
      batch.regionOf[n] = this.regionOf[k]!;
      batch.dataAt[n] = this.dataAt[k]!;
      batch.dataLength[n] = this.dataLength[k]!;
      const objects = this.objects.get(k);
      if (objects !== undefined) batch.objects.set(n, objects);
    });
    batch.regions.push(...this.regions);
    for (const i of series) {
      batch.labels.push(this.labels[i]!);
      const length = this.starts[i + 1]! - this.starts[i]!;
      batch.starts.push(batch.starts.at(-1)! + length);
    }
    return batch;
  }

  /** Gives the memory of the chunks back; nothing of them may be used afterwards. */
  release(): void {
    this.#released?.();
    this.#released = undefined;
    if (this.#pool === undefined) return;
    for (const region of this.regions) this.#pool.give(region);
    this.regions.length = 0;
  }

  /** Data of chunk `k`, a view of its region. */
  data(k: number): Uint8Array {
    const at = this.dataAt[k]!;
    return this.regions[this.regionOf[k]!]!.subarray(at, at + this.dataLength[k]!);
  }

  /** Finds the parts of aggregate chunk `k` in its region, as findAggrParts(). */
  findParts(k: number, places: Int32Array): void {
    const at = this.dataAt[k]!;
    findAggrParts(this.regions[this.regionOf[k]!]!, at, at + this.dataLength[k]!, places);
  }

  #partsOf(k: number): AggrChunk {
    const places = new Int32Array(PLACES_SIZE);
    this.findParts(k, places);
    const region = this.regions[this.regionOf[k]!]!;
    const parts: { -readonly [K in keyof AggrParts]: AggrParts[K] } = {};
    for (const aggregate of this.aggregates) {
      const p = (aggregate - 1) * PLACE_SIZE;
      const at = places[p]!;
      const length = places[p + 1]!;
      if (length < 0) continue;
      parts[PART_NAMES[aggregate]!] = {
        encoding: places[p + 2]!,
        data: region.subarray(at, at + length),
      };
    }
    return new PartsChunk(this.minTimes[k]!, this.maxTimes[k]!, parts);
  }

  /** Appends the chunks of series `i` to `out` as objects. */
  appendChunks(i: number, out: AggrChunk[]): void {
    for (let k = this.starts[i]!; k < this.starts[i + 1]!; k++) {
      const encoding = this.encodings[k]!;
      if (encoding === DAMAGED) continue;
      if (encoding === SPECIAL) { for (const chunk of this.objects.get(k)!) out.push(chunk); }
      else if (encoding === ENCODING_AGGR) out.push(this.#partsOf(k));
      else out.push(new RawChunk(this.minTimes[k]!, this.maxTimes[k]!, encoding, this.data(k)));
    }
  }
}

/** Marks of `encodings` that are no encodings. */
export const DAMAGED = 0;
export const SPECIAL = 254;

/** A raw chunk whose hash is made when somebody asks for it. */
export class RawChunk implements AggrChunk {
  readonly minTime: number;
  readonly maxTime: number;
  readonly raw: Chunk;
  #hashes: Uint32Array | undefined;

  constructor(minTime: number, maxTime: number, encoding: number, data: Uint8Array) {
    this.minTime = minTime;
    this.maxTime = maxTime;
    this.raw = { encoding, data };
  }
  get hashes(): Uint32Array {
    if (this.#hashes === undefined) {
      this.#hashes = new Uint32Array(2);
      xxhash64Into(this.raw.data, this.#hashes);
    }
    return this.#hashes;
  }
}

/** Parts of an aggregate chunk by AGGR_ number. */
export const PART_NAMES: readonly (keyof AggrParts | undefined)[] = (() => {
  const names = new Array<keyof AggrParts | undefined>(6).fill(undefined);
  names[AGGR_COUNT] = "count";
  names[AGGR_SUM] = "sum";
  names[AGGR_MIN] = "min";
  names[AGGR_MAX] = "max";
  names[AGGR_COUNTER] = "counter";
  return names;
})();

/** Parts of an aggregate chunk whose hashes are made when somebody asks for them. */
class PartsChunk implements AggrChunk {
  readonly minTime: number;
  readonly maxTime: number;
  readonly count?: Chunk;
  readonly sum?: Chunk;
  readonly min?: Chunk;
  readonly max?: Chunk;
  readonly counter?: Chunk;
  #hashes: Uint32Array | undefined;

  constructor(minTime: number, maxTime: number, parts: AggrParts) {
    this.minTime = minTime;
    this.maxTime = maxTime;
    Object.assign(this, parts);
  }
  get hashes(): Uint32Array {
    if (this.#hashes === undefined) {
      this.#hashes = new Uint32Array(2 * PART_NAMES.length);
      for (let aggregate = 1; aggregate < PART_NAMES.length; aggregate++) {
        const part = this[PART_NAMES[aggregate]!];
        if (part !== undefined) xxhash64Into(part.data, this.#hashes, aggregate * 2);
      }
    }
    return this.#hashes;
  }
}
