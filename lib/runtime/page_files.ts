/** The built web pages on disk, and their build at the first visit in a plain checkout. */
import { errorMessage } from "../base/mod.ts";
import type { Logger } from "../telemetry/mod.ts";

/** A file with its compressed twins. */
export interface BuiltFile {
  readonly type: string;
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly br?: Uint8Array<ArrayBuffer>;
  readonly gzip?: Uint8Array<ArrayBuffer>;
}

/** All files below `static/` by path and the page's template, or why there are none. */
export type BuiltPages =
  | { readonly index: string; readonly files: ReadonlyMap<string, BuiltFile> }
  | { readonly problem: string };

/** Where the pages are. */
export interface PageFilesOptions {
  /** Folder with `build.ts` and, once built, `dist`. */
  readonly folder: string;
  readonly logger: Logger;
}

const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Reads the pages once; builds them before when they are absent or older than their sources. */
export class PageFiles {
  readonly #options: PageFilesOptions;
  #pages: Promise<BuiltPages> | undefined;
  /** When what was read was built. */
  #built: number | undefined;

  constructor(options: PageFilesOptions) {
    this.#options = options;
  }

  /** The pages; read again when they were built again, tried again after a failure. */
  readonly load = async (): Promise<BuiltPages> => {
    const built = await modified(`${this.#options.folder}dist/manifest.json`);
    const fresh = built === undefined || built === this.#built;
    if (this.#pages === undefined || !fresh) {
      this.#built = built;
      this.#pages = this.#pages === undefined ? this.#build() : this.#read();
    }
    const pages = await this.#pages;
    if ("problem" in pages) this.#pages = undefined;
    return pages;
  };

  async #build(): Promise<BuiltPages> {
    const { folder, logger } = this.#options;
    const manifest = `${folder}dist/manifest.json`;
    const built = await modified(manifest);
    if (built === undefined || built < await newestSource(folder)) {
      const failure = await build(folder, logger);
      this.#built = await modified(manifest);
      if (failure !== undefined && built === undefined) {
        logger.warn("the web pages are not built", { err: failure });
        return {
          problem: `The web pages are not built and this server could not build them ` +
            `(${failure}): run "deno task ui" in its folder and load this page again.`,
        };
      }
    }
    return await this.#read();
  }

  async #read(): Promise<BuiltPages> {
    try {
      return await readPages(`${this.#options.folder}dist`);
    } catch (error) {
      return {
        problem: `The built web pages cannot be read (${errorMessage(error)}): ` +
          `run "deno task ui" in the server's folder and load this page again.`,
      };
    }
  }
}

async function readPages(dist: string): Promise<BuiltPages> {
  const manifest = JSON.parse(await Deno.readTextFile(`${dist}/manifest.json`)) as {
    readonly files: readonly string[];
  };
  const files = new Map<string, BuiltFile>();
  await Promise.all(manifest.files.map(async (path) => {
    const [plain, br, gzip] = await Promise.all([
      Deno.readFile(`${dist}/${path}`),
      Deno.readFile(`${dist}/${path}.br`),
      Deno.readFile(`${dist}/${path}.gz`),
    ]);
    const type = TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream";
    files.set(path, { type, plain, br, gzip });
  }));
  return { index: await Deno.readTextFile(`${dist}/index.html`), files };
}

/** Runs the build as a process of its own; tells why it could not. */
async function build(folder: string, logger: Logger): Promise<string | undefined> {
  const script = `${folder}build.ts`;
  if (await modified(script) === undefined) return "its sources are not here";
  const began = performance.now();
  try {
    const command = Deno.execPath();
    const { state } = await Deno.permissions.query({ name: "run", command });
    if (state !== "granted") return "it may not start programs";
    const { code, stderr } = await new Deno.Command(command, {
      args: ["run", "-A", "--no-check", script],
      cwd: folder,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (code !== 0) {
      const text = new TextDecoder().decode(stderr).trim();
      return /^error: (?:Uncaught \(.*?\) )?(.*)$/m.exec(text)?.[1] ?? text.slice(-200);
    }
  } catch (error) {
    return errorMessage(error);
  }
  logger.info("built the web pages", { duration_seconds: (performance.now() - began) / 1000 });
  return undefined;
}

/** Time of the last change of a file, ms; undefined when it is not there or may not be read. */
async function modified(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).mtime?.getTime() ?? 0;
  } catch {
    return undefined;
  }
}

/** Time of the newest source, 0 when there are none. */
async function newestSource(folder: string): Promise<number> {
  let newest = 0;
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.name.startsWith("dist") || entry.name.endsWith("_test.ts")) continue;
      const time = entry.isDirectory
        ? await newestSource(`${folder}${entry.name}/`)
        : await modified(`${folder}${entry.name}`) ?? 0;
      newest = Math.max(newest, time);
    }
  } catch {
    // Not readable: what is built is what is served.
  }
  return newest;
}
