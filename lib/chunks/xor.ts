/**
 * XOR chunks (encoding 1): float samples, times as delta of deltas, values as XOR with the one before.
 *
 * ```
 * be16 sample count
 * sample 0    varint t, 64 bits of the value
 * sample 1    uvarint (t1 - t0), value
 * sample n    dod, value
 * dod         0 | 10 +14 bits | 110 +17 | 1110 +20 | 1111 +64
 * value       0 same | 10 +bits in the last window | 11 +5 leading +6 length (64 as 0) +bits
 * ```
 *
 * The last byte is padded with zero bits; the count ends the reading, never the end of the data.
 * A reader starts with the window (0, 0): `10` before any window means 64 plain bits, which chunks
 * that were reopened by their writer really hold. Both functions keep all state in locals and move
 * values as 32-bit halves, so that no bit of a NaN is lost and nothing is allocated per sample.
 *
 * Source: docs/formats/chunks.md, section 3.
 */
import { CorruptionError, MnemeError } from "../base/mod.ts";
import type { SampleBatch } from "../model/mod.ts";

/** Bytes an encoder's output buffer must have free for each sample, header included. */
export const XOR_BYTES_PER_SAMPLE = 20;
/** Extra bytes an encoder may touch behind what it reports as written. */
export const XOR_SLACK = 24;

const TWO_32 = 4294967296;

/**
 * Appends all samples of an XOR chunk to `batch`.
 *
 * Units: t in ms; v bit-exact. Start times, if the batch has that column, become 0.
 * Owner: data is only read. On an error the batch is as before.
 * Throws: CorruptionError when the stream ends early or a window is impossible.
 */
export function decodeXor(data: Uint8Array, batch: SampleBatch): void {
  const end = data.length;
  if (end < 2) throw new CorruptionError("XOR chunk without its sample count", { offset: end });
  const count = (data[0]! << 8) | data[1]!;
  if (count === 0) return;
  // 9 bytes for sample 0, 9 bits for sample 1, 2 bits for each further one: checked before growing.
  if ((end - 2) * 8 < 72 + (count > 1 ? 9 : 0) + (count > 2 ? (count - 2) * 2 : 0)) {
    throw new CorruptionError(`XOR chunk too short for its ${count} samples`, { offset: end });
  }
  batch.reserve(count);
  const start = batch.length;
  const t = batch.t;
  const v = batch.v;
  const bits = new Int32Array(v.buffer, v.byteOffset + start * 8, count * 2);

  // Sample 0: zig-zag varint as low 28 bits and the rest, then the value, all on byte borders.
  let pos = 2;
  let low = 0;
  let rest = 0;
  for (let i = 0;; i++) {
    if (pos >= end || i >= 10) throw shortXor(pos);
    const c = data[pos++]!;
    if (i < 4) low |= (c & 0x7f) << (7 * i);
    else rest += (c & 0x7f) * Math.pow(128, i - 4);
    if (c < 0x80) break;
  }
  let time = (low >>> 1) + rest * 134217728;
  if ((low & 1) !== 0) time = -time - 1;
  if (end - pos < 8) throw shortXor(end);
  let hi = (data[pos]! << 24) | (data[pos + 1]! << 16) | (data[pos + 2]! << 8) | data[pos + 3]!;
  let lo = (data[pos + 4]! << 24) | (data[pos + 5]! << 16) | (data[pos + 6]! << 8) |
    data[pos + 7]!;
  pos += 8;
  t[start] = time;
  bits[0] = lo;
  bits[1] = hi;

  let delta = 0;
  if (count > 1) {
    let dlow = 0;
    let scale = 1;
    let top = 0;
    for (let i = 0;; i++) {
      if (pos >= end || i >= 10) throw shortXor(pos);
      const c = data[pos++]!;
      if (i < 7) dlow += (c & 0x7f) * scale;
      else top += (c & 0x7f) * Math.pow(128, i - 7);
      scale *= 128;
      if (c < 0x80) break;
    }
    // 64 wrapping bits: 49 low ones and 15 on top, of which the first is the sign.
    if (top >= 16384) top -= 32768;
    delta = top * 562949953421312 + dlow;
  }

  let trail = 0;
  let sig = 64;
  let acc = 0; // the low `nb` bits are unread
  let nb = 0;
  let x = 0;
  for (let i = 1; i < count; i++) {
    if (i > 1) {
      if (nb < 16) {
        acc = pos + 1 < end
          ? (acc << 16) | (data[pos]! << 8) | data[pos + 1]!
          : (acc << 16) | (pos < end ? data[pos]! << 8 : 0);
        pos += 2;
        nb += 16;
      }
      if (((acc >>> --nb) & 1) !== 0) {
        // 15 to 30 unread bits: the ones before the next zero tell the width.
        const ones = Math.clz32(~(acc << (32 - nb)));
        if (ones === 0) {
          nb -= 15;
          x = (acc >>> nb) & 0x3fff;
          delta += x > 8192 ? x - 16384 : x;
        } else if (ones < 3) {
          // 17 or 20 bits: the odd ones on top, then 16.
          const odd = ones === 1 ? 1 : 4;
          nb -= ones + 1 + odd;
          x = (acc >>> nb) & ((1 << odd) - 1);
          if (nb < 16) {
            acc = pos + 1 < end
              ? (acc << 16) | (data[pos]! << 8) | data[pos + 1]!
              : (acc << 16) | (pos < end ? data[pos]! << 8 : 0);
            pos += 2;
            nb += 16;
          }
          nb -= 16;
          x = (x << 16) | ((acc >>> nb) & 0xffff);
          const half = 32768 << odd;
          delta += x > half ? x - 2 * half : x;
        } else {
          nb -= 3;
          let dod = 0;
          for (let k = 0; k < 4; k++) {
            if (nb < 16) {
              acc = pos + 1 < end
                ? (acc << 16) | (data[pos]! << 8) | data[pos + 1]!
                : (acc << 16) | (pos < end ? data[pos]! << 8 : 0);
              pos += 2;
              nb += 16;
            }
            nb -= 16;
            x = (acc >>> nb) & 0xffff;
            dod = dod * 65536 + (k === 0 ? (x << 16) >> 16 : x);
          }
          delta += dod;
        }
      }
    }
    time += delta;
    t[start + i] = time;

    // Two control bits and the eleven of a new window.
    if (nb < 13) {
      acc = pos + 1 < end
        ? (acc << 16) | (data[pos]! << 8) | data[pos + 1]!
        : (acc << 16) | (pos < end ? data[pos]! << 8 : 0);
      pos += 2;
      nb += 16;
    }
    if (((acc >>> --nb) & 1) !== 0) {
      if (((acc >>> --nb) & 1) !== 0) {
        nb -= 11;
        x = (acc >>> nb) & 0x7ff;
        sig = x & 63;
        if (sig === 0) sig = 64;
        trail = 64 - (x >>> 6) - sig;
        if (trail < 0) {
          throw new CorruptionError(`XOR window of ${x >>> 6} + ${sig} bits`, { offset: pos });
        }
      }
      if (sig <= 16) {
        if (nb < sig) {
          acc = pos + 1 < end
            ? (acc << 16) | (data[pos]! << 8) | data[pos + 1]!
            : (acc << 16) | (pos < end ? data[pos]! << 8 : 0);
          pos += 2;
          nb += 16;
        }
        nb -= sig;
        x = (acc >>> nb) & ((1 << sig) - 1);
        if (trail >= 32) hi ^= x << (trail - 32);
        else {
          lo ^= x << trail;
          if (trail > 16) hi ^= x >>> (32 - trail);
        }
      } else {
        // Up to four pieces: the odd top piece of 1 to 16 bits, then whole 16 bits.
        let high = 0;
        let left = ((sig - 1) & 15) + 1;
        if (nb < left) {
          acc = pos + 1 < end
            ? (acc << 16) | (data[pos]! << 8) | data[pos + 1]!
            : (acc << 16) | (pos < end ? data[pos]! << 8 : 0);
          pos += 2;
          nb += 16;
        }
        nb -= left;
        x = (acc >>> nb) & ((1 << left) - 1);
        for (left = sig - left; left > 0; left -= 16) {
          high = (high << 16) | (x >>> 16);
          if (nb < 16) {
            acc = pos + 1 < end
              ? (acc << 16) | (data[pos]! << 8) | data[pos + 1]!
              : (acc << 16) | (pos < end ? data[pos]! << 8 : 0);
            pos += 2;
            nb += 16;
          }
          nb -= 16;
          x = (x << 16) | ((acc >>> nb) & 0xffff);
        }
        if (trail >= 32) hi ^= x << (trail - 32);
        else if (trail === 0) {
          lo ^= x;
          hi ^= high;
        } else {
          lo ^= x << trail;
          hi ^= (high << trail) | (x >>> (32 - trail));
        }
      }
    }
    bits[2 * i] = lo;
    bits[2 * i + 1] = hi;
  }
  if (pos * 8 - nb > end * 8) throw shortXor(end);
  batch.length = start + count;
  if (batch.st !== null) batch.ensureStartTimes().fill(0, start, start + count);
  if (batch.h !== null) { for (let i = 0; i < count; i++) batch.h[start + i] = undefined; }
}

function shortXor(offset: number): CorruptionError {
  return new CorruptionError("XOR chunk ends inside its samples", { offset });
}

/**
 * Writes samples [from, to) as one XOR chunk at `at` of `out`; returns the bytes written.
 *
 * Shape: at most 65535 samples; `out` has XOR_BYTES_PER_SAMPLE bytes a sample + XOR_SLACK free.
 * Units: t integers within ±2^53 (a time may repeat or go back); v bit-exact.
 */
export function encodeXor(
  t: Float64Array,
  v: Float64Array,
  from: number,
  to: number,
  out: Uint8Array,
  at: number,
): number {
  const count = to - from;
  if (count < 0 || count > 65535) {
    throw new MnemeError("internal", `${count} samples do not fit an XOR chunk of at most 65535`);
  }
  if (out.length - at < count * XOR_BYTES_PER_SAMPLE + XOR_SLACK) {
    throw new MnemeError("internal", `output buffer too small for ${count} samples`);
  }
  out[at] = count >>> 8;
  out[at + 1] = count;
  if (count === 0) return 2;
  let pos = at + 2;
  const bits = new Int32Array(v.buffer, v.byteOffset + from * 8, count * 2);

  let time = t[from]!;
  // Zig-zag of |t| as 28 low bits and the rest, both within 32-bit integers.
  const m = time >= 0 ? time : -time - 1;
  const top = Math.floor(m / 134217728);
  let group = ((m - top * 134217728) * 2) | (time >= 0 ? 0 : 1);
  if (top > 0) {
    out[pos] = group | 0x80;
    out[pos + 1] = (group >>> 7) | 0x80;
    out[pos + 2] = (group >>> 14) | 0x80;
    out[pos + 3] = (group >>> 21) | 0x80;
    pos += 4;
    group = top;
  }
  while (group > 127) {
    out[pos++] = group | 0x80;
    group >>>= 7;
  }
  out[pos++] = group;
  let lo = bits[0]!;
  let hi = bits[1]!;
  out[pos] = hi >>> 24;
  out[pos + 1] = hi >>> 16;
  out[pos + 2] = hi >>> 8;
  out[pos + 3] = hi;
  out[pos + 4] = lo >>> 24;
  out[pos + 5] = lo >>> 16;
  out[pos + 6] = lo >>> 8;
  out[pos + 7] = lo;
  pos += 8;
  if (count === 1) return pos - at;

  let delta = t[from + 1]! - time;
  time = t[from + 1]!;
  if (delta >= 0) {
    let d = delta;
    while (d > 0x7fffffff) {
      out[pos++] = (d % 128) | 0x80;
      d = Math.floor(d / 128);
    }
    let w = d | 0;
    while (w > 127) {
      out[pos++] = w | 0x80;
      w >>>= 7;
    }
    out[pos++] = w;
  } else {
    // 64 wrapping bits in ten groups of seven.
    let d = delta;
    for (let k = 0; k < 9; k++) {
      const q = Math.floor(d / 128);
      out[pos++] = (d - q * 128) | 0x80;
      d = q;
    }
    out[pos++] = 1;
  }

  let leading = 255; // no window yet: nothing fits
  let trailing = 0;
  let acc = 0; // filled from the top
  let room = 32; // free low bits of acc, 1..32
  // One pending field: `field` of `width` bits (at most 32) goes out where the code says "put".
  let field = 0;
  let width = 0;
  let left = 0;
  for (let i = 1; i < count; i++) {
    width = 0;
    field = 0;
    if (i > 1) {
      const now = t[from + i]!;
      const step = now - time;
      const dod = step - delta;
      time = now;
      delta = step;
      if (dod === 0) width = 1;
      else if (dod >= -8191 && dod <= 8192) {
        field = 0x8000 | (dod & 0x3fff);
        width = 16;
      } else if (dod >= -65535 && dod <= 65536) {
        field = 0xc0000 | (dod & 0x1ffff);
        width = 20;
      } else if (dod >= -524287 && dod <= 524288) {
        field = 0xe00000 | (dod & 0xfffff);
        width = 24;
      } else {
        const high = Math.floor(dod / TWO_32);
        field = 15;
        width = 4;
        for (let k = 0; k < 2; k++) {
          left = width - room;
          if (left < 0) {
            room = -left;
            acc |= field << room;
          } else {
            acc |= field >>> left;
            out[pos] = acc >>> 24;
            out[pos + 1] = acc >>> 16;
            out[pos + 2] = acc >>> 8;
            out[pos + 3] = acc;
            pos += 4;
            room = 32 - left;
            acc = left === 0 ? 0 : field << room;
          }
          field = k === 0 ? high | 0 : (dod - high * TWO_32) | 0;
          width = 32;
        }
      }
      if (width > 19) {
        left = width - room;
        if (left < 0) {
          room = -left;
          acc |= field << room;
        } else {
          acc |= field >>> left;
          out[pos] = acc >>> 24;
          out[pos + 1] = acc >>> 16;
          out[pos + 2] = acc >>> 8;
          out[pos + 3] = acc;
          pos += 4;
          room = 32 - left;
          acc = left === 0 ? 0 : field << room;
        }
        field = 0;
        width = 0;
      }
    }
    // At most 19 bits are pending here.
    const l = bits[2 * i]!;
    const h = bits[2 * i + 1]!;
    const xl = l ^ lo;
    const xh = h ^ hi;
    lo = l;
    hi = h;
    let sig = 0;
    if ((xl | xh) === 0) {
      field <<= 1;
      width += 1;
    } else {
      let lead = xh !== 0 ? Math.clz32(xh) : 32;
      if (lead > 31) lead = 31;
      const tail = xl !== 0 ? 31 - Math.clz32(xl & -xl) : 63 - Math.clz32(xh & -xh);
      if (lead >= leading && tail >= trailing) {
        field = (field << 2) | 2;
        width += 2;
      } else {
        leading = lead;
        trailing = tail;
        field = (((field << 2) | 3) << 11) | (lead << 6) | ((64 - lead - tail) & 63);
        width += 13;
      }
      sig = 64 - leading - trailing;
    }
    if (sig > 0 && width + sig <= 32) {
      // Control and value in one go; the value has at most 31 bits here.
      const x = trailing >= 32
        ? xh >>> (trailing - 32)
        : trailing === 0
        ? xl
        : (xl >>> trailing) | (xh << (32 - trailing));
      field = (field << sig) | x;
      width += sig;
      sig = 0;
    }
    left = width - room;
    if (left < 0) {
      room = -left;
      acc |= field << room;
    } else {
      acc |= field >>> left;
      out[pos] = acc >>> 24;
      out[pos + 1] = acc >>> 16;
      out[pos + 2] = acc >>> 8;
      out[pos + 3] = acc;
      pos += 4;
      room = 32 - left;
      acc = left === 0 ? 0 : field << room;
    }
    if (sig > 0) {
      if (sig > 32) {
        // trailing < 32 here. The top sig - 32 bits first.
        field = trailing === 0 ? xh : xh >>> trailing;
        width = sig - 32;
        left = width - room;
        if (left < 0) {
          room = -left;
          acc |= field << room;
        } else {
          acc |= field >>> left;
          out[pos] = acc >>> 24;
          out[pos + 1] = acc >>> 16;
          out[pos + 2] = acc >>> 8;
          out[pos + 3] = acc;
          pos += 4;
          room = 32 - left;
          acc = left === 0 ? 0 : field << room;
        }
        sig = 32;
      }
      field = trailing >= 32
        ? xh >>> (trailing - 32)
        : trailing === 0
        ? xl
        : (xl >>> trailing) | (xh << (32 - trailing));
      width = sig;
      left = width - room;
      if (left < 0) {
        room = -left;
        acc |= field << room;
      } else {
        acc |= field >>> left;
        out[pos] = acc >>> 24;
        out[pos + 1] = acc >>> 16;
        out[pos + 2] = acc >>> 8;
        out[pos + 3] = acc;
        pos += 4;
        room = 32 - left;
        acc = left === 0 ? 0 : field << room;
      }
    }
  }
  for (let used = 32 - room; used > 0; used -= 8) {
    out[pos++] = acc >>> 24;
    acc <<= 8;
  }
  return pos - at;
}

/** Samples [from, to) of a batch as one XOR chunk of its own memory. */
export function encodeXorChunk(
  batch: SampleBatch,
  from = 0,
  to = batch.length,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array((to - from) * XOR_BYTES_PER_SAMPLE + XOR_SLACK);
  const n = encodeXor(batch.t, batch.v, from, to, out, 0);
  return out.slice(0, n);
}
