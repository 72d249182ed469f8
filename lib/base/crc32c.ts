/**
 * CRC-32C (Castagnoli), the checksum of every TSDB file.
 *
 * Source: polynomial 0x1EDC6F41 reflected, initial value and final xor 0xFFFFFFFF. Sixteen table
 * look-ups a step ("slicing by 16") keep it near 2 GB/s without native code.
 */

const SLICES = 16;
const table = new Int32Array(256 * SLICES);
for (let i = 0; i < 256; i++) {
  let c = i;
  for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  table[i] = c;
}
for (let i = 0; i < 256; i++) {
  for (let s = 1; s < SLICES; s++) {
    const prev = table[(s - 1) * 256 + i]!;
    table[s * 256 + i] = (prev >>> 8) ^ table[prev & 0xff]!;
  }
}

/**
 * Checksum of bytes [start, end), as an unsigned 32-bit number.
 *
 * `seed` continues an earlier checksum: crc32c(b, …, crc32c(a)) equals the checksum of a then b.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  const t = table;
  const b = bytes;
  let c = ~seed;
  let i = start;
  const fast = end - (SLICES - 1);
  for (; i < fast; i += SLICES) {
    const a = c ^ (b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24));
    c = t[3840 + (a & 0xff)]! ^ t[3584 + ((a >>> 8) & 0xff)]! ^ t[3328 + ((a >>> 16) & 0xff)]! ^
      t[3072 + (a >>> 24)]! ^ t[2816 + b[i + 4]!]! ^ t[2560 + b[i + 5]!]! ^ t[2304 + b[i + 6]!]! ^
      t[2048 + b[i + 7]!]! ^ t[1792 + b[i + 8]!]! ^ t[1536 + b[i + 9]!]! ^ t[1280 + b[i + 10]!]! ^
      t[1024 + b[i + 11]!]! ^ t[768 + b[i + 12]!]! ^ t[512 + b[i + 13]!]! ^ t[256 + b[i + 14]!]! ^
      t[b[i + 15]!]!;
  }
  for (; i < end; i++) c = (c >>> 8) ^ t[(c ^ b[i]!) & 0xff]!;
  return ~c >>> 0;
}
