/**
 * Graphs and pages over data of every kind: downsampled stretches, native histograms, exemplars with
 * their traces, a compactor at work, a query that takes too long.
 */
import assert from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
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
  type Watched,
  whyNoBrowser,
} from "./browser.ts";
import { type DataScene, END, LARGE_END, openDataScene } from "./data_scene.ts";

const TRACES = "https://traces.example.com/trace/{trace_id}";

Deno.test({
  name: "data of every kind in a browser",
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
    const [scene, browser] = await Promise.all([openDataScene(stage, TRACES), startBrowser()]);
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

type Step = (browser: Browser, scene: DataScene) => Promise<void>;

const utc = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

/** A graph with a fixed end. */
function graphPath(expr: string, fields: Readonly<Record<string, string>>): string {
  const all = { expr, tab: "0", ...fields };
  return `/graph?${
    Object.entries(all).map(([k, v]) => `g0.${k}=${encodeURIComponent(v)}`).join("&")
  }`;
}

/** From the first of the large blocks to the last of the small ones. */
const WHOLE = { range_input: "1000h", end_input: utc(END) };

/** Texts of the ribbon's stretches. */
const stretches = (page: Page) =>
  page.locator(".ribbon-part[title]").evaluateAll((parts) =>
    parts.map((part) => (part as unknown as { title: string }).title)
  );

const answers = (watched: Watched) => watched.page.locator(".answer:not(.stale) .uplot canvas");

/** Both schemes, nothing that keeps people out; the page stays in the dark. */
async function inBothSchemes(page: Page, name: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(
      "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
    );
    await picture(page, `data-${name}-${colorScheme}`);
    const rules = colorScheme === "light" ? undefined : ["color-contrast"];
    assert.deepEqual(await seriousFindings(page, rules), [], `${name} ${colorScheme}`);
  }
}

const STEPS: readonly (readonly [string, Step])[] = [
  [
    "Max 5m and Max 1h are answered by downsampled blocks, and the ribbon tells which stretch by which",
    async (browser, { query }) => {
      const path = (resolution: string) =>
        graphPath("queue_length", { ...WHOLE, max_source_resolution: resolution });
      const watched = await open(browser, query.http, path("1h"));
      const { page } = watched;
      await answers(watched).waitFor();
      await until("hours, then raw data", async () => {
        const parts = await stretches(page);
        return parts.length === 2 && parts[0]!.startsWith("1h: ") &&
          parts[1]!.startsWith(`raw: ${utc(LARGE_END)}`) &&
          parts[1]!.endsWith(`to ${utc(END)}`);
      }, PATIENCE);
      await page.getByText("from raw, 1h data").waitFor();
      // Averages hide the hourly peaks: the band shows them, and the axis reaches up to them.
      await page.locator(".band-key").waitFor();
      await pointAtTheMiddle(page, /from (?:79|8\d|9\d|1\d\d) to [56]\d\d in this step/);
      await inBothSchemes(page, "resolutions");
      await page.getByRole("button", { name: "Settings of editor and graph" }).click();
      await page.getByRole("switch", { name: "Minima and maxima" }).click();
      await page.locator(".band-key").waitFor({ state: "detached" });
      await page.getByRole("switch", { name: "Minima and maxima" }).click();
      await page.locator(".band-key").waitFor();
      await page.keyboard.press("Escape");
      await page.getByLabel("Resolution").selectOption({ label: "Max 5m downsampling" });
      await until("five minutes, then raw data", async () => {
        const parts = await stretches(page);
        return parts.some((part) => part.startsWith("5m: ")) &&
          parts.at(-1)!.startsWith(`raw: ${utc(LARGE_END)}`);
      }, PATIENCE);
      await page.getByLabel("Resolution").selectOption({ label: "Only raw data" });
      await until("raw data alone", async () => {
        const parts = await stretches(page);
        return parts.length === 1 && parts[0]!.startsWith("raw: ");
      }, PATIENCE);
      await close(watched);
    },
  ],
  [
    "a window too short for the resolution is said in words, with a longer one a click away",
    async (browser, { query }) => {
      const watched = await open(
        browser,
        query.http,
        graphPath("rate(queue_length[10m])", { ...WHOLE, max_source_resolution: "5m" }),
      );
      const { page } = watched;
      const advice = page.locator(".message", { hasText: "The window is short" });
      await advice.waitFor();
      assert.match(await advice.innerText(), /rate over 10m .* at least 25m/s);
      await inBothSchemes(page, "window");
      await advice.getByRole("button", { name: "Use 25m" }).click();
      await advice.waitFor({ state: "detached" });
      const link = new URL(page.url());
      assert.equal(link.searchParams.get("g0.expr"), "rate(queue_length[25m])");
      // With raw data every window is long enough.
      await page.goto(
        query.http +
          graphPath("rate(queue_length[10m])", { ...WHOLE, max_source_resolution: "5m" }),
      );
      await advice.getByRole("button", { name: "Only raw data" }).click();
      await advice.waitFor({ state: "detached" });
      assert.equal(
        new URL(page.url()).searchParams.get("g0.max_source_resolution"),
        "0s",
      );
      await close(watched);
    },
  ],
  [
    "native histograms are a heat map, with the buckets' bounds under the pointer",
    async (browser, { query }) => {
      const watched = await open(
        browser,
        query.http,
        graphPath("increase(native_latency[10m])", {
          range_input: "90m",
          end_input: utc(LARGE_END + 110 * 60_000),
        }),
      );
      const { page } = watched;
      await answers(watched).waitFor();
      const plot = await until(
        "a plot",
        async () => await page.locator(".u-over").boundingBox() ?? undefined,
      );
      // The middle of the middle row: 12 buckets of factor √2 around 1.
      await page.mouse.move(plot.x + plot.width / 2, plot.y + plot.height / 2 + 3);
      const tooltip = page.locator(".tooltip");
      await tooltip.waitFor();
      assert.match(await tooltip.innerText(), /bucket\s+0\.\d+ to /);
      assert.match(await page.locator(".chart-canvas").getAttribute("aria-label") ?? "", /Graph/);
      await inBothSchemes(page, "heatmap");
      await page.getByRole("tab", { name: "Table" }).click();
      await page.locator(".values tbody tr").first().waitFor();
      await inBothSchemes(page, "histogram-table");
      await close(watched);
    },
  ],
  [
    "a traced query becomes an exemplar, a point on the graph, and a link to its trace",
    async (browser, { query }) => {
      const watched = await open(
        browser,
        query.http,
        graphPath("vector(1)", { tab: "1" }),
      );
      const { page } = watched;
      await page.locator(".values tbody tr").first().waitFor();
      assert.equal(await page.locator(".statistics a").count(), 0);
      await page.getByRole("switch", { name: "Force tracing" }).click();
      await page.getByRole("button", { name: "Execute" }).click();
      const link = page.locator(".statistics a", { hasText: "trace" });
      await link.waitFor();
      const trace = /trace ([0-9a-f]{32})/.exec(await link.innerText())![1]!;
      assert.equal(await link.getAttribute("href"), TRACES.replace("{trace_id}", trace));
      assert.equal(await link.getAttribute("rel"), "noopener noreferrer");
      // Prometheus scrapes the querier's histograms with that exemplar.
      await until("the exemplar in Prometheus", async () => {
        const form = new URLSearchParams({
          query: 'http_request_duration_seconds_bucket{handler="query"}',
          start: String(Date.now() / 1000 - 600),
          end: String(Date.now() / 1000 + 60),
        });
        const { data } = await (await fetch(`${query.http}/api/v1/query_exemplars?${form}`)).json();
        return JSON.stringify(data).includes(trace);
      }, 60_000);
      await page.goto(
        query.http +
          graphPath('http_request_duration_seconds_bucket{handler="query"}', {
            range_input: "5m",
            show_exemplars: "1",
          }),
      );
      await answers(watched).waitFor();
      const list = page.locator(".exemplar-list");
      await list.waitFor();
      await pickExemplar(page, trace);
      const row = list.locator("tr", { hasText: trace });
      await row.waitFor();
      assert.equal(
        await row.getByRole("link", { name: "Open the trace" }).getAttribute("href"),
        TRACES.replace("{trace_id}", trace),
      );
      await inBothSchemes(page, "exemplars");
      // Without a pointer: the list opens, and its link is the next stop.
      await page.reload();
      await list.locator("summary").focus();
      await page.keyboard.press("Enter");
      await until("the link has the focus", async () => {
        await page.keyboard.press("Tab");
        return await page.evaluate("document.activeElement.textContent") === "Open the trace";
      });
      // A reader's own address wins; one that is none of the web is refused.
      await page.getByRole("button", { name: "Settings of editor and graph" }).click();
      const own = page.getByRole("textbox", { name: "Trace link" });
      await own.fill("javascript:alert('{trace_id}')");
      await own.press("Enter");
      await page.getByText("Write an address that begins with").waitFor();
      assert.equal(await page.locator('a[href^="javascript:"]').count(), 0);
      await own.fill("http://tempo.local/?id={traceID}");
      await own.press("Enter");
      await page.keyboard.press("Escape");
      await until(
        "the reader's address",
        async () =>
          await row.getByRole("link").getAttribute("href") === `http://tempo.local/?id=${trace}`,
      );
      await close(watched);
    },
  ],
  [
    "the metric browser finds by name and description, and puts the name where the cursor is",
    async (browser, { query }) => {
      const watched = await open(browser, query.http, "/graph");
      const { page } = watched;
      await page.locator(".cm-content").click();
      await page.keyboard.insertText("sum()");
      await page.keyboard.press("ArrowLeft");
      await page.getByRole("button", { name: "Browse metrics" }).click();
      const search = page.getByRole("combobox", { name: "Search names and descriptions" });
      await search.fill("resident");
      const option = page.getByRole("option", { name: /process_resident_memory_bytes/ });
      await option.waitFor();
      // Types and descriptions come from the targets of Prometheus.
      await until("the description", async () => /Resident memory/.test(await option.innerText()));
      assert.match(await option.innerText(), /gauge/);
      await inBothSchemes(page, "metrics");
      await search.fill("no such metric at all");
      await page.getByText("No metric matches").waitFor();
      // By the keyboard: what begins with the word comes first; down, up again, and in with it.
      await search.fill("queue len");
      const first = page.getByRole("dialog").getByRole("option").first();
      await until("the metric", async () => /^queue_length\b/.test(await first.innerText()));
      await search.press("ArrowDown");
      await until("the second", async () => await first.getAttribute("aria-selected") === "false");
      await search.press("ArrowUp");
      await until("the first", async () => await first.getAttribute("aria-selected") === "true");
      await search.press("Enter");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      await until(
        "the name between the parentheses",
        async () => await page.locator(".cm-line").innerText() === "sum(queue_length)",
      );
      // The editor has the focus: what is typed goes on behind the name.
      await page.keyboard.insertText("[5m]");
      assert.equal(await page.locator(".cm-line").innerText(), "sum(queue_length[5m])");
      // Escape leaves everything as it was, and leads back to the button.
      await page.getByRole("button", { name: "Browse metrics" }).click();
      await search.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      assert.equal(
        await page.evaluate("document.activeElement.getAttribute('aria-label')"),
        "Browse metrics",
      );
      await close(watched);
    },
  ],
  [
    "the series of the bucket's blocks on a day, and their difference to another day",
    async (browser, { query }) => {
      const watched = await open(browser, query.http, "/cardinality");
      const { page } = watched;
      await page.getByRole("button", { name: "Blocks of a day" }).click();
      const day = page.getByRole("textbox", { name: "Day (UTC)" });
      await day.fill(utc(LARGE_END).slice(0, 10));
      await day.press("Enter");
      const other = page.getByRole("textbox", { name: "Compare with" });
      await other.fill(utc(LARGE_END - 5 * 86_400_000).slice(0, 10));
      await other.press("Enter");
      await page.getByRole("button", { name: "Count" }).click();
      const metrics = page.locator(".card", { hasText: "Series by metric" });
      const wide = metrics.locator("tr", { hasText: "wide_gauge" });
      await wide.waitFor();
      // All of them are of the later day alone, and so first among what changed.
      assert.match(await metrics.locator("tbody tr").first().innerText(), /wide_gauge/);
      assert.match(await wide.innerText(), /\b4\D?000\s+\+4\D?000\b/);
      assert.match(await metrics.innerText(), /queue_length/);
      await inBothSchemes(page, "cardinality-blocks");
      await close(watched);
    },
  ],
  [
    "a compactor shows what it does next and what it set aside",
    async (browser, { compact }) => {
      const watched = await open(browser, compact.http, "/blocks");
      const { page } = watched;
      await page.locator(".timeline canvas").waitFor();
      const aside = page.locator(".message", { hasText: 'Set aside: {cluster="torn"}' });
      await until("all blocks are known", async () => {
        await page.getByRole("button", { name: "Read again" }).click();
        return await aside.count() === 1 &&
          await page.getByText("What the compactor does next").count() === 1;
      }, 60_000);
      assert.match(await aside.innerText(), /overlaps found.*2 blocks of .* wait.*Every other/s);
      const plan = page.locator("details", { hasText: "What the compactor does next" });
      assert.match(
        await plan.innerText(),
        new RegExp(`4 blocks to level 2, ${utc(LARGE_END)}.*cluster="later", raw`),
      );
      await inBothSchemes(page, "compactor");
      await plan.getByRole("button", { name: "Show" }).click();
      await until(
        "the timeline shows the place",
        () => new URL(page.url()).searchParams.has("min-time"),
      );
      const overlaps = page.locator("details", { hasText: "Overlaps" });
      await overlaps.locator("summary").click();
      assert.match(await overlaps.innerText(), /cluster="torn"/);
      // A block tells why it waits.
      await page.getByRole("searchbox").fill("torn");
      await page.locator(".block-list .link").first().click();
      await page.locator(".details").getByText(/its group is set aside/).waitFor();
      await close(watched);
    },
  ],
  [
    "a query that takes long is listed, and ends when somebody cancels it",
    async (browser, { query }) => {
      const list = await open(browser, query.http, "/queries");
      await list.page.getByText("Nothing runs now").waitFor();
      const slow = await open(
        browser,
        query.http,
        graphPath("sum(deriv(wide_gauge[5m:1s]))", {
          range_input: "6h",
          end_input: utc(END),
          step_input: "2",
        }),
      );
      const row = list.page.locator("tbody tr", { hasText: "sum(deriv(wide_gauge[5m:1s]))" });
      await row.waitFor({ timeout: 60_000 });
      assert.match(await row.innerText(), new RegExp(`${utc(END - 6 * 3_600_000)} to .*step 2 s`));
      await inBothSchemes(list.page, "running");
      await row.getByRole("button", { name: "Cancel" }).click();
      await row.waitFor({ state: "detached", timeout: 60_000 });
      await slow.page.locator(".message.error").waitFor({ timeout: 60_000 });
      assert.match(await slow.page.locator(".message.error").innerText(), /cancel/i);
      // The browser tells of the status 503 that the cancelled query got.
      slow.problems.splice(
        0,
        slow.problems.length,
        ...slow.problems.filter((text) => !/status of 503/.test(text)),
      );
      await close(list);
      await close(slow);
    },
  ],
];

/** Moves over the middle of the plot from top to bottom until the tooltip says so. */
async function pointAtTheMiddle(page: Page, wanted: RegExp): Promise<void> {
  const plot = await until(
    "a plot",
    async () => await page.locator(".u-over").boundingBox() ?? undefined,
  );
  await until(`a tooltip like ${wanted}`, async () => {
    for (let y = 5; y < plot.height; y += 20) {
      await page.mouse.move(plot.x + plot.width / 2, plot.y + y);
      const tooltip = page.locator(".tooltip");
      if (await tooltip.count() > 0 && wanted.test(await tooltip.innerText())) return true;
    }
    return false;
  });
}

/** Points at the diamonds until the tooltip is that of the trace, then clicks. */
async function pickExemplar(page: Page, trace: string): Promise<void> {
  const plot = await until(
    "a plot",
    async () => await page.locator(".u-over").boundingBox() ?? undefined,
  );
  // Exemplars are of the last minutes and, as small durations among large counts, at the bottom.
  await until(`the point of ${trace}`, async () => {
    for (let x = plot.width - 1; x > plot.width / 4; x -= 4) {
      await page.mouse.move(plot.x + x, plot.y + plot.height - 4);
      const tooltip = page.locator(".tooltip", { hasText: "Exemplar" });
      if (await tooltip.count() === 0) continue;
      if (!(await tooltip.innerText()).includes(trace)) continue;
      await page.mouse.click(plot.x + x, plot.y + plot.height - 4);
      return true;
    }
    return false;
  }, 60_000);
}
