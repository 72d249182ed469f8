import assert from "node:assert/strict";
import { createLogger } from "../telemetry/mod.ts";
import { PageFiles } from "./page_files.ts";

async function withFolder(run: (folder: string, lines: string[]) => Promise<void>): Promise<void> {
  const folder = `${await Deno.makeTempDir({ prefix: "mneme-pages-" })}/`;
  try {
    await run(folder, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function pagesOf(folder: string, lines: string[]): PageFiles {
  const logger = createLogger({
    level: "info",
    format: "logfmt",
    sink: (line) => lines.push(line),
  });
  return new PageFiles({ folder, logger });
}

/** Writes a build as ui/build.ts leaves it, with one script. */
async function writeBuild(folder: string, script: string, time: Date): Promise<void> {
  await Deno.mkdir(`${folder}dist/static`, { recursive: true });
  await Deno.writeTextFile(`${folder}dist/index.html`, `<p>${script}</p>`);
  for (const end of ["", ".br", ".gz"]) {
    await Deno.writeTextFile(`${folder}dist/static/main-1.js${end}`, `${script}${end}`);
  }
  await Deno.writeTextFile(`${folder}dist/manifest.json`, '{"files":["static/main-1.js"]}');
  await Deno.utime(`${folder}dist/manifest.json`, time, time);
}

Deno.test("PageFiles reads what was built, and again after the next build", async () => {
  await withFolder(async (folder, lines) => {
    await writeBuild(folder, "one", new Date(1000));
    const files = pagesOf(folder, lines);
    const first = await files.load();
    assert.ok("files" in first);
    assert.equal(first.index, "<p>one</p>");
    const script = first.files.get("static/main-1.js")!;
    assert.equal(script.type, "text/javascript; charset=utf-8");
    assert.deepEqual(
      [script.plain, script.br!, script.gzip!].map((b) => new TextDecoder().decode(b)),
      ["one", "one.br", "one.gz"],
    );
    assert.equal(await files.load(), first, "nothing is read twice");
    await writeBuild(folder, "two", new Date(2000));
    const second = await files.load();
    assert.ok("index" in second && second.index === "<p>two</p>");
    assert.deepEqual(lines, []);
  });
});

Deno.test("PageFiles builds when its sources are newer, and tells it in one line", async () => {
  await withFolder(async (folder, lines) => {
    await Deno.writeTextFile(
      `${folder}build.ts`,
      `const dist = new URL("./dist/", import.meta.url);
       await Deno.mkdir(dist, { recursive: true });
       await Deno.writeTextFile(new URL("index.html", dist), "<p>built</p>");
       await Deno.writeTextFile(new URL("manifest.json", dist), '{"files":[]}');\n`,
    );
    const files = pagesOf(folder, lines);
    // Many visitors at once start one build.
    const pages = await Promise.all([files.load(), files.load(), files.load()]);
    for (const set of pages) assert.ok("index" in set && set.index === "<p>built</p>");
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0]!, /msg="built the web pages" duration_seconds=/);
  });
});

Deno.test("PageFiles says what to run when it cannot build, and tries again later", async () => {
  await withFolder(async (folder, lines) => {
    const files = pagesOf(folder, lines);
    const absent = await files.load();
    assert.ok("problem" in absent && absent.problem.includes('run "deno task ui"'));
    await Deno.writeTextFile(`${folder}build.ts`, 'throw new Error("no bundler here");\n');
    const broken = await files.load();
    assert.ok(
      "problem" in broken && broken.problem.includes("no bundler here"),
      JSON.stringify(broken),
    );
    await Deno.remove(`${folder}build.ts`);
    await writeBuild(folder, "late", new Date(3000));
    const found = await files.load();
    assert.ok("index" in found && found.index === "<p>late</p>");
  });
});
