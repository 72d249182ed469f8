/**
 * Speed of the web pages in chromium, over a server with made-up answers of a known size.
 *
 *   deno task bench:ui [--repeat=5]
 *
 * Prints the best and the median of each figure, and the goal it is held against.
 */
import { encodeResult } from "../../lib/api/encode_result.ts";
import { addPageRoutes, createApp, dataResponse, route } from "../../lib/api/mod.ts";
import { labelsFromRecord } from "../../lib/model/mod.ts";
import { PageFiles } from "../../lib/runtime/mod.ts";
import { Metrics, Probe, silentLogger } from "../../lib/telemetry/mod.ts";
import { open, startBrowser, whyNoBrowser } from "../browser/browser.ts";

type Page = Awaited<ReturnType<typeof open>>["page"];
type Browser = Awaited<ReturnType<typeof startBrowser>>;

/** Lines of the graph with a goal, and of one that must stay usable. */
const SERIES = 200;
const MANY_SERIES = 1000;
const POINTS = 1000;
const ROWS = 10_000;
const BLOCKS = 50_000;
const HOUR = 3_600_000;

/**
 * Notes when the page can be typed into, when a drawn graph was on the screen, and the longest time
 * the page stood still from a range query on.
 */
const PROBES = `
  globalThis.__usable = 0;
  const look = () => {
    if (document.querySelector(".expression-plain, .cm-content") !== null) {
      globalThis.__usable = performance.now();
    } else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  globalThis.__shown = 0;
  globalThis.__longest = 0;
  const mark = performance.mark.bind(performance);
  performance.mark = (name) => {
    const entry = mark(name);
    // After the frame that turns strokes into pixels.
    if (name === "answer:drawn") requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => globalThis.__shown = performance.now();
      port2.postMessage(0);
    });
    return entry;
  };
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) {
      const { fetchStart } = performance.getEntriesByType("resource")
        .findLast(({ name }) => name.endsWith("query_range")) ?? {};
      if (startTime + duration > fetchStart) {
        globalThis.__longest = Math.max(globalThis.__longest, duration);
      }
    }
  }).observe({ type: "longtask" });
`;

/** Runs \`step(i)\` in each of \`count\` frames and gives the lengths of the frames, ms. */
const frames = (count: number, step: string) =>
  `new Promise((done) => {
  const times = [];
  let last;
  let i = 0;
  const step = (i) => { ${step} };
  const next = (now) => {
    if (last !== undefined) times.push(now - last);
    last = now;
    if (i++ >= ${count}) return done(times);
    step(i);
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
})`;

function serve(): { base: string; stop: () => Promise<void> } {
  const metrics = new Metrics();
  const probe = new Probe("standalone", { metrics, logger: silentLogger });
  const folder = new URL("../../ui/", import.meta.url).pathname;
  const app = createApp(
    { component: "standalone", probe, metrics, logger: silentLogger },
    (api) => {
      route(api, "/status/flags", ["GET"], () => dataResponse({}));
      route(api, "/stores", ["GET"], () => dataResponse({}));
      route(api, "/query", ["GET", "POST"], () => dataResponse(vector()));
      route(api, "/query_range", ["POST"], async (c) => {
        const form = await c.req.parseBody();
        const [name, count] = /^(\w+) \* (\d+)$/.exec(String(form.query))!.slice(1);
        return matrix(Number(count), name === "buckets", Number(form.start), Number(form.step));
      });
      const blocks = dataResponse(blockList());
      route(api, "/blocks", ["GET"], () => blocks.clone());
      addPageRoutes(api, {
        load: new PageFiles({ folder, logger: silentLogger }).load,
        component: "standalone",
        version: "0",
        routePrefix: "",
        externalPrefix: "",
        prefixHeader: "",
      });
    },
  );
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => app.fetch(request),
  );
  return { base: `http://127.0.0.1:${server.addr.port}`, stop: () => server.shutdown() };
}

const labels = (i: number) => ({
  __name__: "http_requests_total",
  instance: `10.0.${i >> 8}.${i & 255}:9100`,
  job: "node",
  path: `/api/v1/items/${i % 50}`,
});

function vector() {
  return {
    resultType: "vector",
    result: Array.from(
      { length: ROWS },
      (_, i) => ({ metric: labels(i), value: [0, String(i * 1.5)] }),
    ),
  };
}

/** A range answer, written by the product's own encoder. */
function matrix(count: number, buckets: boolean, start: number, step: number): Response {
  const t = Float64Array.from({ length: POINTS }, (_, i) => (start + i * step) * 1000);
  const series = Array.from({ length: count }, (_, s) => ({
    labels: labelsFromRecord(buckets ? { le: s === count - 1 ? "+Inf" : String(s) } : labels(s)),
    t,
    v: Float64Array.from(
      { length: POINTS },
      (_, i) => s * (buckets ? 100 : 10) + Math.sin(i / 20 + s) * 40 + (i * 7919 * (s + 1)) % 13,
    ),
    h: null,
  }));
  const pieces = encodeResult({ type: "matrix", series }, { analysis: "{}", warnings: [] });
  return new Response(ReadableStream.from(pieces), {
    headers: { "content-type": "application/json" },
  });
}

/** Two-hour blocks of 20 streams, back to back. */
function blockList() {
  return {
    label: "",
    refreshedAt: new Date().toISOString(),
    err: null,
    blocks: Array.from({ length: BLOCKS }, (_, i) => {
      const slot = Math.floor(i / 20);
      return {
        version: 1,
        ulid: `01M8${String(i).padStart(22, "0")}`,
        minTime: 1.7e12 + slot * 2 * HOUR,
        maxTime: 1.7e12 + (slot + 1) * 2 * HOUR,
        stats: { numSamples: 1e6, numSeries: 1e4, numChunks: 2e4 },
        compaction: { level: 1 + slot % 3 },
        thanos: {
          labels: { cluster: `c${i % 20}` },
          downsample: { resolution: [0, 0, 300_000, HOUR][slot % 4] },
          source: "bench",
        },
      };
    }),
  };
}

/** Asks from outside: the pages' content policy forbids what the browser's driver would do inside. */
async function whenTrue(page: Page, condition: string): Promise<void> {
  while (!await page.evaluate(condition)) await page.waitForTimeout(20);
}

async function firstPage(browser: Browser, base: string): Promise<number> {
  const { page, context } = await open(browser, base, "/favicon.ico");
  await page.addInitScript({ content: PROBES });
  await page.goto(`${base}/graph`);
  await whenTrue(page, "globalThis.__usable > 0");
  const usable = await page.evaluate("globalThis.__usable") as number;
  await context.close();
  return usable;
}

type Display = "lines" | "stacked" | "heatmap";

/** The way of an answer, by what each part ends with. Units: ms. */
interface Drawing {
  readonly firstByte: number;
  readonly lastByte: number;
  readonly parsed: number;
  readonly joined: number;
  readonly drawn: number;
  readonly shown: number;
  /** From the last byte to the drawn graph. */
  readonly answerToDrawn: number;
  /** From the request to the screen. */
  readonly all: number;
  /** Longest time without a look at what the user does. */
  readonly longest: number;
}

async function drawing(
  browser: Browser,
  base: string,
  series: number,
  display: Display,
): Promise<Drawing> {
  const { page, context } = await open(browser, base, "/favicon.ico");
  await page.addInitScript({ content: PROBES });
  const step = 10;
  const range = POINTS * step;
  await page.goto(
    `${base}/graph?g0.expr=${display === "heatmap" ? "buckets" : "lines"}+*+${series}` +
      `&g0.tab=0&g0.display_mode=${display}&g0.range_input=${range}s` +
      `&g0.res_type=custom&g0.res_step=${step}`,
  );
  await whenTrue(page, "globalThis.__shown > 0");
  await page.waitForTimeout(300);
  const times = await page.evaluate(`(() => {
    const at = (name) => performance.getEntriesByName("answer:" + name).at(-1).startTime;
    const { fetchStart } = performance.getEntriesByType("resource")
      .find(({ name }) => name.endsWith("query_range"));
    return [fetchStart, at("first-byte"), at("last-byte"), at("parsed"), at("joined"),
      at("drawn"), globalThis.__shown, globalThis.__longest];
  })()`) as number[];
  const [asked, firstByte, lastByte, parsed, joined, drawn, shown, longest] = times as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  await context.close();
  return {
    firstByte: firstByte - asked,
    lastByte: lastByte - firstByte,
    parsed: parsed - lastByte,
    joined: joined - parsed,
    drawn: drawn - joined,
    shown: shown - drawn,
    answerToDrawn: drawn - lastByte,
    all: shown - asked,
    longest,
  };
}

function printDrawing(
  series: number,
  display: Display,
  all: readonly Drawing[],
  goal: string,
): void {
  const of = (key: keyof Drawing) => all.map((drawing) => drawing[key]);
  const what = `${series} series x ${POINTS} points, ${display}`;
  print(`${what}: answer to drawn`, of("answerToDrawn"), "ms", goal);
  const parts: readonly (readonly [keyof Drawing, string])[] = [
    ["firstByte", "asked to first byte"],
    ["lastByte", "to last byte, parsed meanwhile"],
    ["parsed", "to parsed"],
    ["joined", "to joined"],
    ["drawn", "to drawn"],
    ["shown", "to pixels on the screen"],
    ["all", "asked to pixels on the screen"],
    ["longest", "longest time the page stands still"],
  ];
  for (const [key, text] of parts) print(`  ${text}`, of(key), "ms", "-");
}

async function tableFrames(browser: Browser, base: string): Promise<number[]> {
  const { page, context } = await open(browser, base, "/graph?g0.expr=x&g0.tab=1");
  await page.locator(".virtual-row").first().waitFor();
  const times = await page.evaluate(
    frames(120, 'document.querySelector(".virtual.values").scrollTop = i * 400;'),
  ) as number[];
  await context.close();
  return times;
}

async function blockFrames(browser: Browser, base: string): Promise<number[]> {
  const { page, context } = await open(browser, base, "/blocks");
  await page.locator(".timeline canvas").waitFor();
  await page.waitForTimeout(500);
  const times = await page.evaluate(frames(
    120,
    `const box = document.querySelector(".timeline-scroller");
     const { left, top } = box.getBoundingClientRect();
     box.dispatchEvent(new WheelEvent("wheel", { deltaY: i < 60 ? -60 : 60, ctrlKey: true,
       clientX: left + 700, clientY: top + 200, cancelable: true }));`,
  )) as number[];
  await context.close();
  return times;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

function print(what: string, values: readonly number[], unit: string, goal: string): void {
  const best = Math.min(...values).toFixed(0);
  console.log(
    `${what.padEnd(52)} best ${best.padStart(5)} median ${median(values).toFixed(0).padStart(5)} ${
      unit.padEnd(4)
    } goal ${goal}`,
  );
}

function printFrames(what: string, times: readonly number[], goal: string): void {
  const slowest = Math.max(...times);
  const rate = 1000 * times.length / times.reduce((a, b) => a + b, 0);
  console.log(
    `${what.padEnd(52)} ${rate.toFixed(0).padStart(4)} frames/s, slowest ${
      slowest.toFixed(0).padStart(4)
    } ms          goal ${goal}`,
  );
}

async function bundleSize(base: string): Promise<void> {
  const html = await (await fetch(`${base}/graph`)).text();
  let sum = 0;
  const names = [...html.matchAll(/static\/[\w-]+\.(?:js|css)/g)].map(([name]) => name);
  for (const name of new Set(names)) {
    const bytes = (await Deno.stat(new URL(`../../ui/dist/${name}.gz`, import.meta.url))).size;
    if (name.endsWith(".js")) sum += bytes;
    console.log(`${name.padEnd(52)} ${(bytes / 1000).toFixed(1)} kB gzip`);
  }
  console.log(
    `${"JavaScript before the editor".padEnd(52)} ${
      (sum / 1000).toFixed(1)
    } kB gzip          goal 200 kB`,
  );
}

async function main(): Promise<void> {
  const why = whyNoBrowser();
  if (why !== undefined) {
    console.log(`skipped: ${why}`);
    return;
  }
  const repeat = Number(/--repeat=(\d+)/.exec(Deno.args.join(" "))?.[1] ?? 5);
  const { base, stop } = serve();
  const browser = await startBrowser();
  try {
    await bundleSize(base);
    const times = async <T>(run: () => Promise<T>) => {
      const all: T[] = [];
      for (let i = 0; i < repeat; i++) all.push(await run());
      return all;
    };
    print(
      "first page usable, cold cache",
      await times(() => firstPage(browser, base)),
      "ms",
      "300 ms",
    );
    for (
      const [series, display, goal] of [
        [SERIES, "lines", "150 ms"],
        [MANY_SERIES, "lines", "usable"],
        [SERIES, "stacked", "usable"],
        [SERIES, "heatmap", "usable"],
      ] as const
    ) {
      const all = await times(() => drawing(browser, base, series, display));
      printDrawing(series, display, all, goal);
    }
    printFrames(`scrolling a table of ${ROWS} rows`, await tableFrames(browser, base), "no jank");
    printFrames(`zooming ${BLOCKS} blocks`, await blockFrames(browser, base), "30 frames/s");
  } finally {
    await browser.close();
    await stop();
  }
}

if (import.meta.main) await main();
