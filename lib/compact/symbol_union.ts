/** The symbols of several blocks as one sorted table, and each block's references into it. */
import { compareUtf8 } from "../base/mod.ts";

/** Collects strings; their numbers are provisional until sort(). */
export class SymbolUnion {
  readonly #ids = new Map<string, number>();
  readonly #symbols: string[] = [];

  /** The provisional number of a string. */
  add(symbol: string): number {
    let id = this.#ids.get(symbol);
    if (id === undefined) {
      id = this.#symbols.length;
      this.#ids.set(symbol, id);
      this.#symbols.push(symbol);
    }
    return id;
  }

  /**
   * The sorted table and the place of each provisional number in it. Comparing places is comparing
   * strings. Nothing is added afterwards.
   */
  sort(): { readonly symbols: readonly string[]; readonly ranks: Uint32Array } {
    this.#ids.clear();
    const symbols = this.#symbols;
    const order = new Uint32Array(symbols.length);
    for (let i = 0; i < order.length; i++) order[i] = i;
    order.sort((a, b) => compareUtf8(symbols[a]!, symbols[b]!));
    const ranks = new Uint32Array(order.length);
    const sorted = new Array<string>(order.length);
    for (let i = 0; i < order.length; i++) {
      ranks[order[i]!] = i;
      sorted[i] = symbols[order[i]!]!;
    }
    return { symbols: sorted, ranks };
  }
}
