import assert from "node:assert/strict";
import {
  MAX_PANELS,
  NEW_PANEL,
  type PanelOptions,
  readPermalink,
  writePermalink,
} from "./permalink.ts";

const FULL: PanelOptions = {
  expr: 'sum by (job) (rate(x{a="b&c=d#?"}[5m])) > 1',
  tab: "graph",
  display: "stacked",
  range: 86_400_000 * 7,
  end: Date.UTC(2026, 8, 12, 8, 30, 15),
  step: 60,
  density: "medium",
  resolution: "5m",
  dedup: false,
  partialResponse: true,
  stores: ["127.0.0.1:10901", 'odd"name'],
  engine: "thanos",
  tenant: "team-a",
  exemplars: true,
  fromZero: true,
};

Deno.test("a link gives back the panels it was made of", () => {
  const panels: PanelOptions[] = [
    FULL,
    NEW_PANEL,
    { ...NEW_PANEL, expr: "up", tab: "explain", display: "heatmap", density: "high" },
    { ...FULL, partialResponse: false, resolution: "0s", end: undefined, step: undefined },
  ];
  assert.deepEqual(readPermalink(`?${writePermalink(panels)}`), panels);
});

Deno.test("readPermalink() reads links of Thanos", () => {
  const link = "?g0.expr=up%7Bjob%3D%22x%22%7D&g0.tab=0&g0.stacked=1&g0.range_input=2d" +
    "&g0.max_source_resolution=1h&g0.deduplicate=0&g0.partial_response=1" +
    "&g0.store_matches=%5B%7B%22name%22%3A%22a%3A1%22%7D%5D&g0.engine=prometheus&g0.analyze=0" +
    "&g0.tenant=&g0.end_input=2026-09-12%2008%3A30%3A15&g0.moment_input=2026-09-12%2008%3A30%3A15" +
    "&g0.step_input=30&g1.expr=vector(1)&g1.tab=1";
  const [first, second] = readPermalink(link);
  assert.deepEqual(first, {
    ...NEW_PANEL,
    expr: 'up{job="x"}',
    tab: "graph",
    display: "stacked",
    range: 2 * 86_400_000,
    end: FULL.end,
    step: 30,
    resolution: "1h",
    dedup: false,
    partialResponse: true,
    stores: ["a:1"],
    engine: "prometheus",
  });
  assert.deepEqual(second, { ...NEW_PANEL, expr: "vector(1)" });
});

Deno.test("readPermalink() reads links of Prometheus", () => {
  const link = "?g0.expr=up&g0.show_tree=0&g0.tab=graph&g0.display_mode=heatmap&g0.y_axis_min=0" +
    "&g0.show_exemplars=1&g0.range_input=30m&g0.res_type=auto&g0.res_density=low&g0.step_input=9" +
    "&g1.expr=down&g1.tab=explain&g1.res_type=custom&g1.res_step=15&g2.expr=x&g2.res_type=fixed&g2.res_step=300";
  assert.deepEqual(readPermalink(link), [
    {
      ...NEW_PANEL,
      expr: "up",
      tab: "graph",
      display: "heatmap",
      range: 1_800_000,
      density: "low",
      exemplars: true,
      fromZero: true,
    },
    { ...NEW_PANEL, expr: "down", tab: "explain", step: 15 },
    { ...NEW_PANEL, expr: "x", step: 300 },
  ]);
});

Deno.test("writePermalink() writes both dialects, and a fixed end when asked", () => {
  const fields = new URLSearchParams(
    writePermalink([{ ...NEW_PANEL, expr: "up", tab: "graph" }], FULL.end),
  );
  for (
    const [name, value] of Object.entries({
      "g0.expr": "up",
      "g0.tab": "0",
      "g0.stacked": "0",
      "g0.display_mode": "lines",
      "g0.range_input": "1h",
      "g0.end_input": "2026-09-12 08:30:15",
      "g0.moment_input": "2026-09-12 08:30:15",
      "g0.res_type": "auto",
      "g0.res_density": "medium",
      "g0.max_source_resolution": "auto",
      "g0.deduplicate": "1",
      "g0.store_matches": "[]",
    })
  ) assert.equal(fields.get(name), value, name);
  // Thanos starts a panel at its expression, so that must come first.
  assert.equal([...fields.keys()][0], "g0.expr");
});

Deno.test("readPermalink() takes nothing it should not from a hostile link", () => {
  const rows: readonly (readonly [string, PanelOptions[]])[] = [
    ["", []],
    ["?g0.tab=0", []],
    ["?g0.expr=a&g0.range_input=-5&g0.tab=9&g0.engine=evil&g0.max_source_resolution=zzz", [
      { ...NEW_PANEL, expr: "a" },
    ]],
    ["?g0.expr=a&g0.store_matches=%7B%7D&g0.step_input=-1&g0.end_input=never", [
      { ...NEW_PANEL, expr: "a" },
    ]],
    ['?g0.expr=a&g0.store_matches=[null,1,{"name":7}]&g0.step_input=Infinity', [
      { ...NEW_PANEL, expr: "a" },
    ]],
    ["?__proto__.expr=x&g.expr=y&gx.expr=z&g99999.expr=far", []],
  ];
  for (const [link, expected] of rows) assert.deepEqual(readPermalink(link), expected, link);
  const many = Array.from({ length: 500 }, (_, i) => `g${i}.expr=up`).join("&");
  assert.equal(readPermalink(`?${many}`).length, MAX_PANELS);
});
