/** gRPC messages out of the bytes of a stream: one flag byte, four bytes of length, the message. */
import { RpcError, STATUS_RESOURCE_EXHAUSTED } from "../status.ts";

/** First allocation for a message, bytes: usual sizes are allocated once, others as they come in. */
const FIRST_ALLOCATION = 4 * 1024 * 1024;

/** Puts messages together. */
export class MessageAssembler {
  readonly #maxBytes: number;
  readonly #take: (message: Uint8Array, compressed: boolean) => void;
  readonly #allocate: (size: number) => Uint8Array;
  readonly #prefix = new Uint8Array(5);
  #prefixLength = 0;
  #message: Uint8Array | undefined;
  #filled = 0;
  #expected = 0;

  /** `take` gets each message, which it then owns; `allocate` gives at least the bytes asked for. */
  constructor(
    maxBytes: number,
    take: (message: Uint8Array, compressed: boolean) => void,
    allocate: (size: number) => Uint8Array = (size) => new Uint8Array(size),
  ) {
    this.#maxBytes = maxBytes;
    this.#take = take;
    this.#allocate = allocate;
  }

  /** Bytes of a message are still missing. */
  get partial(): boolean {
    return this.#prefixLength > 0;
  }

  /**
   * Takes in bytes [at, end) of `b`.
   *
   * Throws: RpcError when a message is announced that is larger than allowed.
   */
  push(b: Uint8Array, at: number, end: number): void {
    while (at < end) {
      if (this.#message === undefined) {
        const n = Math.min(5 - this.#prefixLength, end - at);
        this.#prefix.set(b.subarray(at, at + n), this.#prefixLength);
        this.#prefixLength += n;
        at += n;
        if (this.#prefixLength < 5) return;
        const length = new DataView(this.#prefix.buffer).getUint32(1);
        if (length > this.#maxBytes) {
          throw new RpcError(
            STATUS_RESOURCE_EXHAUSTED,
            `received message larger than max (${length} vs. ${this.#maxBytes})`,
          );
        }
        this.#expected = length;
        this.#filled = 0;
        this.#message = this.#allocate(Math.min(length, FIRST_ALLOCATION));
      }
      const n = Math.min(this.#expected - this.#filled, end - at);
      this.#room(this.#filled + n);
      this.#message.set(b.subarray(at, at + n), this.#filled);
      this.#filled += n;
      at += n;
      if (this.#filled < this.#expected) return;
      const message = this.#message.subarray(0, this.#expected);
      this.#message = undefined;
      this.#prefixLength = 0;
      this.#take(message, this.#prefix[0] !== 0);
    }
  }

  #room(size: number): void {
    const message = this.#message!;
    if (size <= message.length) return;
    const next = new Uint8Array(Math.min(this.#expected, Math.max(size, message.length * 4)));
    next.set(message.subarray(0, this.#filled));
    this.#message = next;
  }
}

/** grpc-message as text: UTF-8 with percent escapes. */
export function decodeDetails(value: string): string {
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value.replace(/%(?![0-9a-fA-F]{2})/g, "%25"));
  } catch {
    // Not UTF-8: shown as it came.
    return value;
  }
}

/** Text as grpc-message: every byte outside printable ASCII, and the percent sign, escaped. */
export function encodeDetails(text: string): string {
  const bytes = new TextEncoder().encode(text);
  let out = "";
  for (const b of bytes) {
    out += b >= 0x20 && b <= 0x7e && b !== 0x25
      ? String.fromCharCode(b)
      : `%${b.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}
