/** Completion scripts, run by the shells they are for, and the manual page. */
import assert from "node:assert/strict";
import { type CommandNode, flag, printCompletion, printMan } from "./mod.ts";

const leaf: CommandNode = {
  name: "plan",
  help: "Plans.",
  flags: { profile: flag.required(flag.kinds.string, "profile", "One.", { short: "p" }) },
};
const root: CommandNode = {
  name: "mneme",
  help: "A global view.",
  flags: { level: flag.oneOf(["info", "debug"], "log.level", "info", "It's the level. More.") },
  commands: [
    {
      name: "store",
      help: "Serves.",
      flags: {
        dir: flag.path("data-dir", "./data", "Where."),
        wait: flag.bool("wait", false, "Wait."),
        gone: flag.string("gone", "", "-.\\ Old.", { hidden: true }),
      },
    },
    { name: "bench", help: "Makes.", flags: {}, commands: [leaf] },
  ],
};

async function shellWorks(shell: string): Promise<boolean> {
  try {
    return (await new Deno.Command(shell, { args: ["-c", "true"] }).output()).success;
  } catch {
    console.log(`skipped: no ${shell} on PATH`);
    return false;
  }
}

Deno.test("printCompletion() completes commands, flags and values in bash", async () => {
  if (!await shellWorks("bash")) return;
  const lines: readonly [string, string][] = [
    ["mneme s", "store"],
    ["mneme bench ", "plan --log.level= --help --help-long --version"],
    ["mneme store --w", "--wait"],
    ["mneme store --no-", "--no-wait"],
    ["mneme bench plan --pro", "--profile="],
    ["mneme store --log.level=d", "debug"],
    ["mneme store --log.level = d", "debug"],
    ["mneme --log.level i", "info"],
    ["mneme store --gon", ""],
  ];
  const calls = lines.map(([line]) => {
    const words = line.split(" ").map((word) => `'${word}'`).join(" ");
    return `COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]}-1)); _mneme_completion; echo "\${COMPREPLY[*]}"`;
  });
  const script = [printCompletion(root, "bash"), ...calls].join("\n");
  const { stdout, stderr } = await new Deno.Command("bash", {
    args: ["--noprofile", "--norc", "-c", script],
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  const answers = new TextDecoder().decode(stdout).replace(/\n$/, "").split("\n");
  assert.deepEqual(answers, lines.map(([, answer]) => answer));
});

Deno.test("printCompletion() for zsh wraps the bash function, for fish quotes help texts", () => {
  assert.match(printCompletion(root, "zsh"), /^#compdef mneme\nautoload .*bashcompinit\n_mneme/);
  const fish = printCompletion(root, "fish");
  assert.ok(
    fish.includes("complete -c mneme -l log.level -x -a 'info debug' -d 'It\\'s the level.'"),
  );
  assert.ok(fish.includes(
    "complete -c mneme -n '__fish_seen_subcommand_from bench; and " +
      "__fish_seen_subcommand_from plan' -l profile -s p -x -d 'One.'",
  ));
  assert.ok(fish.includes("-l data-dir -r -F"));
  assert.ok(!fish.includes("gone"));
});

Deno.test("printMan() has every command with its visible flags, safe for roff", () => {
  const page = printMan(root, "mneme 1.0");
  assert.ok(page.startsWith('.TH mneme 1 "" "mneme 1.0" "mneme"\n.SH NAME\n'));
  assert.ok(
    page.includes(".SS \\fBbench plan [<flags>]\\fR\nPlans.\n.TP\n\\fB\\-p, \\-\\-profile"),
  );
  assert.ok(!page.includes("gone"));
  const dotted = printMan({ ...root, help: ".start\nwith\\slash" }, "1");
  assert.ok(dotted.includes("\n\\&.start with\\eslash\n"));
});
