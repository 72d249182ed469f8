import assert from "node:assert/strict";
import { QueryJournalFile } from "./query_journal.ts";

Deno.test("QueryJournalFile tells what ran when the process ended", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const first = QueryJournalFile.open(`${folder}/a/b`);
    assert.deepEqual(first.unfinished, []);
    const ends = ["up", 'rate(x{a="é"}[5m])', "y".repeat(5000)].map((q, i) =>
      first.begin(q, 1000 * i)
    );
    ends[0]!();
    ends[0]!();
    // A freed slot is used again.
    first.begin("\u0000\ud800", 9000);
    first.close();
    const second = QueryJournalFile.open(`${folder}/a/b`);
    const [a, b, c] = second.unfinished;
    assert.equal(second.unfinished.length, 3);
    assert.deepEqual(a, { query: "\u0000\ufffd", startedAt: 9 });
    assert.deepEqual(b, { query: 'rate(x{a="é"}[5m])', startedAt: 1 });
    assert.ok(c!.query.startsWith("yyy") && c!.query.endsWith("…") && c!.query.length > 700);
    second.close();
    await Deno.writeTextFile(
      `${folder}/a/b/queries.active`,
      '[garbage\0{"query":"q","timestamp_sec":1},',
    );
    const third = QueryJournalFile.open(`${folder}/a/b`);
    assert.deepEqual(third.unfinished, [{ query: "q", startedAt: 1 }]);
    third.close();
    const text = await Deno.readTextFile(`${folder}/a/b/queries.active`);
    assert.equal(text, "[");
    await Deno.writeTextFile(`${folder}/file`, "");
    assert.throws(
      () => QueryJournalFile.open(`${folder}/file`),
      /--query.active-query-path: cannot open/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
