/**
 * Prometheus' remote read protocol: the request, streamed chunks and sampled answers.
 *
 * ```
 * request    snappy block of ReadRequest
 * streamed   (uvarint size | be32 CRC-32C | ChunkedReadResponse) … until the end of the body
 * sampled    snappy block of ReadResponse
 * ```
 * Source: the field's wire notes, part B.
 */
import { ByteReader, CorruptionError, crc32c, snappyCompress } from "../base/mod.ts";
import { bitsOf, type Labels, labelsFromPairs, type Matcher, SampleBatch } from "../model/mod.ts";
import { ProtoReader, ProtoWriter } from "../rpc/mod.ts";
import { readLabel, writeMatchers } from "./wire_store.ts";

/** Largest frame of a streamed answer, bytes. */
export const MAX_READ_FRAME = 50_000_000;
const RESPONSE_SAMPLES = 0;
const RESPONSE_STREAMED_CHUNKS = 1;

/** One series of a streamed answer; a long one goes on in the next frame. */
export interface RemoteSeries {
  readonly labels: Labels;
  readonly chunkCount: number;
  /** The message that holds the chunks. */
  readonly body: Uint8Array;
}

/** One series of a sampled answer. */
export interface RemoteSamples {
  readonly labels: Labels;
  readonly batch: SampleBatch;
}

/**
 * Body of a remote read request, a query for each list of matchers; streamed chunks are preferred.
 * Times in ms, inclusive.
 */
export function encodeReadRequest(
  minTime: number,
  maxTime: number,
  queries: readonly (readonly Matcher[])[],
): Uint8Array<ArrayBuffer> {
  const w = new ProtoWriter();
  for (const matchers of queries) {
    const query = w.open(1, 64);
    w.int64(1, minTime);
    w.int64(2, maxTime);
    writeMatchers(w, 3, matchers);
    w.close(query);
  }
  w.packedInt32(2, [RESPONSE_STREAMED_CHUNKS, RESPONSE_SAMPLES]);
  return snappyCompress(w.finish());
}

/** Size of the pieces that a body is read in, bytes. */
const PIECE = 64 * 1024;
/** Memory taken for a frame before its bytes are there: a size alone must not cost more. */
const FIRST_ALLOCATION = 4 * 1024 * 1024;

/**
 * Splits a streamed body into verified frames; reads on only when the next frame is asked for.
 *
 * Owner: each frame lies in memory of its own that `take` gives (at least as large as asked) and
 * stays valid until the caller uses that again.
 * Throws: CorruptionError for checksums, sizes and bodies that end inside a frame.
 */
export async function* readFrames(
  body: ReadableStream<Uint8Array>,
  source: string,
  take: (size: number) => Uint8Array = (size) => new Uint8Array(size),
): AsyncIterable<Uint8Array> {
  const head = new FrameHead(source);
  let payload: Uint8Array | undefined;
  let filled = 0;
  for await (const part of readPieces(body)) {
    for (let at = 0; at < part.length;) {
      if (payload === undefined) {
        if (!head.push(part[at++]!)) continue;
        payload = take(Math.min(head.size, FIRST_ALLOCATION));
        filled = 0;
      }
      const n = Math.min(head.size - filled, part.length - at);
      if (filled + n > payload.length) {
        const next = take(Math.min(head.size, Math.max(filled + n, payload.length * 2)));
        next.set(payload.subarray(0, filled));
        payload = next;
      }
      payload.set(part.subarray(at, at + n), filled);
      filled += n;
      at += n;
      if (filled < head.size) continue;
      const frame: Uint8Array = payload.subarray(0, filled);
      payload = undefined;
      if (crc32c(frame) !== head.checksum) {
        throw new CorruptionError("checksum mismatch in a remote read frame", {
          file: source,
          offset: head.offset,
        });
      }
      head.next();
      yield frame;
    }
  }
  if (payload !== undefined || head.begun) {
    throw new CorruptionError("remote read answer ends inside a frame", {
      file: source,
      offset: head.offset,
    });
  }
}

/** What stands before a frame: uvarint size, u32 checksum; read byte by byte. */
class FrameHead {
  readonly #source: string;
  readonly #bytes = new Uint8Array(9);
  #length = 0;
  /** Bytes of the size, 0 while it is not complete. */
  #sizeLength = 0;
  size = 0;
  /** Where the frame begins in the body. */
  offset = 0;

  constructor(source: string) {
    this.#source = source;
  }

  get begun(): boolean {
    return this.#length > 0;
  }
  get checksum(): number {
    return new ByteReader(this.#bytes, this.#sizeLength, this.#length).u32();
  }

  /** Takes a byte in; true when the head is complete. */
  push(byte: number): boolean {
    this.#bytes[this.#length] = byte;
    if (this.#sizeLength === 0) {
      this.size += (byte & 0x7f) * 2 ** (7 * this.#length);
      if (byte < 0x80) this.#sizeLength = this.#length + 1;
      if (this.#length >= 4 && byte >= 0x80 || this.size > MAX_READ_FRAME) {
        throw new CorruptionError(`remote read frame of more than ${MAX_READ_FRAME} bytes`, {
          file: this.#source,
          offset: this.offset,
        });
      }
    }
    this.#length++;
    return this.#sizeLength > 0 && this.#length === this.#sizeLength + 4;
  }

  /** Begins the next one. */
  next(): void {
    this.offset += this.#length + this.size;
    this.#length = 0;
    this.#sizeLength = 0;
    this.size = 0;
  }
}

/** The body in pieces, each borrowed until the next; without garbage where the runtime can. */
async function* readPieces(body: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = body.getReader({ mode: "byob" });
  } catch {
    // Not a stream of bytes but of ready pieces.
    yield* body;
    return;
  }
  let scratch = new Uint8Array(PIECE);
  try {
    for (;;) {
      const { value, done } = await reader.read(scratch);
      if (value !== undefined && value.length > 0) yield value;
      if (done) return;
      scratch = new Uint8Array(value.buffer);
    }
  } finally {
    // After the end this does nothing; after an early stop it ends the transfer.
    await reader.cancel().catch(() => undefined);
  }
}

/** A frame of a streamed answer. */
export interface RemoteFrame {
  readonly series: readonly RemoteSeries[];
  /** The query of the request that it answers. */
  readonly query: number;
}

/** Reads the labels of one frame's series and leaves its chunks undecoded; all are views of it. */
export function decodeChunkedResponse(frame: Uint8Array): RemoteFrame {
  const r = new ProtoReader(frame);
  const series: RemoteSeries[] = [];
  let query = 0;
  while (r.next()) {
    if (r.field !== 1) {
      if (r.field === 2) query = r.int64();
      else r.skip();
      continue;
    }
    const body = r.view();
    const inner = new ProtoReader(body);
    const pairs: [string, string][] = [];
    let chunkCount = 0;
    while (inner.next()) {
      if (inner.field === 1) {
        pairs.push(readLabel(inner));
        continue;
      }
      if (inner.field === 2) chunkCount++;
      inner.skip();
    }
    series.push({ labels: labelsFromPairs(pairs), chunkCount, body });
  }
  return { series, query };
}

/** Told of a chunk: closed time range in ms, encoding, and where its data lie in the series' body. */
export type RemoteChunkVisitor = (
  minTime: number,
  maxTime: number,
  encoding: number,
  start: number,
  end: number,
) => void;

/** Visits the chunks of a series; calls `visit` as often as it has chunks. */
export function visitRemoteChunks(series: RemoteSeries, visit: RemoteChunkVisitor): void {
  const r = new ProtoReader(series.body);
  while (r.next()) {
    if (r.field === 2) visitChunk(r, visit);
    else r.skip();
  }
}

function visitChunk(r: ProtoReader, visit: RemoteChunkVisitor): void {
  let minTime = 0;
  let maxTime = 0;
  let encoding = 0;
  let start = 0;
  let end = 0;
  const outer = r.enter();
  while (r.next()) {
    switch (r.field) {
      case 1:
        minTime = r.int64();
        break;
      case 2:
        maxTime = r.int64();
        break;
      case 3:
        encoding = r.int32();
        break;
      case 4: {
        const length = r.length();
        start = r.offset;
        end = start + length;
        r.offset = end;
        break;
      }
      default:
        r.skip();
    }
  }
  r.leave(outer);
  visit(minTime, maxTime, encoding, start, end);
}

/** Decodes a sampled answer (already decompressed) to `queries`; floats only, bit for bit. */
export function decodeSamplesResponse(bytes: Uint8Array, queries: number): RemoteSamples[] {
  const r = new ProtoReader(bytes);
  const series: RemoteSamples[] = [];
  let results = 0;
  while (r.next()) {
    if (r.field !== 1) {
      r.skip();
      continue;
    }
    results++;
    const outer = r.enter();
    while (r.next()) {
      if (r.field === 1) series.push(readTimeSeries(r));
      else r.skip();
    }
    r.leave(outer);
  }
  if (results !== queries) throw new CorruptionError(`unexpected result size ${results}`);
  return series;
}

function readTimeSeries(r: ProtoReader): RemoteSamples {
  const pairs: [string, string][] = [];
  const batch = new SampleBatch();
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) pairs.push(readLabel(r));
    else if (r.field === 2) readSample(r, batch);
    else r.skip();
  }
  r.leave(outer);
  return { labels: labelsFromPairs(pairs), batch };
}

function readSample(r: ProtoReader, batch: SampleBatch): void {
  batch.reserve(1);
  const bits = bitsOf(batch.v);
  const at = batch.length++;
  bits[2 * at] = 0;
  bits[2 * at + 1] = 0;
  batch.t[at] = 0;
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) r.doubleInto(bits, at);
    else if (r.field === 2) batch.t[at] = r.int64();
    else r.skip();
  }
  r.leave(outer);
}
