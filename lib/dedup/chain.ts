/**
 * Chain merging: every sample of every replica in time order, one of those with equal times.
 */
import { assert } from "../base/mod.ts";
import type { SampleBatch } from "../model/mod.ts";

/**
 * Replaces `out` with the union of `replicas` (each ascending in time).
 *
 * At equal times the replica that is not the one just read wins, so of two replicas in step the
 * second one's samples come through.
 * Owner: inputs are only read; `out` must be none of them.
 */
export function mergeChain(replicas: readonly SampleBatch[], out: SampleBatch): void {
  assert(!replicas.includes(out), "the target of a merge is not one of its inputs");
  out.clear();
  const at = new Int32Array(replicas.length);
  let current = earliest(replicas, at, -1);
  if (current < 0) return;
  for (;;) {
    const source = replicas[current]!;
    // Runs that no other replica interrupts are copied at once.
    const other = earliest(replicas, at, current);
    const from = at[current]!;
    let to = from + 1;
    const limit = other < 0 ? Infinity : replicas[other]!.t[at[other]!]!;
    while (to < source.length && source.t[to]! < limit) to++;
    out.appendRange(source, from, to);
    at[current] = to;
    const last = out.t[out.length - 1]!;
    if (other < 0) return;
    for (let r = 0; r < replicas.length; r++) {
      if (r === current) continue;
      const { t, length } = replicas[r]!;
      while (at[r]! < length && t[at[r]!]! <= last) at[r]!++;
    }
    const next = earliest(replicas, at, current);
    if (next >= 0) {
      const stays = to < source.length && source.t[to]! < replicas[next]!.t[at[next]!]!;
      if (!stays) current = next;
    }
    while (
      at[current]! < replicas[current]!.length && replicas[current]!.t[at[current]!]! <= last
    ) {
      at[current]!++;
    }
    if (at[current]! >= replicas[current]!.length) {
      current = earliest(replicas, at, -1);
      if (current < 0) return;
    }
  }
}

/** Index of the replica with the smallest next time, without `skip`; -1 when all are at their end. */
function earliest(replicas: readonly SampleBatch[], at: Int32Array, skip: number): number {
  let best = -1;
  let time = Infinity;
  for (let r = 0; r < replicas.length; r++) {
    if (r === skip || at[r]! >= replicas[r]!.length) continue;
    const t = replicas[r]!.t[at[r]!]!;
    if (t < time) {
      time = t;
      best = r;
    }
  }
  return best;
}
