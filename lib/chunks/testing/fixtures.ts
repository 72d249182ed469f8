/** Shared by the tests of this module: values by their bits, and segment files of golden blocks. */
import { ByteReader, crc32c } from "../../base/mod.ts";
import type { Chunk } from "../chunk.ts";

/** The staleness marker as halves. */
export const STALE: readonly [number, number] = [0x7ff00000, 2];

/** Bytes of a hexadecimal text; blanks and bars are ignored. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text.replace(/[ |]/g, ""));
}

/** A column from numbers and [high, low] halves. */
export function floatsOf(...values: (number | readonly [number, number])[]): Float64Array {
  const out = new Float64Array(values.length);
  const bits = new Int32Array(out.buffer);
  values.forEach((x, i) => {
    if (typeof x === "number") out[i] = x;
    else {
      bits[2 * i + 1] = x[0];
      bits[2 * i] = x[1];
    }
  });
  return out;
}

/** The bits of the first `length` elements, 16 hexadecimal digits each. */
export function bits64(values: Float64Array, length = values.length): string[] {
  const bits = new Uint32Array(values.buffer, values.byteOffset, length * 2);
  return Array.from(
    { length },
    (_, i) =>
      bits[2 * i + 1]!.toString(16).padStart(8, "0") + bits[2 * i]!.toString(16).padStart(8, "0"),
  );
}

/** All chunks of a segment file, their checksums verified. */
export function segmentChunks(file: Uint8Array): Chunk[] {
  const r = new ByteReader(file, 8);
  const chunks: Chunk[] = [];
  while (r.remaining > 0) {
    const length = r.uvarint();
    const start = r.offset;
    const encoding = r.u8();
    const data = r.view(length);
    const end = r.offset;
    if (r.u32() !== crc32c(file, start, end)) throw new Error(`bad checksum at ${start}`);
    r.check("segment");
    chunks.push({ encoding, data });
  }
  return chunks;
}

/** Where golden data lie, seen from this file. */
export const GOLDEN = new URL("../../../../shared/golden/", import.meta.url);

/** Every chunk of a golden bucket with the block and file it is from; undefined without the data. */
export function goldenChunks(bucket: string): { where: string; chunk: Chunk }[] | undefined {
  const root = new URL(`${bucket}/`, GOLDEN);
  try {
    Deno.statSync(root);
  } catch {
    return undefined;
  }
  const out: { where: string; chunk: Chunk }[] = [];
  for (const block of Deno.readDirSync(root)) {
    const folder = new URL(`${block.name}/chunks/`, root);
    let files: Deno.DirEntry[];
    try {
      files = [...Deno.readDirSync(folder)];
    } catch {
      continue;
    }
    for (const file of files) {
      const bytes = Deno.readFileSync(new URL(file.name, folder));
      for (const chunk of segmentChunks(bytes)) {
        out.push({ where: `${block.name}/chunks/${file.name}`, chunk });
      }
    }
  }
  return out;
}
