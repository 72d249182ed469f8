/**
 * The pages in a real browser over real servers: both tutorials clicked through, links of both
 * dialects, hostile labels, the keyboard, accessibility, and a picture of every page.
 */
import assert from "node:assert/strict";
import type { Browser, Locator, Page } from "playwright-core";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { Stage, until } from "../mneme.ts";
import {
  close,
  open,
  PATIENCE,
  picture,
  pictured,
  seriousFindings,
  startBrowser,
  whyNoBrowser,
} from "./browser.ts";
import { HOSTILE, openScene, type Scene } from "./stage.ts";

const METRIC = 'prometheus_tsdb_head_series{job="prometheus"}';
const YEAR_METRIC = "continuous_app_metric0";

Deno.test({
  name: "the pages of querier and store gateway in a browser",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const why = whyNoBrowser() ??
      (isOnPath("prometheus") ? undefined : "prometheus is not on PATH");
    if (why !== undefined) {
      console.log(`skipped: ${why}`);
      return;
    }
    await using stage = await Stage.open();
    const [scene, browser] = await Promise.all([openScene(stage), startBrowser()]);
    try {
      for (const [name, run] of STEPS) {
        await t.step({
          name,
          sanitizeOps: false,
          sanitizeResources: false,
          fn: () => pictured(browser, name, () => run(browser, scene)),
        });
      }
    } finally {
      await browser.close();
    }
  },
});

type Step = (browser: Browser, scene: Scene) => Promise<void>;

/** Rows of the table tab. */
const rows = (page: Page): Locator => page.locator(".values tbody tr");

async function expectRows(page: Page, count: number): Promise<void> {
  await until(`${count} rows`, async () => await rows(page).count() === count, PATIENCE);
}

async function type(page: Page, query: string): Promise<void> {
  await page.locator(".cm-content").waitFor();
  await page.locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(query);
}

const graphPath = (query: string, more = "") =>
  `/graph?g0.expr=${encodeURIComponent(query)}${more}`;

const STEPS: readonly (readonly [string, Step])[] = [
  [
    "first tutorial: three rows, five without deduplication, and the stores",
    async (browser, { query }) => {
      const watched = await open(browser, query.http, "/");
      const { page } = watched;
      await type(page, METRIC);
      await page.getByRole("button", { name: "Execute" }).click();
      await expectRows(page, 3);
      const text = await rows(page).allInnerTexts();
      assert.ok(text.every((row) => !row.includes("replica=")), text.join("\n"));
      await page.getByRole("switch", { name: "Deduplication" }).click();
      await expectRows(page, 5);
      assert.equal(
        (await rows(page).allInnerTexts()).filter((row) => row.includes('replica="1"')).length,
        2,
      );
      await page.getByRole("switch", { name: "Deduplication" }).click();
      await expectRows(page, 3);
      await page.locator(".answered summary").click();
      await until(
        "a row for each store",
        async () => await page.locator(".answered tbody tr").count() >= 3,
      );
      await page.getByRole("tab", { name: "Graph" }).click();
      await page.locator(".uplot canvas").waitFor();
      await until("a legend", async () => await page.locator(".legend-row").count() === 3);
      // A click in the legend leaves one series, another brings all back.
      await page.locator(".legend-row button").first().click();
      await until("two hidden", async () => await page.locator(".legend-row.off").count() === 2);
      await page.locator(".legend-row button").first().click();
      await until("none hidden", async () => await page.locator(".legend-row.off").count() === 0);
      // A drag zooms in, a double click goes back.
      const plot = await until(
        "a plot",
        async () => await page.locator(".u-over").boundingBox() ?? undefined,
      );
      await page.mouse.move(plot.x + plot.width - 400, plot.y + 50);
      await page.mouse.down();
      await page.mouse.move(plot.x + plot.width - 2, plot.y + 60, { steps: 4 });
      // To the very end: the servers are young, earlier there may be nothing to see.
      await page.mouse.move(plot.x + plot.width + 30, plot.y + 60, { steps: 4 });
      await page.mouse.up();
      const range = page.getByRole("textbox", { name: "Range", exact: true });
      await until("a shorter range", async () => /^\d+m/.test(await range.inputValue()));
      // Servers this young may hold nothing there: then a button leads back.
      const back = page.getByRole("button", { name: "Back to the range before" });
      await until("the range before", async () => {
        if (await back.count() > 0) await back.click({ timeout: 1000 });
        else {
          await page.locator(".chart").dblclick({ position: { x: 300, y: 100 }, timeout: 1000 });
        }
        return await range.inputValue() === "1h";
      });
      await page.getByRole("link", { name: "Stores" }).click();
      await until("all stores up", async () => await page.locator(".pill.ok").count() === 4);
      assert.equal(await page.locator("h2", { hasText: "sidecar" }).count(), 1);
      assert.ok(await page.getByText("no limit").count() >= 3);
      await close(watched);
    },
  ],
  [
    "second tutorial: the store gateway alone, Max 5m on the year, a block's metadata",
    async (browser, { query, store, storeName }) => {
      const watched = await open(
        browser,
        query.http,
        graphPath(YEAR_METRIC, "&g0.tab=0&g0.range_input=1y"),
      );
      const { page } = watched;
      await page.locator(".uplot canvas").waitFor();
      await page.getByRole("switch", { name: "Enable Store Filtering" }).click();
      await page.getByRole("button", { name: "Stores to ask" }).click();
      await page.locator(".store-list label", { hasText: storeName }).click();
      await page.keyboard.press("Escape");
      await page.getByLabel("Resolution").selectOption({ label: "Max 5m downsampling" });
      await until("an answer of the store alone", async () => {
        const summary = await page.locator(".answered summary").innerText();
        return /\b1 store\b/.test(summary);
      });
      const link = new URL(page.url());
      assert.equal(link.searchParams.get("g0.max_source_resolution"), "5m");
      assert.deepEqual(JSON.parse(link.searchParams.get("g0.store_matches")!), [{
        name: storeName,
      }]);
      assert.ok(await page.locator(".ribbon-part").count() > 0);
      // The store gateway knows nothing of what the sidecars have.
      await type(page, METRIC);
      await page.keyboard.press("Enter");
      await page.getByText("No data in this range").waitFor();
      await close(watched);

      const blocks = await open(browser, store.http, "/");
      await blocks.page.locator(".timeline canvas").waitFor();
      // The oldest block begins at the left edge of the first lane.
      await blocks.page.locator(".timeline-scroller").click({ position: { x: 160, y: 62 } });
      const details = blocks.page.locator(".details");
      await details.waitFor();
      const picked = await details.locator("h2").innerText();
      await blocks.page.locator(".block-list .link").first().click();
      await until("another block", async () => await details.locator("h2").innerText() !== picked);
      for (const fact of ["Series", "Samples", "Chunks", "Resolution", "Level", "Source", "year"]) {
        assert.ok(await details.getByText(fact).count() > 0, fact);
      }
      const [download] = await Promise.all([
        blocks.page.waitForEvent("download"),
        details.getByRole("button", { name: "Download meta.json" }).click(),
      ]);
      const meta = JSON.parse(await Deno.readTextFile(await download.path()));
      assert.equal(meta.thanos.labels.cluster, "year");
      await details.getByRole("button", { name: "Mark no compaction" }).click();
      const dialog = blocks.page.getByRole("dialog");
      await dialog.getByRole("textbox").fill("kept for <b>a test</b>");
      await dialog.getByRole("button", { name: "Mark no compaction" }).click();
      await blocks.page.getByText("Marked: no compaction").waitFor();
      await close(blocks);
    },
  ],
  [
    "links of both dialects open what they describe, and the back button goes back",
    async (browser, { query }) => {
      const thanos = `/graph?g0.expr=up&g0.tab=0&g0.stacked=1&g0.range_input=30m&g0.deduplicate=0` +
        `&g0.partial_response=0&g0.store_matches=%5B%5D&g0.max_source_resolution=1h&g0.step_input=30` +
        `&g1.expr=vector(7)&g1.tab=1`;
      const watched = await open(browser, query.http, thanos);
      const { page } = watched;
      await page.locator(".uplot canvas").first().waitFor();
      assert.equal(await page.locator(".panel").count(), 2);
      const first = page.locator(".panel").first();
      assert.equal(await first.getByRole("switch", { name: "Deduplication" }).isChecked(), false);
      assert.equal(
        await first.getByRole("switch", { name: "Partial response" }).isChecked(),
        false,
      );
      assert.equal(await first.getByLabel("Resolution").inputValue(), "1h");
      assert.equal(
        await first.getByRole("button", { name: "Stacked" }).getAttribute("aria-pressed"),
        "true",
      );
      await expectRows(page, 1);
      await page.goto(
        `${query.http}/query?g0.expr=up&g0.tab=graph&g0.display_mode=lines&g0.range_input=15m` +
          `&g0.res_type=custom&g0.res_step=60&g0.end_input=2026-01-02%2003%3A04%3A05&g0.moment_input=2026-01-02%2003%3A04%3A05`,
      );
      await page.getByText("No data in this range").waitFor();
      assert.equal(await page.getByLabel(/^End/).inputValue(), "2026-01-02 03:04:05");
      assert.equal(
        await page.getByRole("textbox", { name: "Range", exact: true }).inputValue(),
        "15m",
      );
      await page.getByRole("tab", { name: "Explain" }).click();
      await page.locator(".tree-row").first().waitFor();
      assert.match(page.url(), /g0\.tab=explain/);
      await page.goBack();
      await page.getByText("No data in this range").waitFor();
      assert.equal(
        await page.getByRole("tab", { name: "Graph" }).getAttribute("aria-selected"),
        "true",
      );
      await close(watched);
    },
  ],
  ["a graph's answer is saved as the server wrote it", async (browser, { query }) => {
    const watched = await open(
      browser,
      query.http,
      graphPath('up{job="prometheus"} / 3', "&g0.tab=0&g0.range_input=1m"),
    );
    const { page } = watched;
    await page.locator(".legend-row").nth(2).waitFor();
    const saved = async (name: string) => {
      await page.getByRole("button", { name: "Take along" }).click();
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name, exact: true }).click(),
      ]);
      return await Deno.readTextFile(await download.path());
    };
    const data = JSON.parse(await saved("Download JSON")) as {
      readonly resultType: string;
      readonly result: readonly { readonly values: readonly (readonly [number, string])[] }[];
    };
    assert.equal(data.resultType, "matrix");
    assert.equal(data.result.length, 3);
    for (const { values } of data.result) {
      assert.ok(values.length > 0);
      for (const [, text] of values) assert.equal(text, "0.3333333333333333");
    }
    const lines = (await saved("Download CSV")).trim().split("\r\n");
    assert.equal(lines.length, 1 + data.result.reduce((n, { values }) => n + values.length, 0));
    assert.ok(lines.slice(1).every((line) => line.endsWith(",0.3333333333333333")), lines[1]);
    await close(watched);
  }],
  ["hostile labels, rules and queries are text", async (browser, { query }) => {
    const watched = await open(browser, query.http, graphPath('up{job="hostile"}', "&g0.tab=1"));
    const { page } = watched;
    await expectRows(page, 1);
    const row = await rows(page).first().innerText();
    for (const value of [HOSTILE.html, HOSTILE.link]) assert.ok(row.includes(value), row);
    await page.getByRole("tab", { name: "Graph" }).click();
    await page.locator(".uplot canvas").waitFor();
    await page.locator(".u-over").hover();
    await page.goto(`${query.http}${graphPath("<img src=x onerror=window.__harm=1>")}`);
    await page.locator(".message.error").waitFor();
    // A refused query is the one answer that browsers log by themselves.
    watched.problems.splice(
      0,
      watched.problems.length,
      ...watched.problems.filter((p) => !/status of 400/.test(p)),
    );
    for (const path of ["/targets", "/alerts", "/rules"]) {
      await page.goto(`${query.http}${path}`);
      await page.locator(".card").first().waitFor();
    }
    await page.goto(`${query.http}/targets`);
    await page.getByText(HOSTILE.html).first().waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    assert.equal(await page.locator('a[href^="javascript:"]').count(), 0);
    await page.goto(`${query.http}/alerts`);
    await page.locator("summary", { hasText: "TargetDown" }).first().waitFor();
    await page.getByText("<script>window.__harm=1</script>").first().waitFor();
    assert.equal(await page.evaluate("window.__harm"), undefined);
    await close(watched);
  }],
  [
    "below an external prefix no request fails, with and without a proxy that takes it off",
    async (browser, { external, proxied }) => {
      const strays: string[] = [];
      const proxy = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
        const { pathname, search } = new URL(request.url);
        if (!pathname.startsWith("/outside/")) {
          strays.push(pathname);
          return new Response("outside of the prefix", { status: 404 });
        }
        return fetch(proxied.http + pathname.slice("/outside".length) + search, {
          method: request.method,
          headers: request.headers,
          body: request.body,
          redirect: "manual",
        });
      });
      const through = `http://127.0.0.1:${(proxy.addr as Deno.NetAddr).port}`;
      for (const base of [external.http, through]) {
        const watched = await open(browser, base, "/outside/graph");
        const { page } = watched;
        await type(page, "1 + 1");
        await page.keyboard.press("Enter");
        await expectRows(page, 1);
        await page.getByRole("link", { name: "Stores", exact: true }).click();
        await page.locator("h1", { hasText: "Stores" }).waitFor();
        assert.equal(new URL(page.url()).pathname, "/outside/stores");
        await page.reload();
        await page.locator("h1", { hasText: "Stores" }).waitFor();
        await close(watched);
      }
      assert.deepEqual(strays, []);
      await proxy.shutdown();
    },
  ],
  ["expressions of rules lead to the querier that a flag names", async (browser, { query }) => {
    const watched = await open(browser, query.http, "/rules");
    const { page } = watched;
    const link = page.getByTitle("Open in the graph").first();
    const path = "/graph?g0.expr=up%20%3D%3D%200&g0.tab=1";
    await link.waitFor();
    assert.equal(await link.getAttribute("href"), path);
    for (
      const [url, href] of [
        ["https://query.example/thanos/", `https://query.example/thanos${path}`],
        ["javascript:alert(1)", path],
      ] as const
    ) {
      await page.route("**/api/v1/status/flags", async (route) => {
        const answer = await route.fetch();
        const body = await answer.json();
        await route.fulfill({
          response: answer,
          json: { ...body, data: { ...body.data, "alert.query-url": url } },
        });
      });
      await page.reload();
      await page.locator(`a[href="${href}"]`).first().waitFor();
      await page.unroute("**/api/v1/status/flags");
    }
    await close(watched);
  }],
  ["everything is reachable by keyboard alone", async (browser, { query }) => {
    const watched = await open(browser, query.http, "/graph");
    const { page } = watched;
    await page.locator(".cm-content").waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "Skip to content");
    await page.keyboard.press("Enter");
    await tabTo(page, (name) => name.startsWith("Expression of panel 1"));
    await page.keyboard.insertText(METRIC);
    await page.keyboard.press("Enter");
    await expectRows(page, 3);
    await page.keyboard.press("Escape");
    await tabTo(page, (name) => name === "Deduplication");
    await page.keyboard.press("Space");
    await expectRows(page, 5);
    await tabTo(page, (name) => name === "Table");
    await page.keyboard.press("ArrowRight");
    await page.locator(".uplot canvas").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    await page.locator("h1", { hasText: "Stores" }).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: "Page or query" }).fill("targ");
    await page.keyboard.press("Enter");
    await page.locator("h1", { hasText: "Targets" }).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await until("the sheet is gone", async () => await page.getByRole("dialog").count() === 0);
    await close(watched);
  }],
  [
    "times follow the chosen zone, theme and zone stay after a reload",
    async (browser, { query }) => {
      const watched = await open(browser, query.http, "/status");
      const { page } = watched;
      await page.getByText("Working folder").waitFor();
      await page.getByRole("button", { name: "Time zone: UTC" }).click();
      await page.getByRole("searchbox", { name: "Search time zones" }).fill("berlin");
      await page.getByRole("button", { name: "Europe/Berlin" }).click();
      await page.getByRole("button", { name: /^Colours as the system/ }).click();
      await page.getByRole("button", { name: /^Light colours/ }).click();
      await page.reload();
      await page.getByRole("button", { name: /^Time zone: Europe/ }).waitFor();
      assert.equal(await page.evaluate("document.documentElement.dataset.theme"), "dark");
      await close(watched);
    },
  ],
  [
    "the editor completes, formats and says what is wrong; cancel stops the request",
    async (browser, { query }) => {
      const watched = await open(browser, query.http, "/graph");
      const { page } = watched;
      // Key by key and fast, as people type: nothing may overtake.
      await page.locator(".cm-content").click();
      const typed = "sum by (job) (rate(prometheus_http_requests_total[5m]))";
      await page.keyboard.type(typed);
      await page.keyboard.press("Escape");
      assert.equal(await page.locator(".cm-line").innerText(), typed);
      await type(page, "prometheus_tsdb_head_ser");
      await page.keyboard.press("Control+Space");
      await page.locator(".cm-tooltip-autocomplete li", { hasText: "prometheus_tsdb_head_series" })
        .first().waitFor();
      await page.keyboard.press("Escape");
      await type(
        page,
        'sum by(job)(rate(prometheus_http_requests_total[1m]))/sum(rate(prometheus_http_requests_total{code=~"5.."}[1m]))',
      );
      await page.getByRole("button", { name: "Format the expression" }).click();
      await until("several lines", async () => await page.locator(".cm-line").count() >= 3);
      // The server's answer is held back, as a slow store would do.
      await page.route("**/api/v1/query", () => {});
      await page.getByRole("button", { name: "Execute" }).click();
      const failed = page.waitForEvent("requestfailed");
      await page.getByRole("button", { name: "Cancel" }).click();
      await failed;
      await page.getByText("Cancelled").first().waitFor();
      await close(watched);
    },
  ],
  [
    "cardinality of a day and its difference to another",
    async (browser, { query }) => {
      const watched = await open(browser, query.http, "/tsdb-status");
      const { page } = watched;
      await page.getByText("Series by metric").waitFor();
      await page.getByRole("button", { name: "On a day" }).click();
      await page.getByRole("textbox", { name: "Compare with" }).fill("2001-01-01");
      await page.getByRole("button", { name: "Count" }).click();
      await page.getByText("Series on 2001-01-01").waitFor();
      const first = await page.locator(".tables .grid tbody tr").first().innerText();
      assert.match(first, /\+\d/);
      await page.getByRole("link", { name: YEAR_METRIC, exact: true }).or(
        page.locator("td.name a").first(),
      ).first().click();
      await page.locator("h1", { hasText: "Graph" }).waitFor({ state: "attached" });
      await close(watched);
    },
  ],
  [
    "below a route prefix nothing is asked outside of it",
    async (browser, { prefixed }) => {
      const watched = await open(browser, prefixed.http, "/");
      const { page } = watched;
      const outside: string[] = [];
      page.on("request", (request) => {
        if (!new URL(request.url()).pathname.startsWith("/mneme/")) outside.push(request.url());
      });
      await page.locator(".cm-content").waitFor();
      await page.getByRole("link", { name: "Status" }).click();
      await page.getByText("Working folder").waitFor();
      assert.equal(new URL(page.url()).pathname, "/mneme/status");
      await page.reload();
      await page.getByText("Working folder").waitFor();
      assert.deepEqual(outside, []);
      await close(watched);
    },
  ],
  ["a part that fails is a sentence, never a blank page", async (browser, { query }) => {
    const watched = await open(browser, query.http, "/blocks");
    const { page } = watched;
    await page.getByText("Not part of this component").waitFor();
    await page.goto(`${query.http}/graph`);
    await page.locator(".cm-content").waitFor();
    await page.route("**/api/v1/**", (route) => route.abort());
    for (
      const name of [
        "Stores",
        "Alerts",
        "Rules",
        "Targets",
        "Running queries",
        "Status",
        "Cardinality",
      ]
    ) {
      await page.getByRole("link", { name, exact: true }).click();
      await page.getByText("No answer from the server").first().waitFor();
    }
    watched.problems.length = 0;
    await close(watched);
  }],
  [
    "every page in light and dark, with nothing that keeps people out",
    async (browser, { query, store }) => {
      const findings: string[] = [];
      await Promise.all((["light", "dark"] as const).map(async (scheme) => {
        const { page, problems } = await open(browser, query.http, "/graph", { scheme });
        for (const [name, url, ready] of PICTURES) {
          const base = url.startsWith("store:") ? store.http + url.slice(6) : query.http + url;
          await page.goto(base);
          await page.locator(ready).first().waitFor();
          if (name === "blocks") await page.locator(".block-list .link").first().click();
          if (name.startsWith("graph")) await page.locator(".cm-content").waitFor();
          if (name === "graph-table") await page.locator(".answered summary").click();
          // Axis and legend come with the frame after the canvas.
          await page.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
          );
          await picture(page, `${name}-${scheme}`);
          // Colours are all that is different in the dark.
          const rules = scheme === "light" ? undefined : ["color-contrast"];
          for (const finding of await seriousFindings(page, rules)) {
            findings.push(`${name} ${scheme}: ${finding}`);
          }
        }
        // The store gateway has no queries: two hosts are right here.
        assert.deepEqual(problems.filter((p) => !p.startsWith("request to another host")), []);
      }));
      assert.deepEqual(findings, []);
    },
  ],
];

const PICTURES: readonly (readonly [string, string, string])[] = [
  ["graph-empty", "/graph", ".empty"],
  ["graph-table", graphPath('up{job="prometheus"}', "&g0.deduplicate=0"), ".values tr"],
  [
    "graph-lines",
    graphPath("rate(prometheus_http_requests_total[30s])", "&g0.tab=0&g0.range_input=1m"),
    ".uplot canvas",
  ],
  [
    "graph-stacked",
    graphPath("prometheus_tsdb_head_series", "&g0.tab=0&g0.range_input=1m&g0.stacked=1"),
    ".uplot canvas",
  ],
  [
    "graph-heatmap",
    graphPath(
      "sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[30s]))",
      "&g0.tab=0&g0.range_input=1m&g0.display_mode=heatmap",
    ),
    ".uplot canvas",
  ],
  [
    "graph-year",
    graphPath(YEAR_METRIC, "&g0.tab=0&g0.range_input=1y&g0.max_source_resolution=5m"),
    ".uplot canvas",
  ],
  [
    "graph-explain",
    graphPath("sum by (job) (rate(prometheus_http_requests_total[1m])) / 2", "&g0.tab=explain"),
    ".tree-row",
  ],
  ["stores", "/stores", ".stores tbody tr"],
  ["cardinality", "/cardinality", ".tables .grid"],
  ["alerts", "/alerts", ".card"],
  ["rules", "/rules", ".card"],
  ["targets", "/targets", ".card"],
  ["queries", "/queries", ".empty"],
  ["status", "/status", "#flags tr"],
  ["blocks", "store:/loaded", ".timeline canvas"],
];

/** Presses Tab until an element of that name has the focus. */
async function tabTo(page: Page, fits: (name: string) => boolean): Promise<void> {
  const seen: string[] = [];
  for (let i = 0; i < 60; i++) {
    const name = await page.evaluate(`(() => {
      const e = document.activeElement;
      return e.getAttribute("aria-label") ?? e.closest("label")?.textContent ?? e.textContent ?? "";
    })()`) as string;
    if (fits(name.trim())) return;
    seen.push(name.slice(0, 30));
    await page.keyboard.press("Tab");
  }
  assert.fail(`not reached by Tab; passed ${seen.join(", ")}`);
}
