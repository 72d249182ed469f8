/** Data set P on disk: generated once, reused while complete. */
import { MnemeError } from "../../lib/base/mod.ts";

const BLOCKS = 168;
const root = new URL("../..", import.meta.url).pathname;

async function blockNames(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (!/^[0-9A-HJKMNP-TV-Z]{26}$/.test(entry.name)) continue;
      try {
        await Deno.stat(`${folder}/${entry.name}/meta.json`);
        names.push(entry.name);
      } catch {
        // No meta.json: not a block.
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/** Makes (or finds) the bucket below `folder`; returns its path. */
export async function benchData(folder: string, log: (line: string) => void): Promise<string> {
  const bucket = `${folder}/bucket-p`;
  if ((await blockNames(bucket)).length === BLOCKS) {
    log(`data set P: found in ${bucket}`);
    return bucket;
  }
  await Deno.remove(bucket, { recursive: true }).catch(() => undefined);
  await Deno.mkdir(folder, { recursive: true });
  const bench = ["run", "-A", `${root}cmd/bench.ts`, "block"];
  const plan = await new Deno.Command(Deno.execPath(), {
    args: [...bench, "plan", "--profile=bench-mixed-14d", '--labels=cluster="bench"'],
    stderr: "inherit",
  }).output();
  if (!plan.success) throw new MnemeError("internal", "bench block plan failed");
  const start = performance.now();
  const gen = new Deno.Command(Deno.execPath(), {
    args: [...bench, "gen", `--output.dir=${bucket}`],
    stdin: "piped",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const writer = gen.stdin.getWriter();
  await writer.write(plan.stdout);
  await writer.close();
  if (!(await gen.status).success) throw new MnemeError("internal", "bench block gen failed");
  log(`data set P: generated in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  const count = (await blockNames(bucket)).length;
  if (count !== BLOCKS) {
    throw new MnemeError("internal", `expected ${BLOCKS} blocks in ${bucket}, found ${count}`);
  }
  return bucket;
}

/** A Prometheus data folder with hard links to the blocks (and nothing else of an earlier run). */
export async function linkBlocks(bucket: string, target: string): Promise<void> {
  await Deno.remove(target, { recursive: true }).catch(() => undefined);
  await linkTree(bucket, target);
}

async function linkTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (entry.isDirectory) await linkTree(`${from}/${entry.name}`, `${to}/${entry.name}`);
    else await Deno.link(`${from}/${entry.name}`, `${to}/${entry.name}`);
  }
}
