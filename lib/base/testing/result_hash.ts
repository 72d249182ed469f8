/** A hash of results by their bits, so that two runs of a benchmark or a test can be compared. */

/** 64 bits of FNV-like mixing over what was added, order included; not for hostile input. */
export class ResultHash {
  #a = 0x811c9dc5;
  #b = 0x01000193;

  /** Adds a number by its bits (NaN payloads may be lost: use addFloats for samples). */
  addNumber(x: number): void {
    this.addFloats(Float64Array.of(x));
  }
  /** Adds the bits of the first `length` elements. */
  addFloats(values: Float64Array, length = values.length): void {
    const words = new Int32Array(values.buffer, values.byteOffset, length * 2);
    for (let i = 0; i < words.length; i++) this.#mix(words[i]!);
  }
  addBytes(bytes: Uint8Array): void {
    this.#mix(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.#mix(bytes[i]!);
  }
  addText(text: string): void {
    this.#mix(text.length);
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
  }
  /** 16 hexadecimal digits. */
  digest(): string {
    return (this.#a >>> 0).toString(16).padStart(8, "0") +
      (this.#b >>> 0).toString(16).padStart(8, "0");
  }
  #mix(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193);
    this.#a ^= this.#a >>> 15;
    this.#b = Math.imul(this.#b + word, 0x85ebca6b) ^ (this.#b >>> 13);
  }
}
