/** UTF-8: byte order of strings and quick conversions. Prometheus and Thanos sort by bytes. */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Encodes `text` to a new array. */
export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** Encodes `text` into `target` at `offset`; returns the bytes written. `target` must have room. */
export function encodeUtf8Into(text: string, target: Uint8Array, offset: number): number {
  const n = text.length;
  if (n < 48) {
    let i = 0;
    for (; i < n; i++) {
      const c = text.charCodeAt(i);
      if (c >= 0x80) break;
      target[offset + i] = c;
    }
    if (i === n) return n;
  }
  return encoder.encodeInto(text, target.subarray(offset)).written;
}

/** Bytes that `text` needs in UTF-8 (lone surrogates count as U+FFFD, as the encoder writes them). */
export function utf8Length(text: string): number {
  let n = text.length;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x80) continue;
    if (c < 0x800) n += 1;
    else if (c >= 0xd800 && c <= 0xdbff && i + 1 < text.length) {
      const d = text.charCodeAt(i + 1);
      if (d >= 0xdc00 && d <= 0xdfff) i++;
      n += 2;
    } else n += 2;
  }
  return n;
}

/** Decodes bytes [start, end); invalid sequences become U+FFFD. */
export function decodeUtf8(bytes: Uint8Array, start = 0, end = bytes.length): string {
  if (end - start < 20) {
    // Eight at a time: short ASCII strings are quicker made here than by the decoder.
    let s = "";
    let i = start;
    for (; i + 8 <= end; i += 8) {
      const a = bytes[i]!, b = bytes[i + 1]!, c = bytes[i + 2]!, d = bytes[i + 3]!;
      const e = bytes[i + 4]!, f = bytes[i + 5]!, g = bytes[i + 6]!, h = bytes[i + 7]!;
      if ((a | b | c | d | e | f | g | h) >= 0x80) {
        return decoder.decode(bytes.subarray(start, end));
      }
      s += String.fromCharCode(a, b, c, d, e, f, g, h);
    }
    for (; i < end; i++) {
      const c = bytes[i]!;
      if (c >= 0x80) return decoder.decode(bytes.subarray(start, end));
      s += String.fromCharCode(c);
    }
    return s;
  }
  return decoder.decode(bytes.subarray(start, end));
}

/** Decodes bytes and throws a TypeError when they are not valid UTF-8. */
export function decodeUtf8Strict(bytes: Uint8Array): string {
  return strictDecoder.decode(bytes);
}

/**
 * Compares two strings by their UTF-8 bytes: negative, zero or positive.
 *
 * UTF-16 order differs from byte order only where a surrogate meets a code unit of U+E000 and
 * above, so the comparison is decided at the first differing unit, with surrogates moved on top.
 */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0;
  const n = a.length < b.length ? a.length : b.length;
  for (let i = 0; i < n; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x !== y) {
      if (x >= 0xd800 && y >= 0xd800) {
        x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
        y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
      }
      return x - y;
    }
  }
  return a.length - b.length;
}
