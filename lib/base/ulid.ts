/**
 * Block identifiers (ULID): 48 bits of milliseconds, then 80 random bits, in Crockford base 32.
 *
 * Text order is time order. Source: shared format notes, block directory §1.
 */
import { MnemeError } from "./errors.ts";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const VALUES = new Int8Array(128).fill(-1);
for (let i = 0; i < 32; i++) {
  VALUES[ALPHABET.charCodeAt(i)] = i;
  VALUES[ALPHABET.toLowerCase().charCodeAt(i)] = i;
}

/** Fills an array with random bytes; injected so that tests and simulations are repeatable. */
export type RandomBytes = (target: Uint8Array<ArrayBuffer>) => void;

/** The system's random source. */
export const systemRandom: RandomBytes = (target) => {
  crypto.getRandomValues(target);
};

/** Makes a ULID for a time in ms. */
export function makeUlid(time: number, random: RandomBytes = systemRandom): string {
  let text = "";
  let t = time;
  for (let i = 0; i < 10; i++) {
    text = ALPHABET[t % 32]! + text;
    t = Math.floor(t / 32);
  }
  const bytes = new Uint8Array(16);
  random(bytes);
  for (let i = 0; i < 16; i++) text += ALPHABET[bytes[i]! & 31]!;
  return text;
}

/** True when `text` is a ULID: 26 characters of the alphabet, within 128 bits. */
export function isUlid(text: string): boolean {
  if (text.length !== 26 || text.charCodeAt(0) > 0x37) return false;
  for (let i = 0; i < 26; i++) {
    const c = text.charCodeAt(i);
    if (c >= 128 || VALUES[c]! < 0) return false;
  }
  return true;
}

/** The creation time of a ULID in ms; throws bad_data when it is none. */
export function ulidTime(text: string): number {
  if (!isUlid(text)) throw new MnemeError("bad_data", `Cannot parse ULID "${text}"`);
  let t = 0;
  for (let i = 0; i < 10; i++) t = t * 32 + VALUES[text.charCodeAt(i)]!;
  return t;
}
