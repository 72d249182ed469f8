/**
 * Runs Prometheus `.test` scripts: `deno task promqltest PATH…`, each a script or a folder of them.
 *
 * Prints every failure with file and line and ends with `N passed, N failed`; exits 1 on failures.
 */
import { runScript, type ScriptFailure } from "../../lib/promql/mod.ts";

/** The scripts that a list of files and folders stands for, in order. */
export async function findScripts(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    const info = await Deno.stat(path);
    if (!info.isDirectory) {
      files.push(path);
      continue;
    }
    const inside: string[] = [];
    for await (const entry of Deno.readDir(path)) {
      if (entry.isFile && entry.name.endsWith(".test")) inside.push(`${path}/${entry.name}`);
    }
    files.push(...inside.sort());
  }
  return files;
}

/** Runs one script file. */
export async function runFile(
  path: string,
): Promise<{ passed: number; failures: readonly ScriptFailure[] }> {
  return await runScript(await Deno.readTextFile(path), path);
}

if (import.meta.main) {
  const verbose = Deno.args.includes("--files");
  const paths = Deno.args.filter((a) => !a.startsWith("--"));
  if (paths.length === 0) {
    console.error("usage: deno task promqltest [--files] PATH…   (scripts or folders of scripts)");
    Deno.exit(2);
  }
  let passed = 0;
  let failed = 0;
  for (const file of await findScripts(paths)) {
    const result = await runFile(file);
    passed += result.passed;
    failed += result.failures.length;
    for (const f of result.failures) console.log(`${f.file}:${f.line}: ${f.message}`);
    if (verbose) console.log(`${file}: ${result.passed} passed, ${result.failures.length} failed`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  if (failed > 0) Deno.exit(1);
}
