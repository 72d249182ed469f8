/**
 * Numbers as Go prints them (`strconv`, shortest digits): the digits are JavaScript's own, only the
 * layout differs. Source: the field's text formats, number printing.
 */

function special(x: number): string | undefined {
  if (x !== x) return "NaN";
  if (x === Infinity) return "+Inf";
  if (x === -Infinity) return "-Inf";
  if (x === 0) return Object.is(x, -0) ? "-0" : "0";
  return undefined;
}

/** Style J, used by JSON results: plain for 1e-6 <= |x| < 1e21, else `d.ddde±XX`. */
export function formatFloatJson(x: number): string {
  if (x !== 0 && x - x === 0) {
    const s = String(x);
    const abs = x < 0 ? -x : x;
    if (abs >= 1e-6 && abs < 1e21) return s;
    return padExponent(s);
  }
  return special(x)!;
}

/** Style F: plain decimals, never an exponent. */
export function formatFloatPlain(x: number): string {
  const s = special(x);
  if (s !== undefined) return s;
  const text = String(x);
  const e = text.indexOf("e");
  if (e < 0) return text;
  const exponent = Number(text.slice(e + 1));
  const negative = text.startsWith("-");
  const digits = text.slice(negative ? 1 : 0, e);
  const dot = digits.indexOf(".");
  const all = digits.replace(".", "");
  const point = (dot < 0 ? digits.length : dot) + exponent;
  const sign = negative ? "-" : "";
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${all}`;
  if (point >= all.length) return sign + all + "0".repeat(point - all.length);
  return `${sign}${all.slice(0, point)}.${all.slice(point)}`;
}

/** Style G (`%v`, `%g` with shortest digits): exponent iff e < -4 or e >= `high`. */
export function formatFloatGeneral(x: number, high = 6): string {
  const s = special(x);
  if (s !== undefined) return s;
  const text = x.toExponential();
  const e = Number(text.slice(text.indexOf("e") + 1));
  if (e < -4 || e >= high) return padExponent(text);
  return formatFloatPlain(x);
}

function padExponent(text: string): string {
  const e = text.indexOf("e");
  const exponent = text.slice(e + 2);
  const sign = text[e + 1]!;
  return `${text.slice(0, e)}e${sign}${exponent.length < 2 ? "0" : ""}${exponent}`;
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const HEXADECIMAL = /^([+-]?)0x([0-9a-f]*)\.?([0-9a-f]*)p([+-]?\d+)$/i;
const SPECIAL = /^([+-]?)(?:inf(?:inity)?|(nan))$/i;

/** Reads a number as Go's strconv.ParseFloat does; undefined when it would refuse. */
export function parseGoFloat(text: string): number | undefined {
  if (DECIMAL.test(text)) {
    const x = Number(text);
    return x - x === 0 ? x : undefined;
  }
  const special = SPECIAL.exec(text);
  if (special !== null) {
    if (special[2] !== undefined) return special[1] === "" ? NaN : undefined;
    return special[1] === "-" ? -Infinity : Infinity;
  }
  const hex = HEXADECIMAL.exec(text);
  if (hex === null || hex[2]! + hex[3]! === "") return undefined;
  let x = 0;
  for (const digit of hex[2]! + hex[3]!) x = x * 16 + parseInt(digit, 16);
  x *= 2 ** (Number(hex[4]) - 4 * hex[3]!.length);
  if (x === Infinity) return undefined;
  return hex[1] === "-" ? -x : x;
}
