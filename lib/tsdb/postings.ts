/**
 * Postings: sorted series references as Uint32Array, set operations on them, and the plan that
 * turns matchers into the lists to fetch.
 *
 * Two steps, so that a local block (which reads lists on the spot) and a store gateway (which first
 * fetches byte ranges) share them: planPostings() names the lists, resolvePostings() combines them.
 */
import { compareUtf8 } from "../base/mod.ts";
import type { Matcher } from "../model/mod.ts";
import type { PostingsRange, ValueVisitor } from "./index_tables.ts";

const NONE = new Uint32Array(0);
/** A list this many times longer than the other is searched, not walked. */
const SEARCH_RATIO = 16;

/** First index >= `from` whose element is >= `wanted`, found by doubling steps. */
function seek(list: Uint32Array, from: number, wanted: number): number {
  let step = 1;
  let low = from;
  let high = from;
  while (high < list.length && list[high]! < wanted) {
    low = high + 1;
    high += step;
    step *= 2;
  }
  if (high > list.length) high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** References in both lists. Owner: owned, or one of the inputs when it is the result. */
export function intersect(a: Uint32Array, b: Uint32Array): Uint32Array {
  if (a.length > b.length) return intersect(b, a);
  if (a.length === 0) return NONE;
  const out = new Uint32Array(a.length);
  let n = 0;
  let j = 0;
  if (b.length > a.length * SEARCH_RATIO) {
    for (let i = 0; i < a.length; i++) {
      j = seek(b, j, a[i]!);
      if (j === b.length) break;
      if (b[j] === a[i]) out[n++] = a[i]!;
    }
  } else {
    for (let i = 0; i < a.length; i++) {
      const x = a[i]!;
      while (j < b.length && b[j]! < x) j++;
      if (j === b.length) break;
      if (b[j] === x) out[n++] = x;
    }
  }
  return n === a.length ? a : out.subarray(0, n);
}

/** References in `a` that are not in `b`. Owner: owned, or `a` itself when nothing was removed. */
export function subtract(a: Uint32Array, b: Uint32Array): Uint32Array {
  if (a.length === 0 || b.length === 0) return a;
  const out = new Uint32Array(a.length);
  const search = b.length > a.length * SEARCH_RATIO;
  let n = 0;
  let j = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i]!;
    if (search) j = seek(b, j, x);
    else while (j < b.length && b[j]! < x) j++;
    if (j === b.length || b[j] !== x) out[n++] = x;
  }
  return n === a.length ? a : out.subarray(0, n);
}

/** References in any list. Owner: owned, or an input when there is only one that is not empty. */
export function union(lists: readonly Uint32Array[]): Uint32Array {
  const full = lists.filter((list) => list.length > 0);
  if (full.length === 0) return NONE;
  if (full.length === 1) return full[0]!;
  if (full.length === 2) return unionOfTwo(full[0]!, full[1]!);
  let total = 0;
  let low = Infinity;
  let high = 0;
  for (const list of full) {
    total += list.length;
    low = Math.min(low, list[0]!);
    high = Math.max(high, list[list.length - 1]!);
  }
  // A bit set takes one pass over all; it pays unless the references are few and far between.
  const words = ((high - low) >>> 5) + 1;
  if (words <= total * 4) return unionByBits(full, total, low, words);
  const merged = new Uint32Array(total);
  let at = 0;
  for (const list of full) {
    merged.set(list, at);
    at += list.length;
  }
  merged.sort();
  let n = 1;
  for (let i = 1; i < total; i++) if (merged[i] !== merged[n - 1]) merged[n++] = merged[i]!;
  return merged.subarray(0, n);
}

function unionOfTwo(a: Uint32Array, b: Uint32Array): Uint32Array {
  const out = new Uint32Array(a.length + b.length);
  let n = 0;
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const x = a[i]!;
    const y = b[j]!;
    out[n++] = x <= y ? x : y;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  for (; i < a.length; i++) out[n++] = a[i]!;
  for (; j < b.length; j++) out[n++] = b[j]!;
  return out.subarray(0, n);
}

function unionByBits(
  lists: readonly Uint32Array[],
  total: number,
  low: number,
  words: number,
): Uint32Array {
  const bits = new Int32Array(words);
  for (const list of lists) {
    for (let i = 0; i < list.length; i++) {
      const x = list[i]! - low;
      bits[x >>> 5]! |= 1 << (x & 31);
    }
  }
  const out = new Uint32Array(total);
  let n = 0;
  for (let w = 0; w < words; w++) {
    for (let word = bits[w]!; word !== 0; word &= word - 1) {
      out[n++] = low + w * 32 + (31 - Math.clz32(word & -word));
    }
  }
  return out.subarray(0, n);
}

/** What a plan needs to know of an index; IndexTables has it. */
export interface PostingsTables {
  visitValues(name: string, prefix: string, visit: ValueVisitor): void;
  postings(name: string, value: string): PostingsRange | undefined;
  allPostings(): PostingsRange | undefined;
  /** Number of values of a label; absent = not known without a walk. */
  valueCount?(name: string): number;
}

/** One list to fetch, at [offset, end) of the index. */
export interface PostingsList extends PostingsRange {
  readonly name: string;
  readonly value: string;
}

/** The lists of one label name; a series has at most one of them. */
export interface PostingsGroup {
  readonly name: string;
  /** The matchers that the group stands for: all of them on this name. */
  readonly matchers: readonly Matcher[];
  readonly lists: readonly PostingsList[];
  /** Most series the lists can hold together, from their sizes. */
  readonly cardinality: number;
}

/** Which lists answer some matchers. */
export interface PostingsPlan {
  /** Nothing can match; no list is needed. */
  readonly empty: boolean;
  /** The result is the intersection of these groups' unions … */
  readonly adds: readonly PostingsGroup[];
  /** … without the series of these. */
  readonly removes: readonly PostingsGroup[];
  /** The list of all series; only when no group adds. */
  readonly all: PostingsList | undefined;
  /** Matchers that were left out of the plan, to be applied to labels instead. */
  readonly deferred: readonly Matcher[];
}

const EMPTY_PLAN: PostingsPlan = {
  empty: true,
  adds: [],
  removes: [],
  all: undefined,
  deferred: [],
};

/** What decoding one series costs, in the bytes of postings that cost as much. */
const SERIES_COST = 64;
/** What looking a list up, fetching and decoding it costs on top of its references, in bytes. */
const LIST_COST = 512;
/** So many lists of a label are always fetched, unless their size speaks against it. */
const FEW_LISTS = 64;
/** What walking past one value of a label costs, in bytes. */
const WALK_COST = 64;

/** How to plan. */
export interface PlanOptions {
  /**
   * Leave out labels whose values are so many that walking them costs more than trying the matchers
   * on the series that the others leave.
   */
  readonly deferWalks?: boolean;
}

/** The matchers of one label. */
interface NameGroup {
  readonly name: string;
  readonly matchers: readonly Matcher[];
  /** Series without the label satisfy them. */
  readonly missing: boolean;
  /** The values of the label must be walked. */
  readonly walks: boolean;
}

/**
 * Plans the lists for matchers that all must hold. No matchers select nothing.
 *
 * Matchers of one label are answered together: if "" satisfies them all, the series with a value
 * that does not are removed; else the series with a value that does are added.
 */
export function planPostings(
  tables: PostingsTables,
  matchers: readonly Matcher[],
  options: PlanOptions = {},
): PostingsPlan {
  if (matchers.length === 0) return EMPTY_PLAN;
  const byName = new Map<string, Matcher[]>();
  for (const m of matchers) {
    const list = byName.get(m.name);
    if (list === undefined) byName.set(m.name, [m]);
    else list.push(m);
  }
  const groups: NameGroup[] = [];
  for (const name of [...byName.keys()].sort(compareUtf8)) {
    const group = byName.get(name)!.filter((m) => !(m.type === "=~" && m.value === ".*"));
    if (group.some((m) => m.type === "!~" && m.value === ".*")) return EMPTY_PLAN;
    if (group.length === 0) continue;
    const missing = group.every((m) => m.matches(""));
    groups.push({ name, matchers: group, missing, walks: walksValues(group, missing) });
  }
  const adds: PostingsGroup[] = [];
  const removes: PostingsGroup[] = [];
  const deferred: Matcher[] = [];
  // What is looked up comes first: it tells how many series are left at most.
  for (const group of [...groups.filter((g) => !g.walks), ...groups.filter((g) => g.walks)]) {
    const { name, matchers: on, missing, walks } = group;
    if (walks && options.deferWalks === true && adds.length > 0 && name !== "") {
      const fewest = Math.min(...adds.map((g) => g.cardinality));
      const values = tables.valueCount?.(name) ?? 0;
      // Where every value will do, every list would have to be fetched.
      const each = on.every(wantsAnyValue) ? LIST_COST : WALK_COST;
      if (values * each > fewest * SERIES_COST) {
        // Without any value, nothing can match what wants one.
        if (values === 0 && !missing) return EMPTY_PLAN;
        deferred.push(...on);
        continue;
      }
    }
    // No series has a label without a name; the pair ("", "") is the list of all series.
    const lists = name === ""
      ? []
      : missing
      ? listsThatFail(tables, name, on)
      : listsThatMatch(tables, name, on);
    if (missing && lists.length === 0) continue;
    if (lists.length === 0) return EMPTY_PLAN;
    let cardinality = 0;
    for (const list of lists) cardinality += Math.max(0, (list.end - list.offset - 12) / 4);
    (missing ? removes : adds).push({ name, matchers: on, lists, cardinality });
  }
  adds.sort((a, b) => compareUtf8(a.name, b.name));
  removes.sort((a, b) => compareUtf8(a.name, b.name));
  if (adds.length > 0) return { empty: false, adds, removes, all: undefined, deferred };
  const range = tables.allPostings();
  if (range === undefined) return EMPTY_PLAN;
  return { empty: false, adds, removes, all: { name: "", value: "", ...range }, deferred };
}

/** `!=""` and its other spellings. */
function wantsAnyValue(m: Matcher): boolean {
  return m.type === "!=" ? m.value === "" : m.type === "=~" && m.value === ".+";
}

/** Whether all values of a label must be looked at to answer its matchers. */
function walksValues(matchers: readonly Matcher[], missing: boolean): boolean {
  if (missing) {
    return !matchers.every((m) =>
      m.type === "!=" || (m.type === "!~" && m.pattern!.literals !== undefined)
    );
  }
  return !matchers.some((m) =>
    m.type === "=" || (m.type === "=~" && m.pattern!.literals !== undefined)
  );
}

function listsThatMatch(
  tables: PostingsTables,
  name: string,
  matchers: readonly Matcher[],
): PostingsList[] {
  let candidates: readonly string[] | undefined;
  let prefix = "";
  for (const m of matchers) {
    if (m.type === "=") candidates = [m.value];
    if (m.type !== "=~") continue;
    candidates ??= m.pattern!.literals;
    if (m.pattern!.prefix.length > prefix.length) prefix = m.pattern!.prefix;
  }
  return candidates === undefined
    ? scan(tables, name, prefix, (value) => value !== "" && matchers.every((m) => m.matches(value)))
    : pick(tables, name, candidates, (value) => matchers.every((m) => m.matches(value)));
}

function listsThatFail(
  tables: PostingsTables,
  name: string,
  matchers: readonly Matcher[],
): PostingsList[] {
  const values: string[] = [];
  for (const m of matchers) {
    const excluded = m.type === "!="
      ? [m.value]
      : m.type === "!~"
      ? m.pattern!.literals
      : undefined;
    if (excluded === undefined) {
      return scan(tables, name, "", (value) => !matchers.every((m) => m.matches(value)));
    }
    values.push(...excluded);
  }
  return pick(tables, name, values, () => true);
}

function scan(
  tables: PostingsTables,
  name: string,
  prefix: string,
  wanted: (value: string) => boolean,
): PostingsList[] {
  const lists: PostingsList[] = [];
  tables.visitValues(name, prefix, (value, offset, end) => {
    if (wanted(value)) lists.push({ name, value, offset, end });
  });
  return lists;
}

function pick(
  tables: PostingsTables,
  name: string,
  values: readonly string[],
  wanted: (value: string) => boolean,
): PostingsList[] {
  const lists: PostingsList[] = [];
  for (const value of [...new Set(values)].sort(compareUtf8)) {
    if (value === "" || !wanted(value)) continue;
    const range = tables.postings(name, value);
    if (range !== undefined) lists.push({ name, value, ...range });
  }
  return lists;
}

/** All lists of a plan, each once. */
export function listsOfPlan(plan: PostingsPlan): PostingsList[] {
  const lists: PostingsList[] = plan.all === undefined ? [] : [plan.all];
  for (const group of plan.adds) lists.push(...group.lists);
  for (const group of plan.removes) lists.push(...group.lists);
  return lists;
}

/** Combines the lists of a plan; `fetched` gives the decoded list of each that the plan names. */
export function resolvePostings(
  plan: PostingsPlan,
  fetched: (list: PostingsList) => Uint32Array,
): Uint32Array {
  if (plan.empty) return NONE;
  let result: Uint32Array | undefined;
  const unions = plan.adds.map((group) => union(group.lists.map(fetched)));
  unions.sort((a, b) => a.length - b.length);
  for (const refs of unions) result = result === undefined ? refs : intersect(result, refs);
  result ??= plan.all === undefined ? NONE : fetched(plan.all);
  for (const group of plan.removes) {
    if (result.length === 0) break;
    result = subtract(result, union(group.lists.map(fetched)));
  }
  return result;
}

/** Plans and resolves at once, where lists can be read on the spot. */
export function selectPostings(
  tables: PostingsTables,
  matchers: readonly Matcher[],
  fetch: (list: PostingsList) => Uint32Array,
): Uint32Array {
  return resolvePostings(planPostings(tables, matchers), fetch);
}

/** What to leave out of a plan. */
export interface DeferOptions {
  /** Also groups that are expensive by the size of their lists, not only by their number. */
  readonly bySize: boolean;
  /** With `bySize`: groups with more lists than this many for each series expected; 0 = off. */
  readonly maxKeysPerSeries?: number;
}

/** A plan without its expensive groups, and the matchers to apply to labels instead. */
export interface DeferredPlan {
  readonly plan: PostingsPlan;
  readonly deferred: readonly Matcher[];
  /** Groups left out because of their number of lists, and because of the lists' size. */
  readonly byKeys: number;
  readonly bySize: number;
  /** Bytes of postings that need not be fetched. */
  readonly savedBytes: number;
}

/**
 * Takes out groups whose lists cost more than trying their matchers on the series that the other
 * groups leave, such as `pod!=""` beside a selective matcher.
 */
export function deferGroups(plan: PostingsPlan, options: DeferOptions): DeferredPlan {
  const deferred: Matcher[] = [...plan.deferred];
  let byKeys = plan.deferred.length > 0 ? 1 : 0;
  let bySize = 0;
  let savedBytes = 0;
  if (plan.adds.length === 0) return { plan, deferred, byKeys, bySize, savedBytes };
  const cost = (g: PostingsGroup) => g.cardinality * 4 + g.lists.length * LIST_COST;
  const adds = plan.adds.toSorted((a, b) => cost(a) - cost(b));
  const fewest = adds[0]!.cardinality;
  const allowed = fewest * SERIES_COST;
  const { maxKeysPerSeries = 0 } = options;
  const keep = (group: PostingsGroup, i: number) => {
    const keys = group.lists.length;
    const tooMany = (keys > FEW_LISTS && keys * LIST_COST > allowed) ||
      (options.bySize && maxKeysPerSeries > 0 && keys > fewest * maxKeysPerSeries);
    if (i === 0 || (!tooMany && !(options.bySize && cost(group) > allowed))) return true;
    deferred.push(...group.matchers);
    savedBytes += group.cardinality * 4;
    if (tooMany) byKeys++;
    else bySize++;
    return false;
  };
  const kept = adds.filter(keep);
  const removes = plan.removes.filter((group) => keep(group, 1));
  return { plan: { ...plan, adds: kept, removes, deferred }, deferred, byKeys, bySize, savedBytes };
}
