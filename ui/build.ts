/**
 * Bundles the pages: `ui/main.tsx` and all it names into `ui/dist`, which the servers read.
 *
 *   deno task ui            builds once
 *   deno task ui --watch    builds again when a source changes
 *
 * What comes out: `index.html` (a template, see lib/api/pages.ts), `static/<name>-<hash>.{js,css,svg}`
 * each with a brotli and a gzip twin, the licences of what was bundled, and `manifest.json`, which is
 * written last. The folder is made beside and renamed, so that a reader never sees half of it.
 */
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build as bundle, type BuildOptions, stop } from "esbuild";

const here = new URL(".", import.meta.url).pathname;
const dist = `${here}dist`;

/** What one build made. Units: bytes, ms. */
export interface BuildReport {
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly br: number }[];
  readonly milliseconds: number;
}

interface NpmPackage {
  readonly name: string;
  readonly version: string;
  readonly dependencies: readonly string[];
  readonly localPath: string;
}

/** Builds into `ui/dist`; throws with esbuild's own messages when a source has an error. */
export async function buildPages(options: { minify?: boolean } = {}): Promise<BuildReport> {
  const began = performance.now();
  const work = `${here}dist.${Deno.pid}.tmp`;
  await Deno.remove(work, { recursive: true }).catch(() => undefined);
  try {
    const packages = await linkPackages(`${work}/modules`);
    const out = `${work}/dist`;
    const result = await bundle({
      ...bundleOptions(options.minify ?? true),
      nodePaths: [`${work}/modules`],
      outdir: `${out}/static`,
    });
    await writeIndex(out, Object.keys(result.metafile!.outputs), result.metafile!);
    await Deno.writeTextFile(
      `${out}/third-party-licenses.txt`,
      await licences(packages, result.metafile!),
    );
    const files = await compressAll(`${out}/static`);
    await Deno.writeTextFile(
      `${out}/manifest.json`,
      `${JSON.stringify({ files: files.map(({ path }) => path) })}\n`,
    );
    await Deno.remove(dist, { recursive: true }).catch(() => undefined);
    // Another build may have been quicker; its files are as good as these.
    await Deno.rename(out, dist).catch(() => undefined);
    return { files, milliseconds: performance.now() - began };
  } finally {
    await Deno.remove(work, { recursive: true }).catch(() => undefined);
    await stop();
  }
}

function bundleOptions(minify: boolean): BuildOptions {
  return {
    absWorkingDir: here,
    entryPoints: ["main.tsx", "icon.svg"],
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: ["chrome111", "firefox115", "safari16.4"],
    mainFields: ["module", "main"],
    conditions: ["browser", "module", "import"],
    jsx: "automatic",
    jsxImportSource: "preact",
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    loader: { ".svg": "copy" },
    minify,
    metafile: true,
    legalComments: "none",
    logLevel: "silent",
  };
}

/** Packages lie in Deno's cache under their versions: links give them the names esbuild looks for. */
async function linkPackages(folder: string): Promise<Map<string, NpmPackage>> {
  await run(["cache", "--quiet", "main.tsx"]);
  const info = JSON.parse(await run(["info", "--json", "main.tsx"])) as {
    readonly modules: readonly { readonly npmPackage?: string }[];
    readonly npmPackages: Readonly<Record<string, NpmPackage>>;
  };
  const found = new Map<string, NpmPackage>();
  const open = info.modules.flatMap(({ npmPackage }) => npmPackage ?? []);
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const entry = info.npmPackages[id];
    if (entry === undefined || found.has(entry.name)) continue;
    found.set(entry.name, entry);
    open.push(...entry.dependencies);
  }
  for (const { name, localPath } of found.values()) {
    const link = `${folder}/${name}`;
    await Deno.mkdir(link.slice(0, link.lastIndexOf("/")), { recursive: true });
    await Deno.symlink(localPath, link);
  }
  return found;
}

async function run(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: here,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (code !== 0) throw new Error(`deno ${args.join(" ")}: ${decode(stderr).trim()}`);
  return decode(stdout);
}

type Metafile = NonNullable<Awaited<ReturnType<typeof bundle>>["metafile"]>;

/** The template with the hashed names of script, style and icon. */
async function writeIndex(
  out: string,
  outputs: readonly string[],
  metafile: Metafile,
): Promise<void> {
  const names = outputs.map((path) => path.slice(path.lastIndexOf("/") + 1));
  const one = (pattern: RegExp) => {
    const name = names.find((n) => pattern.test(n));
    if (name === undefined) throw new Error(`the bundle has no file like ${pattern}`);
    return name;
  };
  const main = outputs.find((path) => /\/main-[^/]*\.js$/.test(path))!;
  // What the first page needs at once is fetched at once, not one import after the other.
  const chunks = metafile.outputs[main]!.imports
    .filter(({ kind }) => kind === "import-statement")
    .map(({ path }) => path.slice(path.lastIndexOf("/") + 1));
  const template = await Deno.readTextFile(`${here}index.html`);
  const values: Readonly<Record<string, string>> = {
    style: one(/^main-.*\.css$/),
    script: one(/^main-.*\.js$/),
    icon: one(/^icon-.*\.svg$/),
    preload: chunks
      .map((chunk) => `<link rel="modulepreload" href="{{ prefix }}/static/${chunk}">`)
      .join(""),
  };
  // The rest is for the server to fill in.
  const html = template.replace(/\{\{ (\w+) \}\}/g, (all, name: string) => values[name] ?? all);
  await Deno.writeTextFile(`${out}/index.html`, html);
}

async function compressAll(folder: string): Promise<BuildReport["files"][number][]> {
  const files: { path: string; bytes: number; br: number }[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    const bytes = await Deno.readFile(`${folder}/${name}`);
    const br = brotliCompressSync(bytes, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 9,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      },
    });
    await Deno.writeFile(`${folder}/${name}.br`, br);
    await Deno.writeFile(`${folder}/${name}.gz`, gzipSync(bytes, { level: 9 }));
    files.push({ path: `static/${name}`, bytes: bytes.length, br: br.length });
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Licence texts of the packages that really are in the bundle. */
async function licences(packages: Map<string, NpmPackage>, metafile: Metafile): Promise<string> {
  const inputs = Object.keys(metafile.inputs);
  const texts: string[] = [];
  for (
    const { name, version, localPath } of [...packages.values()].sort((a, b) =>
      a.name < b.name ? -1 : 1
    )
  ) {
    const used = inputs.some((path) =>
      path.includes(`/${name}/${version}/`) || path.includes(`modules/${name}/`)
    );
    if (!used) continue;
    let text = "(the package has no licence file; see its package.json)";
    for await (const entry of Deno.readDir(localPath)) {
      if (entry.isFile && /^(?:licen[cs]e|copying)/i.test(entry.name)) {
        text = await Deno.readTextFile(`${localPath}/${entry.name}`);
      }
    }
    texts.push(`${name} ${version}\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

function report({ files, milliseconds }: BuildReport): void {
  for (const { path, bytes, br } of files) {
    console.log(
      `${path.padEnd(40)} ${(bytes / 1000).toFixed(1).padStart(8)} kB ${
        (br / 1000).toFixed(1).padStart(8)
      } kB br`,
    );
  }
  console.log(`ui/dist built in ${milliseconds.toFixed(0)} ms`);
}

if (import.meta.main) {
  const minify = !Deno.args.includes("--no-minify");
  report(await buildPages({ minify }));
  if (Deno.args.includes("--watch")) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    for await (const event of Deno.watchFs(here)) {
      if (event.paths.every((p) => p.includes(`${here}dist`))) continue;
      clearTimeout(timer);
      timer = setTimeout(() => {
        buildPages({ minify }).then(report, (error: unknown) => console.error(String(error)));
      }, 100);
    }
  }
}
