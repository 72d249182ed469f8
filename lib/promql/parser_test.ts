import assert from "node:assert/strict";
import { parseExpr } from "./parser.ts";
import { byteOffset, ParseError } from "./parse_error.ts";
import { printExpr } from "./ast_print.ts";
import type { ParseOptions } from "./parse_options.ts";

const CORPUS = new URL("../../../shared/conformance/promql-parse.json", import.meta.url).pathname;
const ALL: ParseOptions = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  fillModifiers: true,
};

interface Case {
  readonly Input: string;
  readonly Fail: boolean;
  readonly Err: string;
  readonly Start: number;
  readonly End: number;
  readonly PrintedOK: string;
}

async function readCorpus(): Promise<Case[] | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(CORPUS)) as Case[];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

Deno.test("parseExpr() answers Prometheus' own cases: texts, places, canonical print", async () => {
  const cases = await readCorpus();
  if (cases === undefined) return console.log(`skipped: ${CORPUS} is absent`);
  assert.ok(cases.length >= 237);
  const wrong: string[] = [];
  for (const c of cases) {
    let got: string;
    let wanted = c.PrintedOK;
    if (c.Fail) wanted = `${c.Err} @ ${c.Start}-${c.End}`;
    try {
      const expr = parseExpr(c.Input, ALL);
      got = printExpr(expr);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      const start = byteOffset(c.Input, error.start);
      got = `${error.message} @ ${start}-${byteOffset(c.Input, error.end)}`;
    }
    if (got !== wanted) wrong.push(`${JSON.stringify(c.Input)}: got ${got}, want ${wanted}`);
  }
  assert.deepEqual(wrong, []);
});
