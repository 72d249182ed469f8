/**
 * Memory for bulk bytes, used again and again: fresh memory must be cleared by the system and
 * collected later, which costs more than reading into it.
 */

/** Smallest buffer; sizes go up in quarters of powers of two: 4, 5, 6, 7, 8, 10, 12, 14, 16 KiB … */
const SMALLEST = 4096;

/** Buffers that wait for their next use. */
export class BufferPool {
  readonly #maxBytes: number;
  /** By class of size. */
  readonly #free: Uint8Array<ArrayBuffer>[][] = [];
  /** When a buffer of a class was last asked for. */
  readonly #asked: number[] = [];
  #tick = 0;
  #bytes = 0;

  /** Keeps up to `maxBytes` of unused memory. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A buffer of at least `size` bytes with anything in it. */
  take(size: number): Uint8Array<ArrayBuffer> {
    const index = classOf(size);
    this.#asked[index] = ++this.#tick;
    const buffer = this.#free[index]?.pop();
    if (buffer === undefined) return new Uint8Array(sizeOf(index));
    this.#bytes -= buffer.length;
    return buffer;
  }

  /** Gives a buffer back; neither it nor views of it may be used any more. */
  give(buffer: Uint8Array): void {
    const whole = new Uint8Array(buffer.buffer as ArrayBuffer);
    const index = classOf(whole.length);
    if (sizeOf(index) !== whole.length) return; // Not one of ours.
    while (this.#bytes + whole.length > this.#maxBytes) {
      if (!this.#evict(index)) return discard(whole);
    }
    (this.#free[index] ??= []).push(whole);
    this.#bytes += whole.length;
  }

  /** Lets one buffer go of the class that was asked for longest ago; false when that is `index`. */
  #evict(index: number): boolean {
    let oldest = index;
    this.#free.forEach((free, i) => {
      if (free.length > 0 && (this.#asked[i] ?? 0) < (this.#asked[oldest] ?? 0)) oldest = i;
    });
    if (oldest === index) return false;
    const buffer = this.#free[oldest]!.pop()!;
    this.#bytes -= buffer.length;
    discard(buffer);
    return true;
  }
}

/** Gives memory back to the system at once, not when the collector finds out about it. */
function discard(buffer: Uint8Array<ArrayBuffer>): void {
  buffer.buffer.transfer(0);
}

/** The smallest class whose buffers hold `size` bytes. */
function classOf(size: number): number {
  if (size <= SMALLEST) return 0;
  const quarters = Math.ceil(size / (SMALLEST / 4)); // More than 4.
  const power = 31 - Math.clz32(quarters - 1) - 2;
  return power * 4 + (Math.ceil(quarters / 2 ** power) - 4);
}
/** Bytes of the buffers of a class. */
function sizeOf(index: number): number {
  return (SMALLEST / 4) * (4 + (index & 3)) * 2 ** (index >> 2);
}
