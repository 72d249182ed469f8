/** Reads which modules a TypeScript file imports, without running or resolving anything. */

/** One import or re-export. */
export interface ImportOf {
  readonly specifier: string;
  readonly line: number;
  /** `import type` and `export type`: gone at run time, still an edge of the design. */
  readonly typeOnly: boolean;
}

const STATIC =
  /^[ \t]*(?:import|export)\b(?:[ \t]+(type)\b)?(?:[^;"'`]*?\bfrom)?[ \t\r\n]*["']([^"'\n]+)["']/gm;
const DYNAMIC = /\bimport\(\s*["']([^"'\n]+)["']\s*\)/g;
const WORKER = /\bnew URL\(\s*["']([^"'\n]+\.ts)["']\s*,\s*import\.meta\.url\s*\)/g;

/** The imports of a source text, comments left out. */
export function importsOf(source: string): ImportOf[] {
  const code = blankComments(source).replace(
    /`(?:[^`\\]|\\.)*`/g,
    (text) => text.replace(/[^\n]/g, " "),
  );
  const found: ImportOf[] = [];
  const add = (match: RegExpMatchArray, specifier: string, typeOnly: boolean) => {
    const line = code.slice(0, match.index).split("\n").length;
    found.push({ specifier, line, typeOnly });
  };
  for (const match of code.matchAll(STATIC)) add(match, match[2]!, match[1] === "type");
  for (const match of code.matchAll(DYNAMIC)) add(match, match[1]!, false);
  for (const match of code.matchAll(WORKER)) add(match, match[1]!, false);
  return found;
}

/** The text with comments replaced by spaces, so that positions and lines stay. */
export function blankComments(source: string): string {
  const pattern =
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\*[^]*?\*\/|\/\/[^\n]*/g;
  return source.replace(
    pattern,
    (match, text: string | undefined) => text ?? match.replace(/[^\n]/g, " "),
  );
}

/** The text with comments and the insides of strings replaced by spaces. */
export function blankTexts(source: string): string {
  return blankComments(source).replace(
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g,
    (match) => match[0] + match.slice(1, -1).replace(/[^\n]/g, " ") + match[0],
  );
}

/** Joins a relative specifier to the file that names it; both are paths from the root. */
export function resolveFrom(file: string, specifier: string): string {
  const url = new URL(specifier, `file:///${file}`);
  return url.pathname.slice(1);
}
