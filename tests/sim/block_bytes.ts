/**
 * A reader of blocks for the oracle: nothing of it is shared with the program. Slow and plain: one
 * bit at a time, 64-bit integers for everything.
 */

/** The points of one series by name of the part: "raw", or the five aggregates. */
export interface OracleSeries {
  /** Labels as `name=value` joined by commas. */
  readonly name: string;
  readonly chunks: readonly OracleChunk[];
}

/** One chunk. */
export interface OracleChunk {
  readonly minTime: number;
  readonly maxTime: number;
  readonly parts: Readonly<Record<string, readonly OraclePoint[]>>;
}

/** Time and the bits of the value. */
export type OraclePoint = readonly [t: number, bits: bigint];

class Bits {
  readonly #bytes: Uint8Array;
  #at: number;
  constructor(bytes: Uint8Array, byte: number) {
    this.#bytes = bytes;
    this.#at = byte * 8;
  }
  bit(): number {
    const byte = this.#bytes[this.#at >> 3];
    if (byte === undefined) throw new Error("the chunk ends early");
    return (byte >> (7 - (this.#at++ & 7))) & 1;
  }
  bits(n: number): bigint {
    let x = 0n;
    for (let i = 0; i < n; i++) x = (x << 1n) | BigInt(this.bit());
    return x;
  }
  uvarint(): bigint {
    let x = 0n;
    for (let shift = 0n;; shift += 7n) {
      const byte = this.bits(8);
      x |= (byte & 127n) << shift;
      if (byte < 128n) return x;
    }
  }
  varint(): bigint {
    const x = this.uvarint();
    return (x >> 1n) ^ -(x & 1n);
  }
}

/** Decodes an XOR chunk. */
export function readXor(data: Uint8Array): OraclePoint[] {
  const count = (data[0]! << 8) | data[1]!;
  const b = new Bits(data, 2);
  const out: OraclePoint[] = [];
  let t = 0n;
  let delta = 0n;
  let value = 0n;
  let leading = 0;
  let trailing = 0;
  for (let i = 0; i < count; i++) {
    if (i === 0) {
      t = b.varint();
      value = b.bits(64);
    } else {
      if (i === 1) delta = BigInt.asIntN(64, b.uvarint());
      else {
        let ones = 0;
        while (ones < 4 && b.bit() === 1) ones++;
        const width = [0, 14, 17, 20, 64][ones]!;
        let dod = b.bits(width);
        if (width > 0 && dod > 1n << BigInt(width - 1)) dod -= 1n << BigInt(width);
        delta += dod;
      }
      t += delta;
      if (b.bit() === 1) {
        if (b.bit() === 1) {
          leading = Number(b.bits(5));
          const size = Number(b.bits(6));
          trailing = 64 - leading - (size === 0 ? 64 : size);
        }
        value ^= b.bits(64 - leading - trailing) << BigInt(trailing);
      }
    }
    out.push([Number(t), value]);
  }
  return out;
}

const PARTS = ["count", "sum", "min", "max", "counter"];

function readChunk(encoding: number, data: Uint8Array): Record<string, OraclePoint[]> {
  if (encoding === 1) return { raw: readXor(data) };
  if (encoding !== 255) throw new Error(`the oracle knows no encoding ${encoding}`);
  const parts: Record<string, OraclePoint[]> = {};
  let at = 0;
  for (const part of PARTS) {
    const [length, next] = uvarintAt(data, at);
    at = next;
    if (length === 0) continue;
    if (data[at] !== 1) throw new Error(`the oracle knows no encoding ${data[at]}`);
    if (at + 1 + length > data.length) throw new Error("an aggregate is cut off");
    parts[part] = readXor(data.subarray(at + 1, at + 1 + length));
    at += 1 + length;
  }
  return parts;
}

function uvarintAt(bytes: Uint8Array, at: number): [value: number, next: number] {
  let x = 0;
  for (let scale = 1;; scale *= 128) {
    const byte = bytes[at++];
    if (byte === undefined) throw new Error("a number is cut off");
    x += (byte & 127) * scale;
    if (byte < 128) return [x, at];
  }
}

/** Reads a block: every series in the order of the index. */
export function readBlock(index: Uint8Array, segments: readonly Uint8Array[]): OracleSeries[] {
  const view = new DataView(index.buffer, index.byteOffset, index.length);
  const toc = index.length - 52;
  const offset = (i: number) => Number(view.getBigUint64(toc + 8 * i));
  const symbols: string[] = [];
  let at = offset(0) + 8;
  for (let n = view.getUint32(offset(0) + 4); n > 0; n--) {
    const [length, start] = uvarintAt(index, at);
    symbols.push(new TextDecoder().decode(index.subarray(start, start + length)));
    at = start + length;
  }
  const end = offset(2);
  const out: OracleSeries[] = [];
  for (at = Math.ceil(offset(1) / 16) * 16; at < end; at = Math.ceil((at + 4) / 16) * 16) {
    let length: number;
    [length, at] = uvarintAt(index, at);
    const stop = at + length;
    const next = (): number => {
      const [x, after] = uvarintAt(index, at);
      at = after;
      return x;
    };
    const signed = (): number => {
      const x = next();
      return x % 2 === 0 ? x / 2 : -(x + 1) / 2;
    };
    const labels: string[] = [];
    for (let n = next(); n > 0; n--) labels.push(`${symbols[next()]}=${symbols[next()]}`);
    const chunks: OracleChunk[] = [];
    let maxTime = 0;
    let ref = 0;
    const count = next();
    for (let i = 0; i < count; i++) {
      const minTime = i === 0 ? signed() : maxTime + next();
      maxTime = minTime + next();
      ref = i === 0 ? next() : ref + signed();
      const segment = segments[Math.floor(ref / 2 ** 32)];
      if (segment === undefined) throw new Error("a chunk is in a segment that is missing");
      const [size, data] = uvarintAt(segment, ref % 2 ** 32);
      if (data + 1 + size + 4 > segment.length) throw new Error("a chunk is cut off");
      const parts = readChunk(segment[data]!, segment.subarray(data + 1, data + 1 + size));
      chunks.push({ minTime, maxTime, parts });
    }
    if (at !== stop) throw new Error("a series entry has another length than it says");
    out.push({ name: labels.join(","), chunks });
  }
  return out;
}
