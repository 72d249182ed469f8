/** Chunk encodings and the value that names a piece of encoded samples. */

/** Encoding byte as TSDB files write it. The wire of the Store API uses this minus one. */
export const ENCODING_XOR = 1;
export const ENCODING_HISTOGRAM = 2;
export const ENCODING_FLOAT_HISTOGRAM = 3;
export const ENCODING_XOR2 = 4;
export const ENCODING_HISTOGRAM_ST = 5;
export const ENCODING_FLOAT_HISTOGRAM_ST = 6;
/** Thanos' aggregate chunk; only in downsampled blocks, never on the wire. */
export const ENCODING_AGGR = 255;

/** Encoded samples of one series. `data` is a view: it dies with what it was read from. */
export interface Chunk {
  /** One of the ENCODING_ constants. */
  readonly encoding: number;
  /** Payload without length, encoding byte and checksum. */
  readonly data: Uint8Array;
}
