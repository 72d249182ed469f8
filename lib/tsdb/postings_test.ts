import assert from "node:assert/strict";
import { compareUtf8 } from "../base/mod.ts";
import { runBench } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { subsets } from "../base/testing/exhaustive.ts";
import {
  labelsFromRecord,
  labelValue,
  makeMatcher,
  type Matcher,
  matchesLabels,
  type MatchType,
} from "../model/mod.ts";
import {
  deferGroups,
  intersect,
  listsOfPlan,
  planPostings,
  type PostingsTables,
  resolvePostings,
  selectPostings,
  subtract,
  union,
} from "./mod.ts";
import { bench } from "./tsdb_bench.ts";

function randomList(random: Random, size: number, range: number): Uint32Array {
  const set = new Set<number>();
  for (let i = 0; i < size; i++) set.add(random.below(range));
  return Uint32Array.from(set).sort();
}

Deno.test("set operations agree with sets", () => {
  const random = new Random(3);
  for (let round = 0; round < 300; round++) {
    const range = random.pick([5, 100, 5000, 4294967295]);
    const lists = Array.from(
      { length: 1 + random.below(5) },
      () => randomList(random, random.pick([0, 1, 3, 40, 900]), range),
    );
    const [a, b] = [lists[0]!, lists[lists.length - 1]!];
    const before = lists.map((l) => l.slice());
    const inB = new Set(b);
    assert.deepEqual([...intersect(a, b)], [...a].filter((x) => inB.has(x)));
    assert.deepEqual([...subtract(a, b)], [...a].filter((x) => !inB.has(x)));
    assert.deepEqual(
      [...union(lists)],
      [...new Set(lists.flatMap((l) => [...l]))].sort((x, y) => x - y),
    );
    assert.deepEqual(lists, before, "inputs are only read");
  }
});

/** Series of all small label sets; the reference of series i is i + 1. */
const SERIES = [...subsets(["a", "b"])].flatMap((names) => {
  let sets: Record<string, string>[] = [{}];
  for (const name of names) {
    sets = sets.flatMap((s) => ["x", "xy", "y", "é"].map((value) => ({ ...s, [name]: value })));
  }
  return sets.map((s) => labelsFromRecord({ __name__: "m", ...s }));
});

class PlainTables implements PostingsTables {
  readonly lists = new Map<string, Uint32Array>();
  lookups = 0;
  constructor() {
    const refs = new Map<string, number[]>([["\0", SERIES.map((_, i) => i + 1)]]);
    SERIES.forEach((labels, s) => {
      for (let i = 0; i < labels.length; i += 2) {
        const key = `${labels[i]}\0${labels[i + 1]}`;
        refs.set(key, [...refs.get(key) ?? [], s + 1]);
      }
    });
    for (const [key, list] of refs) this.lists.set(key, Uint32Array.from(list));
  }
  postings(name: string, value: string) {
    this.lookups++;
    const list = this.lists.get(`${name}\0${value}`);
    return list === undefined ? undefined : { offset: 4, end: 16 + list.length * 4 };
  }
  allPostings() {
    return this.postings("", "");
  }
  visitValues(
    name: string,
    prefix: string,
    visit: (value: string, offset: number, end: number) => void,
  ) {
    const values = [...this.lists.keys()].filter((k) => k.startsWith(name + "\0" + prefix));
    for (const key of values.sort(compareUtf8)) {
      const value = key.slice(name.length + 1);
      const range = this.postings(name, value)!;
      visit(value, range.offset, range.end);
    }
  }
  fetch = ({ name, value }: { name: string; value: string }) =>
    this.lists.get(`${name}\0${value}`)!;
}

function everyMatcher(): Matcher[] {
  const out: Matcher[] = [];
  const texts = ["", "x", "z"];
  const patterns = ["", ".*", ".+", "x", "x|y", "x|", "x.*", "z|q", "[xy]+", "é", ".*y", "(x|)y?"];
  for (const name of ["a", "b", "none"]) {
    for (const type of ["=", "!="] as MatchType[]) {
      for (const value of texts) out.push(makeMatcher(type, name, value));
    }
    for (const type of ["=~", "!~"] as MatchType[]) {
      for (const value of patterns) out.push(makeMatcher(type, name, value));
    }
  }
  return out;
}

Deno.test("every pair of matchers selects the series for which both hold", () => {
  const tables = new PlainTables();
  const all = everyMatcher();
  for (const first of all) {
    for (const second of [undefined, ...all]) {
      const matchers = second === undefined ? [first] : [first, second];
      const expected = SERIES.flatMap((labels, i) =>
        matchers.every((m) => m.matches(labelValue(labels, m.name))) ? [i + 1] : []
      );
      const text = matchers.map((m) => m.name + m.type + m.value).join();
      assert.deepEqual([...selectPostings(tables, matchers, tables.fetch)], expected, text);
      const { plan, deferred } = deferGroups(planPostings(tables, matchers), { bySize: true });
      const refs = resolvePostings(plan, tables.fetch);
      assert.deepEqual(
        [...refs].filter((ref) => matchesLabels(deferred, SERIES[ref - 1]!)),
        expected,
        `deferred ${text}`,
      );
    }
  }
});

Deno.test("three matchers of one label are answered together", () => {
  const tables = new PlainTables();
  const matchers = [
    makeMatcher("=~", "a", "x.*"),
    makeMatcher("!=", "a", "xy"),
    makeMatcher("!=", "a", ""),
  ];
  const plan = planPostings(tables, matchers);
  assert.deepEqual(listsOfPlan(plan).map((l) => l.value), ["x"]);
});

Deno.test("no matchers, and an empty label name, select nothing or everything as their value says", () => {
  const tables = new PlainTables();
  const select = (...m: Matcher[]) => selectPostings(tables, m, tables.fetch).length;
  assert.equal(select(), 0);
  assert.equal(select(makeMatcher("=", "", "x")), 0);
  assert.equal(select(makeMatcher("=", "", "")), SERIES.length);
  assert.equal(select(makeMatcher("=~", "a", ".*")), SERIES.length);
  assert.equal(select(makeMatcher("!~", "a", ".*")), 0);
});

Deno.test("literal matchers look their values up instead of walking the table", () => {
  const tables = new PlainTables();
  tables.visitValues = () => assert.fail("walked the table");
  for (
    const m of [
      makeMatcher("=", "a", "x"),
      makeMatcher("=~", "a", "x|y|nope"),
      makeMatcher("!=", "a", "x"),
      makeMatcher("!~", "a", "x|y"),
    ]
  ) planPostings(tables, [m]);
  assert(tables.lookups < 20);
});

Deno.test("deferGroups() puts off a label with very many values beside a selective matcher", () => {
  const values = Array.from({ length: 20_000 }, (_, i) => String(i).padStart(6, "0"));
  const tables: PostingsTables = {
    postings: (_name, value) => ({ offset: 0, end: value === "few" ? 12 + 4 * 10 : 16 }),
    allPostings: () => ({ offset: 0, end: 16 }),
    visitValues(_name, _prefix, visit) {
      for (const value of values) visit(value, 0, 16);
    },
  };
  const matchers = [makeMatcher("=", "__name__", "few"), makeMatcher("!=", "pod", "")];
  for (const bySize of [false, true]) {
    const { plan, deferred } = deferGroups(planPostings(tables, matchers), { bySize });
    assert.deepEqual(listsOfPlan(plan).map((l) => l.name), ["__name__"]);
    assert.deepEqual(deferred, [matchers[1]]);
    const alone = deferGroups(planPostings(tables, [matchers[1]!]), { bySize });
    assert.equal(listsOfPlan(alone.plan).length, values.length);
  }
  // Where their number is known, the values are not even walked.
  tables.valueCount = () => values.length;
  tables.visitValues = () => assert.fail("walked the table");
  const planned = planPostings(tables, matchers, { deferWalks: true });
  assert.deepEqual(planned.deferred, [matchers[1]]);
  assert.equal(deferGroups(planned, { bySize: false }).byKeys, 1);
  // A label without values leaves nothing that wants one.
  tables.valueCount = () => 0;
  tables.visitValues = () => {};
  assert.equal(planPostings(tables, matchers, { deferWalks: true }).empty, true);
});

Deno.test("deferGroups() puts off large lists when asked to", () => {
  const tables: PostingsTables = {
    postings: (_name, value) => ({ offset: 0, end: 12 + 4 * (value === "few" ? 10 : 100_000) }),
    allPostings: () => ({ offset: 0, end: 16 }),
    visitValues: (_name, _prefix, visit) => {
      for (let i = 0; i < 80; i++) visit(`v${i}`, 0, 16);
    },
  };
  const matchers = [makeMatcher("=", "a", "few"), makeMatcher("=", "b", "many")];
  const always = deferGroups(planPostings(tables, matchers), { bySize: false });
  assert.deepEqual(always.deferred, []);
  const bySize = deferGroups(planPostings(tables, matchers), { bySize: true });
  assert.deepEqual(bySize.deferred, [matchers[1]]);
  assert.deepEqual([bySize.byKeys, bySize.bySize, bySize.savedBytes], [0, 1, 400_000]);
  const keys = [makeMatcher("=", "a", "few"), makeMatcher("=~", "c", "v.+")];
  const some = planPostings(tables, keys);
  assert.deepEqual(deferGroups(some, { bySize: false }).byKeys, 1);
  assert.deepEqual(deferGroups(some, { bySize: true, maxKeysPerSeries: 2 }).byKeys, 1);
});

Deno.test("the benchmark runs at its small size", async () => {
  assert.equal((await runBench(bench, { size: "small" })).length, 10);
});
