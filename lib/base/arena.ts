/**
 * Memory for what is received piece by piece and let go of all at once: the messages of a query.
 *
 * Pieces are cut from large slabs, one behind the other. A slab is larger than what the C library
 * keeps for itself when it is freed, so that memory which is let go of goes back to the system; the
 * system gives it out page by page, so that the unused end of a slab costs nothing.
 */

/** Just above the largest size (32 MiB) up to which freed memory may be kept by the C library. */
const SLAB_BYTES = 33 * 1024 * 1024;
/** Smaller pieces are left to the runtime: few of them, and a slab, cost more than they are. */
const SMALLEST = 16 * 1024;
/** A request has a slab of its own from this many bytes on. */
const SLAB_FROM = 512 * 1024;

/** Slabs that wait for their next use. */
export class SlabPool {
  readonly #most: number;
  readonly #free: Uint8Array<ArrayBuffer>[] = [];

  /** Keeps about `keepBytes` of unused memory. */
  constructor(keepBytes: number) {
    this.#most = Math.floor(keepBytes / SLAB_BYTES);
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#free.length * SLAB_BYTES;
  }

  arena(): Arena {
    return new Arena(this);
  }

  /** A slab with anything in it. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#free.pop() ?? new Uint8Array(SLAB_BYTES);
  }

  /** Takes a slab back; neither it nor views of it may be used any more. */
  give(slab: Uint8Array<ArrayBuffer>): void {
    if (this.#free.length < this.#most) this.#free.push(slab);
    else discard(slab);
  }
}

/** Memory of one request; release() ends all of it. */
export class Arena {
  readonly #pool: SlabPool;
  #slabs: Uint8Array<ArrayBuffer>[] | undefined = [];
  /** Pieces too large for a slab. */
  readonly #large: Uint8Array<ArrayBuffer>[] = [];
  #used = 0;
  #outside = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** `size` bytes with anything in them; ordinary memory once the arena was released. */
  allocate(size: number): Uint8Array<ArrayBuffer> {
    const slabs = this.#slabs;
    if (slabs === undefined || size < SMALLEST) return new Uint8Array(size);
    if (slabs.length === 0 && this.#outside + size < SLAB_FROM) {
      this.#outside += size;
      return new Uint8Array(size);
    }
    if (size > SLAB_BYTES / 4) {
      const own = new Uint8Array(size);
      this.#large.push(own);
      return own;
    }
    if (slabs.length === 0 || this.#used + size > SLAB_BYTES) {
      slabs.push(this.#pool.take());
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += size;
    return slabs.at(-1)!.subarray(at, at + size);
  }

  /** Gives all memory back; neither it nor views of it may be used any more. */
  release(): void {
    for (const slab of this.#slabs ?? []) this.#pool.give(slab);
    for (const own of this.#large) discard(own);
    this.#slabs = undefined;
    this.#large.length = 0;
  }
}

/** Gives memory back to the system at once, not when the collector finds out about it. */
function discard(bytes: Uint8Array<ArrayBuffer>): void {
  bytes.buffer.transfer(0);
}
