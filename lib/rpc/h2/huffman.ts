/**
 * The Huffman code of HPACK (RFC 7541, appendix B).
 *
 * The code is canonical: codes of one length are consecutive and follow the symbols, so that the
 * lengths alone say everything.
 */
import { MnemeError } from "../../base/mod.ts";

/** Symbols by the length of their codes, each list ascending; 256 is the end of a string. */
const SYMBOLS: readonly (readonly [number, readonly number[]])[] = [
  [5, [48, 49, 50, 97, 99, 101, 105, 111, 115, 116]],
  [6, [
    32,
    37,
    45,
    46,
    47,
    51,
    52,
    53,
    54,
    55,
    56,
    57,
    61,
    65,
    95,
    98,
    100,
    102,
    103,
    104,
    108,
    109,
    110,
    112,
    114,
    117,
  ]],
  [7, [
    58,
    66,
    67,
    68,
    69,
    70,
    71,
    72,
    73,
    74,
    75,
    76,
    77,
    78,
    79,
    80,
    81,
    82,
    83,
    84,
    85,
    86,
    87,
    89,
    106,
    107,
    113,
    118,
    119,
    120,
    121,
    122,
  ]],
  [8, [38, 42, 44, 59, 88, 90]],
  [10, [33, 34, 40, 41, 63]],
  [11, [39, 43, 124]],
  [12, [35, 62]],
  [13, [0, 36, 64, 91, 93, 126]],
  [14, [94, 125]],
  [15, [60, 96, 123]],
  [19, [92, 195, 208]],
  [20, [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [22, [
    129,
    132,
    133,
    134,
    136,
    146,
    154,
    156,
    160,
    163,
    164,
    169,
    170,
    173,
    178,
    181,
    185,
    186,
    187,
    189,
    190,
    196,
    198,
    228,
    232,
    233,
  ]],
  [23, [
    1,
    135,
    137,
    138,
    139,
    140,
    141,
    143,
    147,
    149,
    150,
    151,
    152,
    155,
    157,
    158,
    165,
    166,
    168,
    174,
    175,
    180,
    182,
    183,
    188,
    191,
    197,
    231,
    239,
  ]],
  [24, [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, [199, 207, 234, 235]],
  [26, [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]],
  [27, [
    203,
    204,
    211,
    212,
    214,
    221,
    222,
    223,
    241,
    244,
    245,
    246,
    247,
    248,
    250,
    251,
    252,
    253,
    254,
  ]],
  [28, [
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    11,
    12,
    14,
    15,
    16,
    17,
    18,
    19,
    20,
    21,
    23,
    24,
    25,
    26,
    27,
    28,
    29,
    30,
    31,
    127,
    220,
    249,
  ]],
  [30, [10, 13, 22, 256]],
];
const LONGEST = 30;

/** Per length: the first code, the number of codes, and where their symbols begin in ORDER. */
const FIRST = new Uint32Array(LONGEST + 1);
const COUNT = new Uint32Array(LONGEST + 1);
const START = new Uint32Array(LONGEST + 1);
const ORDER = new Uint16Array(257);
{
  let code = 0;
  let at = 0;
  let previous = 5;
  for (const [length, symbols] of SYMBOLS) {
    code *= 2 ** (length - previous);
    previous = length;
    FIRST[length] = code;
    COUNT[length] = symbols.length;
    START[length] = at;
    for (const symbol of symbols) ORDER[at++] = symbol;
    code += symbols.length;
  }
}

/** Decodes bytes [start, end) to text of one character per byte; throws bad_data. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  let code = 0;
  let length = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      length++;
      const index = code - FIRST[length]!;
      if (index >= 0 && index < COUNT[length]!) {
        const symbol = ORDER[START[length]! + index]!;
        if (symbol === 256) throw new MnemeError("bad_data", "HPACK: end symbol inside a string");
        text += String.fromCharCode(symbol);
        code = 0;
        length = 0;
      } else if (length >= LONGEST) throw new MnemeError("bad_data", "HPACK: no such code");
    }
  }
  // Padding: fewer than eight bits, all ones.
  if (length > 7 || code !== 2 ** length - 1) {
    throw new MnemeError("bad_data", "HPACK: wrong padding of a string");
  }
  return text;
}
