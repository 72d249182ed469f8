/**
 * Label sets by symbol references, shared by all blocks whose symbol tables are equal.
 *
 * Blocks of one Prometheus hold mostly the same series. Where their symbol tables are the same bytes,
 * equal references mean equal labels, so a label set is built once and the same object stands for it
 * in every block: merging then compares identities, not strings.
 */
import { createHash } from "node:crypto";
import type { Labels } from "../model/mod.ts";
import type { LabelReader, SeriesEntry } from "../tsdb/mod.ts";

/** Label sets of one symbol table. */
export class SymbolSpace {
  /** Open addressing: slot -> 1 + index of a label set, 0 = free. */
  #slots = new Uint32Array(256);
  readonly #labels: Labels[] = [];
  readonly #hashes: number[] = [];
  /** References of all sets back to back; set i is [starts[i], starts[i + 1]). */
  #refs = new Uint32Array(1024);
  readonly #starts: number[] = [0];
  /** Tick of the last use, for the least recently used. */
  used = 0;

  /** Number of label sets. */
  get size(): number {
    return this.#labels.length;
  }

  /** The labels of an entry; `reader` builds them when they are not known yet. */
  labels(entry: SeriesEntry, reader: LabelReader): Labels {
    const refs = entry.labels;
    const n = entry.labelLength;
    let hash = n;
    for (let i = 0; i < n; i++) hash = Math.imul(hash ^ refs[i]!, 0x9e3779b1) ^ (hash >>> 15);
    let slot = this.#find(refs, n, hash);
    const found = this.#slots[slot]!;
    if (found !== 0) return this.#labels[found - 1]!;
    const labels = reader.labels(entry);
    if ((this.#labels.length + 1) * 2 > this.#slots.length) {
      this.#grow();
      slot = this.#find(refs, n, hash);
    }
    const start = this.#starts[this.#labels.length]!;
    if (start + n > this.#refs.length) {
      const larger = new Uint32Array((start + n) * 2);
      larger.set(this.#refs);
      this.#refs = larger;
    }
    this.#refs.set(refs.subarray(0, n), start);
    this.#labels.push(labels);
    this.#hashes.push(hash);
    this.#starts.push(start + n);
    this.#slots[slot] = this.#labels.length;
    return labels;
  }

  #find(refs: Uint32Array, n: number, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const known = this.#refs;
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const index = slots[slot]!;
      if (index === 0) return slot;
      if (this.#hashes[index - 1] !== hash) continue;
      const start = this.#starts[index - 1]!;
      if (this.#starts[index]! - start !== n) continue;
      let i = 0;
      while (i < n && known[start + i] === refs[i]) i++;
      if (i === n) return slot;
    }
  }

  #grow(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let i = 0; i < this.#hashes.length; i++) {
      let slot = this.#hashes[i]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = i + 1;
    }
    this.#slots = slots;
  }

  /** Forgets all label sets; those handed out stay valid. */
  clear(): void {
    this.#slots = new Uint32Array(256);
    this.#refs = new Uint32Array(1024);
    this.#labels.length = 0;
    this.#hashes.length = 0;
    this.#starts.length = 1;
  }
}

/** Label sets kept over all spaces; a set takes some 300 bytes. */
const MAX_LABEL_SETS = 200_000;

/** The spaces of one store gateway, by content of the symbol table. */
export class SymbolSpaces {
  readonly #spaces = new Map<string, { space: SymbolSpace; users: number }>();
  #tick = 0;

  /** The space of a symbol table with these bytes; give its key back with release(). */
  acquire(symbolTable: Iterable<Uint8Array>): { key: string; space: SymbolSpace } {
    const hash = createHash("sha256");
    for (const bytes of symbolTable) hash.update(bytes);
    const key = hash.digest("base64");
    let entry = this.#spaces.get(key);
    if (entry === undefined) this.#spaces.set(key, entry = { space: new SymbolSpace(), users: 0 });
    entry.users++;
    return { key, space: entry.space };
  }

  release(key: string): void {
    const entry = this.#spaces.get(key);
    if (entry !== undefined && --entry.users === 0) this.#spaces.delete(key);
  }

  /** Marks a space as in use now and keeps the memory of all within bounds. */
  touch(space: SymbolSpace): void {
    space.used = ++this.#tick;
    let total = 0;
    for (const entry of this.#spaces.values()) total += entry.space.size;
    while (total > MAX_LABEL_SETS) {
      let oldest: SymbolSpace | undefined;
      for (const entry of this.#spaces.values()) {
        if (entry.space.size > 0 && (oldest === undefined || entry.space.used < oldest.used)) {
          oldest = entry.space;
        }
      }
      if (oldest === undefined) return;
      total -= oldest.size;
      oldest.clear();
    }
  }
}
