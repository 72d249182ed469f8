/**
 * info(v, {selector}): adds labels of info metrics to the series of v.
 *
 * Which info series applies can change from step to step, so one input row may become several
 * output rows; they are known from the info series alone, before any value of v is read.
 */
import { MnemeError } from "../base/mod.ts";
import {
  formatLabels,
  type Labels,
  labelsFromPairs,
  labelsKey,
  labelValue,
  makeMatcher,
  type Matcher,
  mergeLabels,
  METRIC_NAME,
} from "../model/mod.ts";
import { type Operator, type SeriesList, tileFor } from "./operator.ts";
import { SelectOperator } from "./op_select.ts";
import type { References } from "./op_select.ts";
import type { QueryContext } from "./query_context.ts";
import { Source } from "./source.ts";
import type { SelectHints } from "./storage.ts";
import { type Grid, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

/** Labels that tie a series to its info series. */
const IDENTIFYING = ["instance", "job"] as const;

/** Settings of info(). Units: ms. */
export interface InfoOptions {
  readonly grid: Grid;
  readonly references: References;
  readonly lookback: number;
  readonly hints: SelectHints;
  /** Matchers on the info metric's name, and on its other labels. */
  readonly nameMatchers: readonly Matcher[];
  readonly labelMatchers: readonly Matcher[];
}

/** One output row: an input row, where it applies, and what it is called there. */
interface InfoRow {
  readonly input: number;
  readonly labels: Labels;
  /** 1 per step at which it applies; null for all steps. */
  readonly mask: Uint8Array | null;
}

/** The info series of one metric and identity: the newest of them per step. */
interface InfoGroup {
  readonly members: number[];
  /** Row of the info series per step, −1 for none. */
  readonly winner: Int32Array;
  /** Time of the winner's sample in seconds. */
  readonly time: Float64Array;
  /** Per step: another series with the same time, −1 for none. */
  readonly rival: Int32Array;
}

/** See the file comment. */
export class InfoOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #options: InfoOptions;
  readonly #context: QueryContext;
  #input: SeriesList = { labels: [], dropName: null };
  #rows: InfoRow[] = [];
  /** Errors that strike when an input row has a value at a step. */
  #faults = new Map<number, Map<number, string>>();
  #tile: Tile | undefined;
  #inputBase = 0;
  #inputRows = 0;
  #next = 0;

  constructor(child: Operator, options: InfoOptions, context: QueryContext) {
    this.grid = child.grid;
    this.#child = child;
    this.#options = options;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    this.#input = await this.#child.series();
    const { labels } = this.#input;
    const { nameMatchers, labelMatchers } = this.#options;
    const passes = labels.map((l) => {
      const name = labelValue(l, METRIC_NAME);
      return nameMatchers.every((m) => m.matches(name));
    });
    const wanted = new Set(labels.filter((_, i) => !passes[i]).map(identity));
    wanted.delete(identity(labelsFromPairs([])));
    const groups = await this.#readInfo(wanted, labels, passes);
    const required = labelMatchers.some((m) => !m.matches(""));
    for (let i = 0; i < labels.length; i++) {
      if (passes[i]) this.#rows.push({ input: i, labels: labels[i]!, mask: null });
      else {this.#plan(
          i,
          groups.byIdentity.get(identity(labels[i]!)) ?? [],
          groups.labels,
          required,
        );}
    }
    const marks = this.#input.dropName;
    return {
      labels: this.#rows.map((r) => r.labels),
      dropName: marks === null ? null : Uint8Array.from(this.#rows, (r) => marks[r.input]!),
    };
  }

  /** Selects the info series of the wanted identities and finds the newest per step. */
  async #readInfo(
    wanted: ReadonlySet<string>,
    input: readonly Labels[],
    passes: readonly boolean[],
  ): Promise<{ byIdentity: Map<string, InfoGroup[]>; labels: readonly Labels[] }> {
    const byIdentity = new Map<string, InfoGroup[]>();
    if (wanted.size === 0) return { byIdentity, labels: [] };
    const { nameMatchers, labelMatchers, hints, grid, references, lookback } = this.#options;
    const matchers = [...nameMatchers, ...labelMatchers];
    for (const name of IDENTIFYING) {
      const values = new Set<string>();
      for (let i = 0; i < input.length; i++) {
        const value = labelValue(input[i]!, name);
        if (!passes[i] && value !== "") values.add(value);
      }
      if (values.size > 0) {
        matchers.push(makeMatcher("=~", name, [...values, ""].map(quoteRegexp).join("|")));
      }
    }
    const source = new Source({ matchers, hints });
    const select = new SelectOperator(
      source,
      { grid, references, lookback, yields: "time", statsOnly: false },
      this.#context,
    );
    const { labels } = await select.series();
    const index = new Map<string, InfoGroup>();
    const tile = tileFor(this.grid);
    let row = 0;
    for (;;) {
      const result = select.next(tile);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++, row++) {
        const own = identity(labels[row]!);
        if (!wanted.has(own)) continue;
        const key = own + labelValue(labels[row]!, METRIC_NAME);
        let group = index.get(key);
        if (group === undefined) {
          group = this.#newGroup();
          index.set(key, group);
          const list = byIdentity.get(own);
          if (list === undefined) byIdentity.set(own, [group]);
          else list.push(group);
        }
        group.members.push(row);
        this.#compete(group, tile, r, row);
      }
    }
    select.close();
    return { byIdentity, labels };
  }

  #newGroup(): InfoGroup {
    const { count } = this.grid;
    this.#context.touch(2 * count);
    return {
      members: [],
      winner: new Int32Array(count).fill(-1),
      time: new Float64Array(count),
      rival: new Int32Array(count).fill(-1),
    };
  }

  #compete(group: InfoGroup, tile: Tile, tileRow: number, row: number): void {
    const { count } = this.grid;
    const at = tileRow * count;
    for (let k = 0; k < count; k++) {
      if (tile.has[at + k] === 0) continue;
      const time = tile.v[at + k]!;
      if (group.winner[k]! < 0 || time > group.time[k]!) {
        group.winner[k] = row;
        group.time[k] = time;
        group.rival[k] = -1;
      } else if (time === group.time[k]) group.rival[k] = row;
    }
  }

  /** Works out the output rows of one input row. */
  #plan(
    input: number,
    groups: readonly InfoGroup[],
    info: readonly Labels[],
    required: boolean,
  ): void {
    const { count } = this.grid;
    const base = this.#input.labels[input]!;
    const byLabels = new Map<string, { labels: Labels; mask: Uint8Array }>();
    const byWinners = new Map<string, { labels: Labels; mask: Uint8Array } | string | null>();
    for (let k = 0; k < count; k++) {
      let winners = "";
      for (const g of groups) {
        if (g.winner[k]! < 0) continue;
        winners += g.winner[k]! + ",";
        if (g.rival[k]! >= 0) {
          const at = g.time[k]! * 1000;
          this.#fault(
            input,
            k,
            `found duplicate series for info metric: existing ${
              formatLabels(info[g.winner[k]!]!)
            } @ ${at}, new ${formatLabels(info[g.rival[k]!]!)} @ ${at}`,
          );
        }
      }
      let row = byWinners.get(winners);
      if (row === undefined) {
        row = this.#combine(base, winners, info, required);
        if (row !== null && typeof row !== "string") {
          const key = labelsKey(row.labels);
          row = byLabels.get(key) ?? row;
          byLabels.set(key, row);
        }
        byWinners.set(winners, row);
      }
      if (typeof row === "string") this.#fault(input, k, row);
      else if (row !== null) row.mask[k] = 1;
    }
    for (const { labels, mask } of byLabels.values()) {
      const all = mask.every((m) => m === 1);
      this.#rows.push({ input, labels, mask: all ? null : mask });
    }
    // A row that only ever fails must still be read for its failures to strike.
    if (byLabels.size === 0 && this.#faults.has(input)) {
      this.#rows.push({ input, labels: base, mask: new Uint8Array(count) });
    }
  }

  /** The output row for a set of info series; null when it is left out, a text when it cannot be. */
  #combine(
    base: Labels,
    winners: string,
    info: readonly Labels[],
    required: boolean,
  ): { labels: Labels; mask: Uint8Array } | string | null {
    const mask = new Uint8Array(this.grid.count);
    if (winners === "") return required ? null : { labels: base, mask };
    const { labelMatchers } = this.#options;
    const named = new Set(labelMatchers.map((m) => m.name));
    const added = new Map<string, string>();
    for (const row of winners.split(",")) {
      if (row === "") continue;
      const labels = info[Number(row)]!;
      for (let i = 0; i < labels.length; i += 2) {
        const name = labels[i]!;
        if (name === METRIC_NAME || (named.size > 0 && !named.has(name))) continue;
        const known = added.get(name);
        if (known !== undefined && known !== labels[i + 1]) return `conflicting label: ${name}`;
        if (labelValue(base, name) === "") added.set(name, labels[i + 1]!);
      }
    }
    return { labels: mergeLabels(labelsFromPairs(added), base), mask };
  }

  #fault(input: number, step: number, text: string): void {
    let steps = this.#faults.get(input);
    if (steps === undefined) {
      steps = new Map();
      this.#faults.set(input, steps);
    }
    if (!steps.has(step)) steps.set(step, text);
  }

  next(tile: Tile): number | Promise<number> {
    return this.#fill(tile, 0);
  }

  #fill(tile: Tile, from: number): number | Promise<number> {
    let row = from;
    while (row < tile.capacity && this.#next < this.#rows.length) {
      const out = this.#rows[this.#next]!;
      if (out.input >= this.#inputBase + this.#inputRows) {
        const result = this.#advance();
        if (typeof result !== "number") return result.then(() => this.#fill(tile, row));
        continue;
      }
      this.#emit(tile, row++, out);
      this.#next++;
    }
    return tile.rows = row;
  }

  #advance(): number | Promise<number> {
    const input = this.#tile ??= tileFor(this.grid);
    this.#inputBase += this.#inputRows;
    this.#inputRows = 0;
    const result = this.#child.next(input);
    return typeof result === "number" ? this.#loaded(result) : result.then((n) => this.#loaded(n));
  }

  #loaded(rows: number): number {
    if (rows === 0) throw new MnemeError("internal", "info(): missing row");
    this.#inputRows = rows;
    const count = this.grid.count;
    for (let r = 0; r < rows; r++) {
      const faults = this.#faults.get(this.#inputBase + r);
      if (faults === undefined) continue;
      for (const [k, text] of faults) {
        if (this.#tile!.has[r * count + k] === 1) throw new MnemeError("execution", text);
      }
    }
    return rows;
  }

  #emit(tile: Tile, row: number, out: InfoRow): void {
    tile.copyRow(row, this.#tile!, out.input - this.#inputBase);
    if (out.mask === null) return;
    const count = this.grid.count;
    const at = row * count;
    for (let k = 0; k < count; k++) tile.has[at + k]! &= out.mask[k]!;
    if (tile.kind[row] !== ROW_HISTOGRAM) tile.kind[row] = ROW_SPARSE;
  }

  close(): void {
    this.#child.close();
  }
}

function identity(labels: Labels): string {
  let key = "";
  for (const name of IDENTIFYING) {
    const value = labelValue(labels, name);
    key += `${value.length}:${value}`;
  }
  return key;
}

function quoteRegexp(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}
