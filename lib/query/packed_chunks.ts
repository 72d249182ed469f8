/** Chunks of many series in columns: an object for each of them would outlive several collections. */
import { type AggrChunk, RawChunk } from "../storeapi/mod.ts";

/**
 * Raw chunks of many series, as places in the messages they came in: 25 bytes each.
 *
 * Owner: the messages are held, not copied; clear() lets them go.
 */
export class PackedChunks {
  #minTimes = new Float64Array(0);
  #maxTimes = new Float64Array(0);
  #starts = new Uint32Array(0);
  #ends = new Uint32Array(0);
  #encodings = new Uint8Array(0);
  /** Chunks from index `#from[i]` on lie in message i. */
  #messages: Uint8Array[] = [];
  #from: number[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Appends chunks; false, and nothing is appended, when one is no raw chunk of a message. */
  append(chunks: readonly AggrChunk[]): boolean {
    for (let i = 0; i < chunks.length; i++) if (!(chunks[i] instanceof RawChunk)) return false;
    const first = this.#length;
    if (first + chunks.length > this.#starts.length) this.#grow(first + chunks.length);
    const minTimes = this.#minTimes;
    const maxTimes = this.#maxTimes;
    const starts = this.#starts;
    const ends = this.#ends;
    const encodings = this.#encodings;
    let message = this.#messages.at(-1);
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i] as RawChunk;
      const at = first + i;
      if (chunk.bytes !== message) {
        message = chunk.bytes;
        this.#messages.push(message);
        this.#from.push(at);
      }
      minTimes[at] = chunk.minTime;
      maxTimes[at] = chunk.maxTime;
      starts[at] = chunk.start;
      ends[at] = chunk.end;
      encodings[at] = chunk.encoding;
    }
    this.#length = first + chunks.length;
    return true;
  }

  /** Chunks [from, to) as objects again. */
  slice(from: number, to: number): AggrChunk[] {
    const chunks = new Array<AggrChunk>(to - from);
    let m = this.#messageOf(from);
    for (let i = from; i < to; i++) {
      while (m + 1 < this.#from.length && this.#from[m + 1]! <= i) m++;
      chunks[i - from] = new RawChunk(
        this.#minTimes[i]!,
        this.#maxTimes[i]!,
        this.#encodings[i]!,
        this.#messages[m]!,
        this.#starts[i]!,
        this.#ends[i]!,
      );
    }
    return chunks;
  }

  clear(): void {
    this.#messages = [];
    this.#from = [];
    this.#length = 0;
  }

  #messageOf(index: number): number {
    let low = 0;
    let high = this.#from.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#from[middle]! <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #grow(need: number): void {
    const size = Math.max(need, this.#starts.length * 2, 1024);
    const grown = <T extends Float64Array | Uint32Array | Uint8Array>(next: T, old: T): T => {
      next.set(old);
      return next;
    };
    this.#minTimes = grown(new Float64Array(size), this.#minTimes);
    this.#maxTimes = grown(new Float64Array(size), this.#maxTimes);
    this.#starts = grown(new Uint32Array(size), this.#starts);
    this.#ends = grown(new Uint32Array(size), this.#ends);
    this.#encodings = grown(new Uint8Array(size), this.#encodings);
  }
}
