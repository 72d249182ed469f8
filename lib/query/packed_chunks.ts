/** Chunks of many series in columns: an object for each of them would outlive several collections. */
import { type AggrChunk, RawChunk } from "../storeapi/mod.ts";

/** Chunks a page. */
const PAGE = 4096;

/** Columns of some chunks, in one piece of memory. */
class Page {
  readonly memory = new ArrayBuffer(PAGE * 32);
  readonly minTimes = new Float64Array(this.memory, 0, PAGE);
  readonly maxTimes = new Float64Array(this.memory, PAGE * 8, PAGE);
  readonly starts = new Uint32Array(this.memory, PAGE * 16, PAGE);
  readonly ends = new Uint32Array(this.memory, PAGE * 20, PAGE);
  /** Index of the message. */
  readonly messages = new Uint32Array(this.memory, PAGE * 24, PAGE);
  readonly encodings = new Uint8Array(this.memory, PAGE * 28, PAGE);
}

/**
 * Raw chunks of many series, as places in the messages they came in.
 *
 * Owner: the messages are held, not copied; clear() lets them go.
 */
export class PackedChunks {
  #pages: Page[] = [];
  #messages: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Appends chunks; false, and nothing is appended, when one is no raw chunk of a message. */
  append(chunks: readonly AggrChunk[]): boolean {
    for (let i = 0; i < chunks.length; i++) if (!(chunks[i] instanceof RawChunk)) return false;
    let message = this.#messages.at(-1);
    for (let i = 0; i < chunks.length;) {
      const at = this.#length % PAGE;
      if (at === 0) this.#pages.push(new Page());
      const page = this.#pages.at(-1)!;
      const count = Math.min(PAGE - at, chunks.length - i);
      for (let k = at; k < at + count; k++, i++) {
        const chunk = chunks[i] as RawChunk;
        if (chunk.bytes !== message) {
          message = chunk.bytes;
          this.#messages.push(message);
        }
        page.minTimes[k] = chunk.minTime;
        page.maxTimes[k] = chunk.maxTime;
        page.starts[k] = chunk.start;
        page.ends[k] = chunk.end;
        page.messages[k] = this.#messages.length - 1;
        page.encodings[k] = chunk.encoding;
      }
      this.#length += count;
    }
    return true;
  }

  /** Chunks [from, to) as objects again. */
  slice(from: number, to: number): AggrChunk[] {
    const chunks = new Array<AggrChunk>(to - from);
    for (let i = from; i < to; i++) {
      const page = this.#pages[Math.floor(i / PAGE)]!;
      const k = i % PAGE;
      chunks[i - from] = new RawChunk(
        page.minTimes[k]!,
        page.maxTimes[k]!,
        page.encodings[k]!,
        this.#messages[page.messages[k]!]!,
        page.starts[k]!,
        page.ends[k]!,
      );
    }
    return chunks;
  }

  /** Forgets all chunks; their memory is given back at once. */
  clear(): void {
    for (const { memory } of this.#pages) memory.transfer(0);
    this.#pages = [];
    this.#messages = [];
    this.#length = 0;
  }
}
