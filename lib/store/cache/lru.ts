/** Least recently used values within an exact budget of bytes. */

/** What an entry takes beside its value and its key, bytes. */
const ENTRY_OVERHEAD = 144;

/** Told about changes of an Lru. */
export interface LruObserver {
  added(key: string, bytes: number): void;
  evicted(key: string, bytes: number): void;
  overflowed(key: string): void;
}

const SILENT: LruObserver = { added() {}, evicted() {}, overflowed() {} };

interface Entry<V> {
  readonly value: V;
  readonly bytes: number;
  /** Not valid from this time on, ms. */
  readonly until: number;
}

/** Settings of an Lru. */
export interface LruOptions {
  readonly maxBytes: number;
  /** Larger values are not kept. */
  readonly maxItemBytes: number;
  readonly observer?: LruObserver;
}

/** Keeps typed arrays; every entry counts with its value, its key and what the map takes. */
export class Lru<V extends ArrayBufferView> {
  readonly #maxBytes: number;
  readonly #maxItemBytes: number;
  readonly #observer: LruObserver;
  readonly #entries = new Map<string, Entry<V>>();
  #bytes = 0;

  constructor(options: LruOptions) {
    this.#maxBytes = options.maxBytes;
    this.#maxItemBytes = options.maxItemBytes;
    this.#observer = options.observer ?? SILENT;
  }

  /** Bytes and entries held. */
  get bytes(): number {
    return this.#bytes;
  }
  get count(): number {
    return this.#entries.size;
  }

  /** The value of a key that is valid at `now`; it becomes the most recently used. */
  get(key: string, now: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (entry.until <= now) {
      this.#drop(key, entry);
      return undefined;
    }
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Keeps a value until the time `until`, ms. */
  set(key: string, value: V, until: number): void {
    const bytes = value.byteLength + key.length + ENTRY_OVERHEAD;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.#entries.delete(key);
      this.#drop(key, known);
    }
    if (value.byteLength > this.#maxItemBytes || bytes > this.#maxBytes) {
      this.#observer.overflowed(key);
      return;
    }
    this.#entries.set(key, { value, bytes, until });
    this.#bytes += bytes;
    this.#observer.added(key, bytes);
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#entries.delete(oldest);
      this.#drop(oldest, entry);
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#drop(key, entry);
  }

  #drop(key: string, entry: Entry<V>): void {
    this.#bytes -= entry.bytes;
    this.#observer.evicted(key, entry.bytes);
  }
}
