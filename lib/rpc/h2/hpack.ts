/**
 * HPACK (RFC 7541): header lists as bytes. Encoding uses literals only, which needs no state;
 * decoding keeps the dynamic table that the peer's encoder relies on.
 */
import { ByteWriter, MnemeError } from "../../base/mod.ts";
import { decodeHuffman } from "./huffman.ts";

/** Names and values in the order they were sent. */
export type HeaderList = readonly (readonly [string, string])[];

const STATIC: HeaderList = [
  ["", ""],
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];
const ENTRY_OVERHEAD = 32;
/** Size of the dynamic table we allow, the protocol's default. */
const TABLE_SIZE = 4096;
/** Largest header list, bytes with overhead. */
const MAX_LIST = 1024 * 1024;

/** Encodes headers as literals that are never indexed. Names are lower case. */
export function encodeHeaders(headers: HeaderList): Uint8Array {
  const w = new ByteWriter(256);
  for (const [name, value] of headers) {
    w.u8(0);
    putString(w, name);
    putString(w, value);
  }
  return w.copy();
}

function putString(w: ByteWriter, text: string): void {
  const n = text.length;
  if (n < 127) w.u8(n);
  else {
    w.u8(127);
    w.uvarint(n - 127);
  }
  w.reserve(n);
  for (let i = 0; i < n; i++) w.bytes[w.length + i] = text.charCodeAt(i);
  w.length += n;
}

/** Decodes the header blocks of one connection, in the order they arrive. */
export class HpackDecoder {
  /** Newest entry first. */
  #table: (readonly [string, string])[] = [];
  #size = 0;
  #limit = TABLE_SIZE;

  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** Throws: bad_data; the connection cannot go on after it. */
  decode(block: Uint8Array): HeaderList {
    this.#bytes = block;
    this.#at = 0;
    const headers: (readonly [string, string])[] = [];
    let total = 0;
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      let header: readonly [string, string];
      if ((first & 0x80) !== 0) header = this.#entry(this.#integer(7));
      else if ((first & 0xc0) === 0x40) {
        header = this.#literal(6);
        this.#add(header);
      } else if ((first & 0xe0) === 0x20) {
        const limit = this.#integer(5);
        if (limit > TABLE_SIZE) throw fail("dynamic table larger than allowed");
        this.#limit = limit;
        this.#evict(0);
        continue;
      } else header = this.#literal(4);
      total += header[0].length + header[1].length + ENTRY_OVERHEAD;
      if (total > MAX_LIST) throw fail("header list larger than 1 MiB");
      headers.push(header);
    }
    return headers;
  }

  #integer(prefix: number): number {
    const max = (1 << prefix) - 1;
    let x = this.#byte() & max;
    if (x < max) return x;
    let scale = 1;
    for (let i = 0; i < 5; i++) {
      const c = this.#byte();
      x += (c & 0x7f) * scale;
      if (c < 0x80) return x;
      scale *= 128;
    }
    throw fail("number too long");
  }
  #byte(): number {
    if (this.#at >= this.#bytes.length) throw fail("block ends inside a header");
    return this.#bytes[this.#at++]!;
  }
  #literal(prefix: number): readonly [string, string] {
    const index = this.#integer(prefix);
    const name = index === 0 ? this.#string() : this.#entry(index)[0];
    return [name, this.#string()];
  }
  #string(): string {
    const huffman = this.#at < this.#bytes.length && (this.#bytes[this.#at]! & 0x80) !== 0;
    const n = this.#integer(7);
    const start = this.#at;
    if (n > this.#bytes.length - start) throw fail("string runs past its block");
    this.#at = start + n;
    if (huffman) return decodeHuffman(this.#bytes, start, start + n);
    let text = "";
    for (let i = start; i < start + n; i++) text += String.fromCharCode(this.#bytes[i]!);
    return text;
  }
  #entry(index: number): readonly [string, string] {
    const found = index < STATIC.length ? STATIC[index] : this.#table[index - STATIC.length];
    if (found === undefined || index === 0) throw fail(`no header with index ${index}`);
    return found;
  }
  #add(header: readonly [string, string]): void {
    const size = header[0].length + header[1].length + ENTRY_OVERHEAD;
    this.#evict(size);
    if (size > this.#limit) return;
    this.#table.unshift(header);
    this.#size += size;
  }
  #evict(room: number): void {
    while (this.#table.length > 0 && this.#size + room > this.#limit) {
      const [name, value] = this.#table.pop()!;
      this.#size -= name.length + value.length + ENTRY_OVERHEAD;
    }
  }
}

function fail(reason: string): MnemeError {
  return new MnemeError("bad_data", `HPACK: ${reason}`);
}
