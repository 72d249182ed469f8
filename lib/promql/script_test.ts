import assert from "node:assert/strict";
import { runScript } from "./script.ts";

async function failures(script: string): Promise<[number, string][]> {
  const { failures } = await runScript(script, "f.test");
  return failures.map((f) => [f.line, f.message]);
}

Deno.test("runScript() counts evaluations and names the line of each failure", async () => {
  const result = await runScript(
    `load 1m
  load 1 2 3
  eval 5
eval instant at 1m load
  load 2

# A comment ends a block.
eval instant at 1m vector(1)
  {} 2

bogus 1

eval range from 0 to 2m step 1m load
  load 1 2 4
`,
    "f.test",
  );
  assert.equal(result.passed, 1);
  assert.deepEqual(result.failures, [
    { file: "f.test", line: 8, message: "{}: expected 2, got 1" },
    { file: "f.test", line: 11, message: 'invalid command "bogus 1"' },
    {
      file: "f.test",
      line: 13,
      message: '{__name__="load"} at 120000 ms: expected 4, got 3',
    },
  ]);
});

Deno.test("runScript() checks errors and annotations, old forms and new", async () => {
  const list = await failures(`
load 1m
  h {{count:1 buckets:[1]}}
  f 1

eval_fail instant at 0 sum(

eval_fail instant at 0 vector(1)
  {} 1

eval instant at 0 vector(
  expect fail msg: other

eval instant at 0 rate(f[1m])
  expect fail regex: .*

eval_warn instant at 0 vector(1)
  {} 1

eval instant at 0 h + f
  expect no_info

eval instant at 0 h + ignoring(x) f
  expect info regex: incompatible sample types

eval instant at 0 quantile(2, f)
  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)
  {} Inf

eval instant at 0 quantile(2, f)
  expect no_warn
  {} Inf
`);
  assert.deepEqual(list.map(([line]) => line), [8, 11, 14, 17, 20, 30]);
});

Deno.test("runScript() tells every kind of wrong answer", async () => {
  const setup = `load 1m
  a{x="1"} 1 2 stale 4
  a{x="2"} {{count:1 buckets:[1]}}x3
`;
  const rows: [string, RegExp][] = [
    [`eval instant at 0 a\n  a{x="1"} 1`, /unexpected element .*x="2"/],
    [
      `eval instant at 0 a{x="1"}\n  a{x="1"} 1\n  a{x="3"} 1`,
      /\{__name__="a", x="3"\} is missing/,
    ],
    [`eval instant at 0 a{x="1"}\n  a{x="1"} {{count:1}}`, /expected \{count:1, sum:0\}, got 1/],
    [`eval instant at 0 a{x="2"}\n  a{x="2"} 1`, /expected 1, got \{count:1/],
    [`eval instant at 0 a{x="2"}\n  a{x="2"} {{count:2 buckets:[1]}}`, /expected schema 0 /],
    [
      `eval instant at 1m a{x="2"}\n  a{x="2"} {{count:1 buckets:[1] counter_reset_hint:gauge}}`,
      /expected reset hint gauge, got not_reset/,
    ],
    [`eval range from 0 to 3m step 1m a{x="1"}\n  a{x="1"} 1 2 3 4`, /a value is expected/],
    [`eval range from 0 to 1m step 1m a{x="1"}\n  a{x="1"} 1 2 3`, /more than the range has/],
    [`eval range from 0 to 1m step 1m a{x="1"}\n  a{x="1"} 1`, /unexpected value at 60000 ms/],
    [`eval instant at 0 1 + 1\n  3`, /expected 3, got 2/],
    [`eval instant at 0 "a"\n  expect string "b"`, /expected "b", got "a"/],
    [
      `eval instant at 0 sort(a{x="1"} or vector(0))\n  expect ordered\n  a{x="1"} 1\n  {} 0`,
      /stands at place 1/,
    ],
    [
      `eval instant at 3m a{x="1"}[4m]\n  expect range vector from 0 to 3m step 1m\n` +
      `  a{x="1"} 1 2 3 4`,
      /a value is expected/,
    ],
  ];
  for (const [script, want] of rows) {
    const list = await failures(`${setup}\n${script}\n`);
    assert.equal(list.length, 1, script);
    assert.match(list[0]![1], want);
  }
});

Deno.test("runScript() loads start times and native twins of classic histograms", async () => {
  assert.deepEqual(
    await failures(`
load 10s
  c_total@st _ -5s _ 1ms
  c_total _ 1 2 3

eval instant at 10s start_timestamp(c_total)
  {} 5

eval instant at 20s start_timestamp(c_total)
  {} 0

eval instant at 30s start_timestamp(c_total)
  {} 30.001

load_with_nhcb 1m
  b_bucket{le="1"} 1 2
  b_bucket{le="2e0"} 3 5
  b_count 4 6
  b_sum 5 7

eval instant at 1m b
  b {{schema:-53 count:6 sum:7 custom_values:[1 2] buckets:[2 3 1] counter_reset_hint:not_reset}}
`),
    [],
  );
});

Deno.test("runScript() evaluates instant queries at other times, too", async () => {
  // A query that depends on more than its selectors cannot be fixed by \`@\`: left alone.
  assert.deepEqual(
    await failures(`
load 1m
  a 0+1x20

eval instant at 5m a + time()
  {} 305

eval instant at 5m sum_over_time(a[2m:1m] offset 1m)
  {} 7

eval instant at 5m a @ 60 + a
  {} 6
`),
    [],
  );
});
