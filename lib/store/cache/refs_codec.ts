/** Lists of series references as bytes: their number, then the steps between them, as varints. */
import { ByteReader, ByteWriter } from "../../base/mod.ts";

/** Encodes ascending references. */
export function encodeRefs(refs: Uint32Array): Uint8Array {
  const w = new ByteWriter(16 + refs.length * 2);
  w.uvarint(refs.length);
  let last = 0;
  for (let i = 0; i < refs.length; i++) {
    w.uvarint(refs[i]! - last);
    last = refs[i]!;
  }
  return w.copy();
}

/** Decodes encodeRefs(); undefined when the bytes are anything else. */
export function decodeRefs(bytes: Uint8Array): Uint32Array | undefined {
  const r = new ByteReader(bytes);
  const count = r.uvarint();
  // Each takes a byte at least.
  if (count > bytes.length) return undefined;
  const refs = new Uint32Array(count);
  let last = 0;
  for (let i = 0; i < count; i++) {
    last += r.uvarint();
    refs[i] = last;
  }
  return r.ok && r.remaining === 0 && last <= 0xffffffff ? refs : undefined;
}
