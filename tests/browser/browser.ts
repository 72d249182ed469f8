/** Debian's chromium for tests: pages that must stay without errors, screenshots, accessibility. */
import assert from "node:assert/strict";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { isOnPath } from "../../lib/runtime/child_process.ts";

const root = new URL("../..", import.meta.url).pathname;

/** Where screenshots go: outside of version control, kept by the CI. */
export const SCREENSHOTS = `${root}.screenshots`;

/** Looking for something on a page may take this long on a busy machine, ms. */
export const PATIENCE = 15_000;

/** Why no browser test can run here; undefined when they can. */
export function whyNoBrowser(): string | undefined {
  return isOnPath("chromium") ? undefined : "chromium is not on PATH";
}

/** Starts the browser; the caller closes it. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
}

/** A page that collects what goes wrong on it. */
export interface Watched {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Console errors, exceptions, violations of the content policy, requests to other hosts. */
  readonly problems: string[];
}

/** Opens a page of its own context at a path of `base`. */
export async function open(
  browser: Browser,
  base: string,
  path: string,
  options: { readonly scheme?: "light" | "dark"; readonly width?: number } = {},
): Promise<Watched> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1360, height: 900 },
    colorScheme: options.scheme ?? "light",
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(PATIENCE);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`exception: ${error.stack ?? error.message}`));
  page.on("request", (request) => {
    const { host, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && host !== new URL(base).host) {
      problems.push(`request to another host: ${request.url()}`);
    }
  });
  // Told in the document, whichever directive it was.
  await page.addInitScript({
    content: `document.addEventListener("securitypolicyviolation", (event) => {
      console.error("policy: " + event.violatedDirective + " " + event.blockedURI);
    });`,
  });
  await page.goto(`${base}${path}`);
  return { page, context, problems };
}

/** Ends a page, which must have had no problem. */
export async function close({ context, problems, page }: Watched): Promise<void> {
  const at = page.url();
  await context.close();
  assert.deepEqual(problems, [], `problems on ${at}`);
}

/** Takes a picture under a name. */
export async function picture(page: Page, name: string): Promise<void> {
  await Deno.mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string | null;
    readonly help: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

/**
 * Findings of axe-core that keep people out: serious and critical ones, one line each; of some
 * rules only where the rest was looked at before.
 */
export async function seriousFindings(
  page: Page,
  rules?: readonly string[],
): Promise<string[]> {
  const source = await Deno.readTextFile(
    new URL("./axe.min.js", import.meta.resolve("axe-core")),
  );
  await page.evaluate(source);
  const options = {
    resultTypes: ["violations"],
    ...(rules === undefined ? {} : { runOnly: { type: "rule", values: rules } }),
  };
  const { violations } = await page.evaluate(
    `axe.run(document, ${JSON.stringify(options)})`,
  ) as AxeResult;
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) =>
      `${id}: ${help}: ${
        nodes.slice(0, 4).map((n) => `${n.html.slice(0, 160)} ${n.failureSummary ?? ""}`).join(
          " | ",
        )
      }`
    );
}

/** A step that fails leaves pictures of what was open. */
export async function pictured(
  browser: Browser,
  name: string,
  run: () => Promise<void>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    const pages = browser.contexts().flatMap((context) => context.pages());
    for (const [i, page] of pages.entries()) {
      const file = `failed-${name.replace(/[^a-z]+/gi, "-").slice(0, 40)}-${i}`;
      await picture(page, file).catch((why) => console.log(`no picture ${file}: ${why}`));
    }
    throw error;
  } finally {
    for (const context of browser.contexts()) await context.close();
  }
}
