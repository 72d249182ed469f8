/**
 * Tournament tree for k-way merges: the winner (smallest head) is found in log2(k) comparisons.
 *
 * The tree holds indexes only; the caller keeps the heads. After the winner's head has moved on,
 * `replay()` restores the order. Ties go to the lower index, so merges are stable.
 */
export class LoserTree {
  readonly #count: number;
  /** Inner nodes 1..count-1 hold the loser of their match; node 0 the winner. */
  readonly #nodes: Int32Array;
  readonly #less: (a: number, b: number) => boolean;
  readonly #done: Uint8Array;
  #open: number;

  /** `less(a, b)` compares the current heads of inputs a and b; never called for closed inputs. */
  constructor(count: number, less: (a: number, b: number) => boolean, closed?: Iterable<number>) {
    this.#count = count;
    this.#less = less;
    this.#nodes = new Int32Array(Math.max(count, 1)).fill(-1);
    this.#done = new Uint8Array(count);
    this.#open = count;
    if (closed !== undefined) {
      for (const i of closed) {
        if (this.#done[i] === 0) {
          this.#done[i] = 1;
          this.#open--;
        }
      }
    }
    if (count > 0) this.#nodes[0] = this.#build(1);
  }

  #beats(a: number, b: number): boolean {
    if (this.#done[a] === 1) return false;
    if (this.#done[b] === 1) return true;
    if (this.#less(a, b)) return true;
    if (this.#less(b, a)) return false;
    return a < b;
  }
  #build(node: number): number {
    if (node >= this.#count) return node - this.#count;
    const left = this.#build(node * 2);
    const right = this.#build(node * 2 + 1);
    if (this.#beats(left, right)) {
      this.#nodes[node] = right;
      return left;
    }
    this.#nodes[node] = left;
    return right;
  }

  /** Inputs that are still open. */
  get open(): number {
    return this.#open;
  }
  /** Index of the input with the smallest head, or -1 when all are closed. */
  winner(): number {
    return this.#open === 0 ? -1 : this.#nodes[0]!;
  }
  /** Call after the winner's head changed. */
  replay(): void {
    let winner = this.#nodes[0]!;
    for (let node = (winner + this.#count) >> 1; node >= 1; node >>= 1) {
      const loser = this.#nodes[node]!;
      if (this.#beats(loser, winner)) {
        this.#nodes[node] = winner;
        winner = loser;
      }
    }
    this.#nodes[0] = winner;
  }
  /** Call when the winner has no further head. */
  close(): void {
    const winner = this.#nodes[0]!;
    if (this.#done[winner] === 0) {
      this.#done[winner] = 1;
      this.#open--;
    }
    this.replay();
  }
}
