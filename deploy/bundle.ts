/** Bundles of all commands and workers, and the web pages: nothing that needs packages. */

const root = new URL("..", import.meta.url).pathname;
const WORKER = /new Worker\(\s*new URL\(\s*"(\.\/[\w./]+\.ts)"/g;

/** A worker's file and the text by which its starter names it. */
interface WorkerFile {
  readonly path: string;
  readonly named: string;
}

/** Every module that the code of `lib` and `cmd` starts as a worker. */
export async function findWorkers(): Promise<WorkerFile[]> {
  const workers = new Map<string, WorkerFile>();
  const visit = async (folder: string) => {
    for await (const entry of Deno.readDir(`${root}${folder}`)) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory) await visit(path);
      else if (entry.name.endsWith(".ts") && !/_(?:test|bench)\.ts$/.test(entry.name)) {
        const text = await Deno.readTextFile(`${root}${path}`);
        for (const [, named = ""] of text.matchAll(WORKER)) {
          const file = new URL(named, `file:///${path}`).pathname.slice(1);
          workers.set(file, { path: file, named });
        }
      }
    }
  };
  for (const folder of ["lib", "cmd"]) await visit(folder);
  return [...workers.values()];
}

async function deno(args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`deno ${args[0]} failed: ${new TextDecoder().decode(stderr)}`);
}

/** Where the servers look for the pages, from the folder `cmd`. */
const PAGES = "../ui/";

/** Writes `<folder>/cmd/main.js`, its chunks, the workers below `<folder>/lib`, and the pages. */
export async function bundleProgram(folder: string): Promise<void> {
  const workers = await findWorkers();
  await deno(["run", "-A", "--no-check", "ui/build.ts"]);
  await deno(
    [
      "bundle",
      "--quiet",
      "--platform=deno",
      "--code-splitting",
      "--minify",
      "--keep-names",
      `--outdir=${folder}`,
      "cmd/main.ts",
      ...workers.map(({ path }) => path),
    ],
  );
  const revision = await gitFact(["rev-parse", "HEAD"], "MNEME_REVISION");
  const branch = await gitFact(["rev-parse", "--abbrev-ref", "HEAD"], "MNEME_BRANCH");
  for await (const path of scripts(folder)) {
    let text = await Deno.readTextFile(path);
    const depth = path.slice(folder.length + 1).split("/").length - 1;
    for (const worker of workers) {
      // Chunks lie elsewhere than their sources: the way to the worker starts at the top folder.
      const way = `./${"../".repeat(depth)}${worker.path.replace(/\.ts$/, ".js")}`;
      text = text.replaceAll(JSON.stringify(worker.named), JSON.stringify(way));
    }
    text = text.replaceAll(JSON.stringify(PAGES), JSON.stringify(`./${"../".repeat(depth)}ui/`));
    // What `--version` and thanos_build_info tell.
    text = text.replaceAll(
      'revision:"unknown",branch:"unknown"',
      `revision:${JSON.stringify(revision)},branch:${JSON.stringify(branch)}`,
    );
    if (text.includes("Dynamic require of")) {
      // Packages in the older module format ask for the runtime's own modules by require().
      text = 'import{createRequire as $createRequire}from"node:module";' +
        `var require=$createRequire(import.meta.url);${text}`;
    }
    await Deno.writeTextFile(path, text);
  }
  await copyTree(`${root}ui/dist`, `${folder}/ui/dist`);
}

/** What git knows of the sources; the environment's word where there is no repository. */
async function gitFact(args: readonly string[], variable: string): Promise<string> {
  const given = Deno.env.get(variable);
  if (given !== undefined && given !== "") return given;
  try {
    const { success, stdout } = await new Deno.Command("git", { args: [...args], cwd: root })
      .output();
    if (success) return new TextDecoder().decode(stdout).trim();
  } catch {
    // No git here.
  }
  return "unknown";
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (entry.isDirectory) await copyTree(`${from}/${entry.name}`, `${to}/${entry.name}`);
    else await Deno.copyFile(`${from}/${entry.name}`, `${to}/${entry.name}`);
  }
}

async function* scripts(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* scripts(path);
    else if (entry.name.endsWith(".js")) yield path;
  }
}

if (import.meta.main) {
  const [folder] = Deno.args;
  if (folder === undefined) {
    console.error("usage: deno run -A deploy/bundle.ts <folder>");
    Deno.exit(1);
  }
  await bundleProgram(folder);
}
