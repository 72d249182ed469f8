import assert from "node:assert/strict";
import { type Labels, labelsFromSorted } from "../model/mod.ts";
import { isWellFormed, wellFormedSeries } from "./series_check.ts";

const raw = (...flat: string[]): Labels => labelsFromSorted(flat);

Deno.test("isWellFormed() wants names ascending by bytes and values that are not empty", () => {
  for (const good of [[], ["a", "1"], ["a", "1", "b", "2"], ["B", "1", "a", "2"]]) {
    assert.ok(isWellFormed(raw(...good)), good.join());
  }
  // U+FF5E is three bytes and below the four of U+1F600, though its UTF-16 unit is above.
  assert.ok(isWellFormed(raw("\uff5e", "1", "\u{1f600}", "2")));
  assert.ok(!isWellFormed(raw("\u{1f600}", "1", "\uff5e", "2")));
  for (const bad of [["b", "1", "a", "2"], ["a", "1", "a", "2"], ["a", ""]]) {
    assert.ok(!isWellFormed(raw(...bad)), bad.join());
  }
});

Deno.test("wellFormedSeries() puts labels in order, drops empty ones, refuses doubled ones", () => {
  const good = { labels: raw("a", "1"), chunks: [] };
  const list = [good];
  let repaired = 0;
  const note = () => repaired++;
  assert.equal(wellFormedSeries(list, note), list);
  const fixed = wellFormedSeries(
    [good, { labels: raw("b", "2", "c", "", "a", "1"), chunks: [] }],
    note,
  );
  assert.deepEqual(fixed.map((s) => [...s.labels]), [["a", "1"], ["a", "1", "b", "2"]]);
  assert.equal(repaired, 1);
  assert.throws(
    () => wellFormedSeries([{ labels: raw("a", "1", "a", "2"), chunks: [] }], note),
    /label a twice/,
  );
});
