/** Help texts as people see them. */
import assert from "node:assert/strict";
import { type CommandNode, flag, printHelp, printMarkdown, wrapText } from "./mod.ts";

const store: CommandNode = {
  name: "store",
  help: "Serves blocks.",
  flags: {
    dir: flag.path("data-dir", "./data", "Where index headers are kept between starts."),
    wait: flag.bool("wait", false, "Wait."),
    endpoint: flag.repeated(flag.kinds.address, "endpoint", "Address.", {
      placeholder: "<endpoint>",
    }),
    profile: flag.required(flag.kinds.string, "profile", "One | two.", { short: "p" }),
    long: flag.duration("store.a-very-long-flag-name-indeed", "5m", "Help below."),
    hidden: flag.int("hidden", "1", "Not shown.", { hidden: true }),
    gone: flag.string("gone", "", "Old.", { noEffect: "of no use" }),
  },
};
const root: CommandNode = {
  name: "mneme",
  help: "A global view.",
  flags: { level: flag.oneOf(["info", "debug"], "log.level", "info", "Log level.") },
  commands: [store],
};

Deno.test("printHelp() lays out a command in two columns of at most 80", () => {
  assert.equal(
    printHelp([root, store]),
    `usage: mneme store [<flags>]

Serves blocks.

Flags:
  -h, --help                     Show context-sensitive help (also try
                                 --help-long).
      --version                  Show application version.
      --log.level=info           Log level.
      --data-dir="./data"        Where index headers are kept between starts.
      --[no-]wait                Wait.
      --endpoint=<endpoint> ...  Address.
  -p, --profile=<profile>        One | two.
      --store.a-very-long-flag-name-indeed=5m
                                 Help below.
      --gone=<gone>              Old.
`,
  );
  for (const line of printHelp([root, store]).split("\n")) assert.ok(line.length <= 80, line);
});

Deno.test("printHelp() of the program lists its commands, long with their flags", () => {
  const short = printHelp([root]);
  assert.ok(
    short.startsWith(
      "usage: mneme [<flags>] <command> [<args> ...]\n\nA global view.\n\n\nFlags:\n",
    ),
  );
  assert.ok(short.includes("Commands:\n  store [<flags>]\n    Serves blocks.\n"));
  assert.ok(!short.includes("--data-dir"));
  assert.ok(printHelp([root], true).includes('--data-dir="./data"'));
});

Deno.test("printMarkdown() has every visible flag and escapes table bars", () => {
  const page = printMarkdown([root, store]);
  assert.ok(page.includes("| `-p`, `--profile` | string | required | One \\| two. |"));
  assert.ok(page.includes("| `--endpoint` | address, repeatable |  | Address. |"));
  assert.ok(page.includes("Accepted, without effect: of no use."));
  assert.ok(page.includes("| `--log.level` | info\\|debug | `info` | Log level. |"));
  assert.ok(!page.includes("--hidden"));
});

Deno.test("wrapText() breaks at spaces and keeps long words", () => {
  assert.deepEqual(wrapText("aa bb cc", 5), ["aa bb", "cc"]);
  assert.deepEqual(wrapText("aaaaaaaa b", 5), ["aaaaaaaa", "b"]);
  assert.deepEqual(wrapText("", 5), [""]);
});
