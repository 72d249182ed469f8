/**
 * XOR2 chunks (encoding 4): float samples with start times. Read only.
 *
 * ```
 * be16 sample count, u8 start-time header
 * sample 0   varint t, 64 bits of the value
 * sample 1   uvarint (t1 - t0), value
 * sample n   0 same step, same value | 10 same step, changed value | 110 +13 dod | 1110 +20 dod
 *            | 11110 +64 dod (each then: value) | 11111 same step, stale
 * value      0 same | 10 last window | 110 new window | 111 stale
 * ```
 *
 * The dod is plain two's complement here. Staleness markers never become the value that later ones
 * are compared with.
 *
 * Source: docs/formats/chunks.md, section 4.
 */
import { CorruptionError } from "../base/mod.ts";
import { type SampleBatch, STALE_HIGH, STALE_LOW } from "../model/mod.ts";
import { BitReader } from "./bit_reader.ts";
import { StartTimeReader } from "./histogram_layout.ts";
import { XorFields } from "./xor_fields.ts";

/**
 * Appends all samples of an XOR2 chunk to `batch`, start times included.
 *
 * Owner: data is only read. On an error the batch is as before.
 * Throws: CorruptionError when the stream ends early or a window is impossible.
 */
export function decodeXor2(data: Uint8Array, batch: SampleBatch): void {
  if (data.length < 3) {
    throw new CorruptionError("XOR2 chunk without its header", { offset: data.length });
  }
  const count = (data[0]! << 8) | data[1]!;
  if (count === 0) return;
  // 9 bytes for sample 0, 9 bits for sample 1, 1 bit for each further one.
  if ((data.length - 3) * 8 < 72 + (count > 1 ? 9 : 0) + (count > 2 ? count - 2 : 0)) {
    throw new CorruptionError(`XOR2 chunk too short for its ${count} samples`, {
      offset: data.length,
    });
  }
  const r = new BitReader(data, 3);
  const startTimes = new StartTimeReader(data[2]!);
  batch.reserve(count);
  const start = batch.length;
  const st = batch.ensureStartTimes();
  const { t, v } = batch;
  const out = new Uint32Array(v.buffer, v.byteOffset + start * 8, count * 2);
  const value = new XorFields(1, "reader");
  const halves = value.halves;
  let time = 0;
  let delta = 0;
  for (let i = 0; i < count; i++) {
    const previous = time;
    let stale = false;
    if (i === 0) {
      time = r.varint();
      value.readPlain(r, 0);
      stale = halves[0] === STALE_LOW && halves[1] === STALE_HIGH;
      if (stale) halves.fill(0);
    } else if (i === 1) {
      delta = r.uvarintWrapped();
      time += delta;
      stale = readValue(r, value);
    } else {
      const ones = r.ones(5);
      if (ones === 5) stale = true;
      else if (ones === 1) {
        if (r.bit() === 1) value.readWindow(r, 0);
        value.readSignificant(r, 0);
      } else if (ones > 1) {
        if (ones === 2) delta += signed(r.piece(13), 13);
        else if (ones === 3) delta += signed(r.bits(20), 20);
        else {
          const high = r.word();
          delta += high * 4294967296 + r.bits(32);
        }
        stale = readValue(r, value);
      }
      time += delta;
    }
    t[start + i] = time;
    out[2 * i] = stale ? STALE_LOW : halves[0]!;
    out[2 * i + 1] = stale ? STALE_HIGH : halves[1]!;
    st[start + i] = startTimes.next(r, i, time, previous);
  }
  r.check("XOR2 chunk");
  batch.length = start + count;
  if (batch.h !== null) { for (let i = 0; i < count; i++) batch.h[start + i] = undefined; }
}

/** Reads a value with its control bits; true when it is a staleness marker. */
function readValue(r: BitReader, value: XorFields): boolean {
  const ones = r.ones(3);
  if (ones === 3) return true;
  if (ones === 2) value.readWindow(r, 0);
  if (ones > 0) value.readSignificant(r, 0);
  return false;
}

function signed(x: number, width: number): number {
  return x >= 1 << (width - 1) ? x - (1 << width) : x;
}
