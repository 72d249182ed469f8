/** Random numbers that depend on nothing but a seed: the same plan gives the same samples. */

/** xoshiro128**; fast, repeatable, not for secrets. */
export class SeededRandom {
  #a = 1;
  #b = 2;
  #c = 3;
  #d = 4;

  /** Starts the sequence of 64 seed bits and a number that tells sequences of one seed apart. */
  seed(high: number, low: number, sequence: number): void {
    const top = Math.floor(sequence / 4294967296);
    this.#a = mix(high ^ 0x9e3779b9);
    this.#b = mix(low ^ this.#a);
    this.#c = mix(sequence ^ this.#b);
    this.#d = mix(top ^ this.#c) | 1;
  }

  /** 32 bits, unsigned. */
  bits(): number {
    const b = this.#b;
    const s = Math.imul(b, 5);
    const result = Math.imul((s << 7) | (s >>> 25), 9);
    this.#c ^= this.#a;
    this.#d ^= b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= b << 9;
    const d = this.#d;
    this.#d = (d << 11) | (d >>> 21);
    return result >>> 0;
  }
  /** A double in [0, 1). */
  float(): number {
    return ((this.bits() >>> 5) * 67108864 + (this.bits() >>> 6)) / 9007199254740992;
  }
}

/** One number in [0, 1) of a seed, without a sequence: any two inputs give unrelated results. */
export function hashFloat(high: number, low: number, index: number, salt: number): number {
  const top = Math.floor(index / 4294967296);
  let h = mix(high ^ Math.imul(salt, 0x9e3779b1));
  h = mix(h ^ low);
  h = mix(h ^ index);
  const a = mix(h ^ top);
  return ((a >>> 5) * 67108864 + (mix(a ^ 0x5bd1e995) >>> 6)) / 9007199254740992;
}

function mix(x: number): number {
  x |= 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}
