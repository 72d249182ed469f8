/** Seeded random numbers for tests and benchmarks: the same seed gives the same run anywhere. */

/** A small fast generator (xoshiro128**, seeded through splitmix32); not for secrets. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;
  /** The seed, to be printed when a generated test fails. */
  readonly seed: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    let x = this.seed;
    const next = () => {
      x = (x + 0x9e3779b9) | 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return z ^ (z >>> 16);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** 32 random bits as an unsigned number. */
  bits(): number {
    const s = Math.imul(this.#b, 5);
    const result = Math.imul((s << 7) | (s >>> 25), 9);
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }
  /** A double in [0, 1) with 53 random bits. */
  float(): number {
    return (this.bits() * 2097152 + (this.bits() >>> 11)) / 9007199254740992;
  }
  /** A whole number in [0, n). */
  below(n: number): number {
    return n <= 4294967296
      ? Math.floor(this.bits() / 4294967296 * n)
      : Math.floor(this.float() * n);
  }
  /** A whole number in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }
  /** True with this probability. */
  chance(probability: number): boolean {
    return this.bits() < probability * 4294967296;
  }
  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  /** A random order of the items, as a new array. */
  shuffled<T>(items: readonly T[]): T[] {
    const out = items.slice();
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }
}
