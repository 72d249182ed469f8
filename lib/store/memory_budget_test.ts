import { strict as assert } from "node:assert";
import { errorKind } from "../base/mod.ts";
import { budgetOfProcess, MemoryBudget } from "./memory_budget.ts";

const MIB = 1024 * 1024;
const live = new AbortController().signal;

Deno.test("MemoryBudget refuses what goes beyond it, in one sentence that says what to narrow", async () => {
  const budget = new MemoryBudget(100 * MIB, "--store.memory-budget");
  const first = await budget.admit(live);
  first.take(39.5 * MIB);
  const second = await budget.admit(live);
  second.take(29.5 * MIB);
  // One request takes no more than half of it …
  assert.throws(() => first.take(11 * MIB), (error: Error) => {
    assert.equal(errorKind(error), "limit");
    assert.equal(
      error.message,
      "the request needs 51 MiB and more of memory beside another running request, beyond what " +
        "--store.memory-budget leaves for it: narrow its time range or its label matchers, " +
        "or raise the setting",
    );
    return true;
  });
  // … and all together no more than all of it.
  second.take(20 * MIB);
  const third = budget.admit(live);
  assert.equal(budget.held, 90 * MIB);
  first.close();
  (await third).take(44.5 * MIB);
  assert.throws(() => second.take(6 * MIB), /narrow/);
  second.close();
  second.close();
  (await third).close();
  assert.equal(budget.held, 0);
  // A block may be read on for a moment after its request ended.
  second.take(1);
  second.give(1);
  assert.equal(budget.held, 0);
});

Deno.test("MemoryBudget lets requests wait while little is left, until they are canceled", async () => {
  const budget = new MemoryBudget(100, "--x");
  const accounts = [await budget.admit(live), await budget.admit(live)];
  for (const account of accounts) account.take(40);
  const abort = new AbortController();
  const canceled = budget.admit(abort.signal);
  let admitted = false;
  const waiting = budget.admit(live).then((account) => {
    admitted = true;
    return account;
  });
  abort.abort();
  await assert.rejects(canceled);
  assert.equal(admitted, false);
  accounts[0]!.close();
  await waiting;
});

Deno.test("budgetOfProcess() leaves room for caches and says how much is needed", () => {
  const options = { cache: 250 * MIB, used: () => 100 * MIB, setting: "--store.memory-budget" };
  assert.equal(budgetOfProcess({ ...options, total: 1024 * MIB }).limit, 109.2 * MIB);
  assert.throws(
    () => budgetOfProcess({ ...options, total: 300 * MIB }),
    /^MnemeError: --store.memory-budget of 300MiB is too small: 558MiB or more are needed, of them 250MiB for the index cache$/,
  );
});
