/**
 * Interpreter of Prometheus' `.test` scripts: loads series, evaluates queries, compares answers.
 *
 * ```
 * load 1m
 *   metric{a="b"} 1+1x10
 *
 * eval instant at 5m rate(metric[5m])
 *   expect info
 *   {a="b"} 0.016666
 *
 * eval range from 0 to 10m step 5m metric
 *   metric{a="b"} 1 6 11
 *
 * clear
 * ```
 *
 * Every instant evaluation is also made as the middle step of a range query, and once more with all
 * selectors fixed by `@` at other evaluation times; all must agree.
 */
import { errorMessage, MnemeError, parseDuration, parseGoFloat } from "../base/mod.ts";
import { compileAnchored, type FloatHistogram, type Labels } from "../model/mod.ts";
import { Engine, type QueryResult } from "./engine.ts";
import { parseSeriesDescription, type SeriesDescription, unquote } from "./parse_series.ts";
import { compareValue, type Expectation } from "./script_compare.ts";
import { loadSeries } from "./script_load.ts";
import { pinSelectors } from "./script_pin.ts";
import { MemoryStorage } from "./testing_storage.ts";
import type { MatrixValue, Value, VectorValue } from "./value.ts";

/** One evaluation that did not give what the script expects. */
export interface ScriptFailure {
  readonly file: string;
  /** Line of the command, from 1. */
  readonly line: number;
  readonly message: string;
}

/** Outcome of a script. A passed or failed item is one `eval`, or a command that cannot be read. */
export interface ScriptResult {
  readonly passed: number;
  readonly failures: readonly ScriptFailure[];
}

/** Everything experimental is on, as in Prometheus' own runner. */
export function scriptEngine(): Engine {
  return new Engine({
    features: {
      experimentalFunctions: true,
      durationExpressions: true,
      extendedRangeSelectors: true,
      fillModifiers: true,
      delayedNameRemoval: true,
      startTimestamps: true,
    },
    lookbackDelta: 300_000,
    defaultStep: 60_000,
    timeout: 6_000_000,
  });
}

/** Runs a script. `file` is only used to name failures. */
export async function runScript(
  text: string,
  file: string,
  engine: Engine = scriptEngine(),
): Promise<ScriptResult> {
  const script = new Script(text, file, engine);
  return await script.run();
}

/** What `expect` lines ask of errors and annotations. */
interface Check {
  readonly kind: "fail" | "warn" | "info";
  readonly message: string | null;
  readonly regex: string | null;
}

/** One evaluation as the script describes it. */
interface Evaluation {
  readonly line: number;
  readonly query: string;
  readonly instant: boolean;
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly checks: Check[];
  noWarn: boolean;
  noInfo: boolean;
  readonly expected: Expectation;
}

const INSTANT = /^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(\S+)\s+)?(.+)$/s;
const RANGE = new RegExp(
  String
    .raw`^eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)$`,
  "s",
);
const EXPECT = /^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.*))?$/;
const EXPECT_STRING = /^expect\s+string\s+(.+)$/;
const EXPECT_RANGE = /^expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)$/;

class Script {
  readonly #lines: string[];
  readonly #file: string;
  readonly #engine: Engine;
  readonly #storage = new MemoryStorage();
  readonly #failures: ScriptFailure[] = [];
  #passed = 0;

  constructor(text: string, file: string, engine: Engine) {
    this.#lines = text.split(/\r?\n/).map((l) => l.trim()).map((l) => l.startsWith("#") ? "" : l);
    this.#file = file;
    this.#engine = engine;
  }

  async run(): Promise<ScriptResult> {
    for (let i = 0; i < this.#lines.length; i++) {
      const line = this.#lines[i]!;
      if (line === "") continue;
      let end = i + 1;
      while (end < this.#lines.length && this.#lines[end] !== "" && !isCommand(this.#lines[end]!)) {
        end++;
      }
      try {
        await this.#command(line, i, end);
      } catch (error) {
        this.#failures.push({
          file: this.#file,
          line: i + 1,
          message: errorMessage(error),
        });
      }
      i = end - 1;
    }
    return { passed: this.#passed, failures: this.#failures };
  }

  async #command(line: string, from: number, end: number): Promise<void> {
    const word = line.split(/\s/)[0]!.toLowerCase();
    if (word === "clear") this.#storage.clear();
    else if (word.startsWith("load")) this.#load(line, from, end);
    else if (word.startsWith("eval")) {
      await this.#evaluate(this.#parseEvaluation(line, from, end));
      this.#passed++;
    } else throw new MnemeError("bad_data", `invalid command "${line}"`);
  }

  #load(line: string, from: number, end: number): void {
    const m = /^load(?:_(with_nhcb))?\s+(\S+)$/.exec(line);
    if (m === null) {
      throw new MnemeError("bad_data", `invalid load command "${line}": load[_with_nhcb] <step>`);
    }
    const described: SeriesDescription[] = [];
    for (let i = from + 1; i < end; i++) {
      described.push(this.#at(i, () => parseSeriesDescription(this.#lines[i]!)));
    }
    loadSeries(this.#storage, described, parseDuration(m[2]!), m[1] !== undefined);
  }

  /** Names the line in errors of reading it. */
  #at<T>(i: number, read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw new MnemeError("bad_data", `line ${i + 1}: ${errorMessage(error)}`, { cause: error });
    }
  }

  #parseEvaluation(line: string, from: number, end: number): Evaluation {
    const instant = INSTANT.exec(line);
    const range = instant === null ? RANGE.exec(line) : null;
    if (instant === null && range === null) {
      throw new MnemeError(
        "bad_data",
        `invalid evaluation "${line}": eval[_fail|_warn|_ordered|_info] instant [at <time>] ` +
          "<query>, or eval[_fail|_warn|_info] range from <start> to <end> step <step> <query>",
      );
    }
    const mode = instant?.[1] ?? range?.[1];
    const start = parseTime(instant === null ? range![2]! : instant[2] ?? "0");
    const evaluation: Evaluation = {
      line: from + 1,
      query: instant === null ? range![5]! : instant[3]!,
      instant: instant !== null,
      start,
      end: range === null ? start : parseTime(range[3]!),
      step: range === null ? 0 : parseDuration(range[4]!),
      checks: mode === "fail" || mode === "warn" || mode === "info"
        ? [{ kind: mode, message: null, regex: null }]
        : [],
      noWarn: false,
      noInfo: false,
      expected: { ordered: mode === "ordered", text: null, scalar: null, grid: null, series: [] },
    };
    for (let i = from + 1; i < end; i++) this.#at(i, () => this.#expect(evaluation, i));
    if (!evaluation.instant) {
      const { start, end, step } = evaluation;
      evaluation.expected.grid ??= { start, end, step };
    }
    return evaluation;
  }

  #expect(evaluation: Evaluation, i: number): void {
    const line = this.#lines[i]!;
    const { expected } = evaluation;
    const m = EXPECT.exec(line);
    if (m !== null) {
      const [, what, kind, text] = m;
      if (what === "ordered") expected.ordered = true;
      else if (what === "no_warn") evaluation.noWarn = true;
      else if (what === "no_info") evaluation.noInfo = true;
      else {
        evaluation.checks.push({
          kind: what as Check["kind"],
          message: kind === "msg" ? text!.trim() : null,
          regex: kind === "regex" ? text!.trim() : null,
        });
      }
      return;
    }
    const string = EXPECT_STRING.exec(line);
    if (string !== null) {
      expected.text = unquote(string[1]!);
      return;
    }
    const grid = EXPECT_RANGE.exec(line);
    if (grid !== null) {
      expected.grid = {
        start: parseTime(grid[1]!),
        end: parseTime(grid[2]!),
        step: parseDuration(grid[3]!),
      };
      return;
    }
    const old = /^expected_fail_(message|regexp)\s+(.+)$/.exec(line);
    if (old !== null) {
      const message = old[1] === "message" ? old[2]! : null;
      evaluation.checks.push({ kind: "fail", message, regex: message === null ? old[2]! : null });
      return;
    }
    if (line.startsWith("expect ")) {
      throw new MnemeError("bad_data", `cannot read expectation "${line}"`);
    }
    const number = parseGoFloat(line) ?? (/^[+-]?nan$/i.test(line) ? NaN : undefined);
    if (number !== undefined) {
      expected.scalar = number;
      return;
    }
    const described = parseSeriesDescription(line);
    if (described.startTimes) throw new MnemeError("bad_data", "start times cannot be expected");
    expected.series.push(described);
  }

  async #evaluate(e: Evaluation): Promise<void> {
    const fails = e.checks.filter((c) => c.kind === "fail");
    let result: QueryResult;
    try {
      result = await this.#query(e.query, e.instant, e.start, e.end, e.step);
    } catch (error) {
      if (fails.length === 0) throw describe(e.query, error);
      this.#checkFailure(e, fails, errorMessage(error));
      return;
    }
    if (fails.length > 0) throw new MnemeError("execution", `${e.query}: an error was expected`);
    this.#checkAnnotations(e, result);
    compareValue(result.value, e.expected);
    if (!e.instant || e.expected.ordered || e.expected.text !== null || e.expected.grid !== null) {
      return;
    }
    await this.#asRange(e, e.query, e.start, result.value);
    await this.#pinned(e);
  }

  #query(
    query: string,
    instant: boolean,
    start: number,
    end: number,
    step: number,
  ): Promise<QueryResult> {
    const storage = this.#storage;
    return instant
      ? this.#engine.instantQuery({ query, storage, time: start })
      : this.#engine.rangeQuery({ query, storage, start, end, step });
  }

  #checkFailure(e: Evaluation, fails: readonly Check[], message: string): void {
    for (const check of fails) {
      if (!matches(check, message)) {
        throw new MnemeError(
          "execution",
          `${e.query}: expected error ${wanted(check)}, got ${JSON.stringify(message)}`,
        );
      }
    }
  }

  #checkAnnotations(e: Evaluation, result: QueryResult): void {
    const { warnings, infos } = result.annotations;
    this.#checkTexts(e, "warn", warnings);
    this.#checkTexts(e, "info", infos);
    if (e.noWarn && warnings.length > 0) {
      throw new MnemeError("execution", `${e.query}: unexpected warnings ${list(warnings)}`);
    }
    if (e.noInfo && infos.length > 0) {
      throw new MnemeError("execution", `${e.query}: unexpected infos ${list(infos)}`);
    }
  }

  #checkTexts(e: Evaluation, kind: "warn" | "info", texts: readonly string[]): void {
    const checks = e.checks.filter((c) => c.kind === kind);
    if (checks.length === 0) return;
    for (const check of checks) {
      if (!texts.some((t) => matches(check, t))) {
        throw new MnemeError(
          "execution",
          `${e.query}: expected ${kind} ${wanted(check)}, got ${list(texts)}`,
        );
      }
    }
    for (const text of texts) {
      if (!checks.some((c) => matches(c, text))) {
        throw new MnemeError("execution", `${e.query}: unexpected ${kind} ${JSON.stringify(text)}`);
      }
    }
  }

  /** The instant evaluation again, as the middle step of a range query. */
  async #asRange(e: Evaluation, query: string, time: number, value: Value): Promise<void> {
    let result: QueryResult;
    try {
      result = await this.#query(query, false, time - 60_000, time + 60_000, 60_000);
    } catch (error) {
      throw describe(`${query} (as a range query)`, error);
    }
    if (result.value.type !== "matrix") {
      throw new MnemeError("execution", `${query}: a range query gave a ${result.value.type}`);
    }
    const vector = vectorAt(result.value, time);
    try {
      if (value.type === "scalar") {
        compareValue({ type: "scalar", time, value: vector.v[0] ?? NaN }, e.expected);
      } else compareValue(vector, e.expected);
    } catch (error) {
      throw describe(`${query} (as a range query)`, error);
    }
  }

  /** The instant evaluation with every selector fixed by `@`: it must not depend on the time. */
  async #pinned(e: Evaluation): Promise<void> {
    const query = pinSelectors(e.query, e.start, this.#engine.features);
    if (query === undefined) return;
    const times = e.start === 0
      ? [-1000, 1000]
      : [-10 * e.start, 0, Math.trunc(e.start / 5), 10 * e.start];
    for (const time of times) {
      let result: QueryResult;
      try {
        result = await this.#query(query, true, time, time, 0);
        compareValue(result.value, e.expected);
      } catch (error) {
        throw describe(`${query} (at ${time} ms)`, error);
      }
      await this.#asRange(e, query, time, result.value);
    }
  }
}

/** A command ends the lines of the one before; a series may be called `load` or `eval`, too. */
function isCommand(line: string): boolean {
  return /^(clear|load(_with_nhcb)?\s+[\da-z]*[a-z]|eval(_\w+)?\s+(instant|range)\s.*)$/.test(line);
}

/** Times in scripts are durations since the epoch. Returns ms. */
function parseTime(text: string): number {
  const negative = text.startsWith("-");
  const seconds = /^\d+(\.\d+)?$/.test(negative ? text.slice(1) : text);
  if (seconds) return Math.round(Number(text) * 1000);
  return parseDuration(negative ? text.slice(1) : text) * (negative ? -1 : 1);
}

function matches(check: Check, text: string): boolean {
  if (check.message !== null) return check.message === text;
  if (check.regex !== null) {
    return compileAnchored(`(?s:.*)(?:${check.regex})(?s:.*)`).matches(text);
  }
  return true;
}

function wanted(check: Check): string {
  if (check.message !== null) return JSON.stringify(check.message);
  return check.regex === null ? "of any text" : `/${check.regex}/`;
}

function list(texts: readonly string[]): string {
  return texts.length === 0 ? "none" : texts.map((t) => JSON.stringify(t)).join(", ");
}

function describe(what: string, error: unknown): MnemeError {
  return new MnemeError("execution", `${what}: ${errorMessage(error)}`, { cause: error });
}

/** The elements of a matrix that have a sample at `time`. */
function vectorAt(matrix: MatrixValue, time: number): VectorValue {
  const labels: Labels[] = [];
  const values = new Float64Array(matrix.series.length);
  const h: (FloatHistogram | undefined)[] = [];
  for (const series of matrix.series) {
    const i = series.t.indexOf(time);
    if (i < 0) continue;
    values[labels.length] = series.v[i]!;
    h.push(series.h?.[i]);
    labels.push(series.labels);
  }
  return { type: "vector", time, labels, v: values.subarray(0, labels.length), h };
}
