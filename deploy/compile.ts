/**
 * Compiles Mneme with `deno compile`: one program for all commands, and one for each.
 *
 *   deno task compile [--output=dist] [--target=aarch64-unknown-linux-gnu] [<command> ...]
 *
 * Fetches Deno's small runtime from the network once; `deno task package` does without.
 */
import { COMMANDS } from "../cmd/main.ts";
import { findWorkers } from "./bundle.ts";

const root = new URL("..", import.meta.url).pathname;

async function main(): Promise<void> {
  const flags = Deno.args.filter((arg) => arg.startsWith("--"));
  const words = Deno.args.filter((arg) => !arg.startsWith("--"));
  const output = flags.find((flag) => flag.startsWith("--output="))?.slice(9) ?? "dist";
  const target = flags.filter((flag) => flag.startsWith("--target="));
  const unknown = words.filter((word) => word !== "all" && !COMMANDS.some((c) => c.name === word));
  if (unknown.length > 0) throw new Error(`unknown command: ${unknown.join(", ")}`);
  const workers = await findWorkers();
  const pages = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "ui/build.ts"],
    cwd: root,
  }).output();
  if (!pages.success) throw new Error("cannot build the web pages");
  for (const name of words.length > 0 ? words : ["all", ...COMMANDS.map((c) => c.name)]) {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [
        "compile",
        "--allow-all",
        "--no-prompt",
        "--frozen",
        // As mneme_v8 in permissions.sh.
        `--v8-flags=--max-semi-space-size=${name === "compact" ? 4 : 8}`,
        ...target,
        "--include",
        "ui/dist",
        ...workers.flatMap(({ path }) => ["--include", path]),
        `--output=${output}/${name === "all" ? "mneme" : `mneme-${name}`}`,
        name === "all" ? "cmd/main.ts" : `cmd/${name}.ts`,
      ],
      cwd: root,
    }).output();
    if (!success) throw new Error(`cannot compile ${name}; 'deno task package' needs no network`);
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`compile: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
