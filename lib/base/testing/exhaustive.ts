/** Small complete enumerations: where they fit, they beat random tests. */

/** All subsets of the items, the empty one first. */
export function* subsets<T>(items: readonly T[]): IterableIterator<T[]> {
  for (let mask = 0; mask < 2 ** items.length; mask++) {
    yield items.filter((_, i) => (mask & (1 << i)) !== 0);
  }
}

/** All orders of the items. */
export function* permutations<T>(items: readonly T[]): IterableIterator<T[]> {
  if (items.length === 0) {
    yield [];
    return;
  }
  for (let i = 0; i < items.length; i++) {
    for (const rest of permutations([...items.slice(0, i), ...items.slice(i + 1)])) {
      yield [items[i]!, ...rest];
    }
  }
}

/** Every proper prefix of the bytes, shortest first; each is a copy with nothing behind it. */
export function* truncations(bytes: Uint8Array): IterableIterator<Uint8Array> {
  for (let n = 0; n < bytes.length; n++) yield bytes.slice(0, n);
}
