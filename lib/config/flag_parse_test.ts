/** Command lines by kingpin's rules, as tables. */
import assert from "node:assert/strict";
import {
  type CommandLine,
  CommandLineError,
  type CommandNode,
  type ConfigOf,
  findCommandWord,
  flag,
  type FlagHost,
  parseCommandLine,
  printArgs,
} from "./mod.ts";

const FILES: Readonly<Record<string, string>> = {
  "args.txt": "# comment\n\n--data-dir\n./from file\n--wait\n",
  "nested.txt": "@args.txt\n",
  "loop.txt": "@loop.txt\n",
  "objstore.yml": "type: FILESYSTEM\n",
};

const host: FlagHost = {
  readText(path) {
    const text = FILES[path];
    if (text === undefined) throw new Error(`no such file: ${path}`);
    return text;
  },
  env: (name) => ({ BUCKET: "b1" } as Record<string, string>)[name],
};

const storeFlags = {
  dataDir: flag.path("data-dir", "./data", "Data directory."),
  cache: flag.bool("cache-index-header", true, "Cache."),
  wait: flag.bool("wait", false, "Wait.", { short: "w" }),
  cacheSize: flag.size("index-cache-size", "250MB", "Size."),
  sync: flag.goDuration("sync-block-duration", "15m", "Period."),
  grace: flag.duration("http-grace-period", "2m", "Grace."),
  minTime: flag.timeOrDuration("min-time", "0000-01-01T00:00:00Z", "Start."),
  lookback: flag.goDuration("query.lookback-delta", undefined, "Lookback."),
  endpoints: flag.repeated(flag.kinds.address, "endpoint", "Address.", { aliases: ["store"] }),
  labels: flag.repeated(flag.kinds.label, "label", "Label."),
  concurrency: flag.int("series-max-concurrency", "20", "Concurrency."),
  ratio: flag.float("ratio", "0.9", "Ratio."),
  limit: flag.uint("limit", "0", "Limit.", { aliases: ["old-limit"] }),
  strategy: flag.oneOf(["eager", "lazy"], "strategy", "eager", "Strategy."),
  url: flag.url("prometheus.url", "http://localhost:9090", "URL."),
  link: flag.linkTemplate("web.trace-url", "", "Link."),
  objstore: flag.pathOrContent("objstore.config", "bucket configuration.", { secret: true }),
  relabel: flag.pathOrContent("selector.relabel-config", "relabelling.", { expand: false }),
  old: flag.string("debug.old", "", "Old.", { hidden: true, noEffect: "nothing to debug" }),
} as const;

const genFlags = {
  profile: flag.required(flag.kinds.string, "profile", "Profile.", { short: "p" }),
};

const root: CommandNode = {
  name: "mneme",
  help: "Program.",
  flags: { level: flag.oneOf(["error", "info", "debug"], "log.level", "info", "Level.") },
  commands: [
    { name: "store", help: "Store.", flags: storeFlags },
    {
      name: "bench",
      help: "Bench.",
      flags: {},
      commands: [{ name: "gen", help: "Generates.", flags: genFlags }],
    },
    { name: "check", help: "Checks.", flags: {}, rest: { name: "file", help: "Files." } },
  ],
};

type Run = Extract<CommandLine, { kind: "run" }>;
type StoreConfig = ConfigOf<typeof storeFlags>;

function run(...args: string[]): Run {
  const line = parseCommandLine(root, args, host);
  assert.equal(line.kind, "run");
  return line as Run;
}

function store(...args: string[]): StoreConfig {
  return run("store", ...args).config as StoreConfig;
}

Deno.test("parseCommandLine() applies defaults of every kind", () => {
  const c = store();
  assert.equal(c.dataDir, "./data");
  assert.equal(c.cache, true);
  assert.equal(c.cacheSize, 250 * 2 ** 20);
  assert.equal(c.sync, 900_000);
  assert.equal(c.grace, 120_000);
  assert.equal(c.minTime.at(5), -62_167_219_200_000);
  assert.equal(c.lookback, undefined);
  assert.deepEqual(c.endpoints, []);
  assert.equal(c.concurrency, 20);
  assert.equal(c.strategy, "eager");
  assert.equal(c.objstore.given, false);
});

const FORMS: readonly [string, string[], (c: StoreConfig) => unknown, unknown][] = [
  ["--a=b", ["--data-dir=/x"], (c) => c.dataDir, "/x"],
  ["--a b", ["--data-dir", "/x"], (c) => c.dataDir, "/x"],
  ["value with '='", ["--data-dir=a=b"], (c) => c.dataDir, "a=b"],
  ["empty value", ["--data-dir="], (c) => c.dataDir, ""],
  ["single dash is a value", ["--data-dir", "-"], (c) => c.dataDir, "-"],
  ["switch on", ["--wait"], (c) => c.wait, true],
  ["short switch", ["-w"], (c) => c.wait, true],
  ["switch off", ["--no-cache-index-header"], (c) => c.cache, false],
  [
    "repeated in order",
    ["--endpoint=a:1", "--store", "b:2", "--endpoint=c:3"],
    (c) => c.endpoints,
    ["a:1", "b:2", "c:3"],
  ],
  ["DNS address", ["--store=dns+a"], (c) => c.endpoints, ["dns+a"]],
  ["two names of one flag: the last wins", ["--limit=1", "--old-limit=2"], (c) => c.limit, 2],
  ["label", ['--label=a="b=\\"c\\u00e9"'], (c) => c.labels, [{ name: "a", value: 'b="cé' }]],
  ["UTF-8 label name", ["--label=ünits=`x`"], (c) => c.labels, [{ name: "ünits", value: "x" }]],
  ["Go duration", ["--sync-block-duration=1.5h"], (c) => c.sync, 5_400_000],
  ["model duration", ["--http-grace-period=1h30m"], (c) => c.grace, 5_400_000],
  ["negative int", ["--series-max-concurrency=-1"], (c) => c.concurrency, -1],
  ["float", ["--ratio=1e-1"], (c) => c.ratio, 0.1],
  ["relative time", ["--min-time=-6h"], (c) => c.minTime.at(1e9), 1e9 - 21_600_000],
  ["bare relative time lies ahead", ["--min-time=6h"], (c) => c.minTime.at(1e9), 1e9 + 21_600_000],
  ["fixed time", ["--min-time=2026-11-22T13:58:02+01:00"], (c) => c.minTime.at(1), 1795352282000],
  ["@file", ["@args.txt"], (c) => [c.dataDir, c.wait], ["./from file", true]],
  ["nested @file", ["@nested.txt"], (c) => c.dataDir, "./from file"],
  ["@ after = is a value", ["--data-dir=@args.txt"], (c) => c.dataDir, "@args.txt"],
  [
    "inline content",
    ["--objstore.config=type: X\nb: $(BUCKET)"],
    (c) => c.objstore.load(),
    "type: X\nb: b1",
  ],
  [
    "content from a file",
    ["--objstore.config-file=objstore.yml"],
    (c) => c.objstore.load(),
    "type: FILESYSTEM\n",
  ],
  ["no expansion", ["--selector.relabel-config=$(NOPE)"], (c) => c.relabel.load(), "$(NOPE)"],
];

for (const [name, args, pick, expected] of FORMS) {
  Deno.test(`parseCommandLine() reads: ${name}`, () => {
    assert.deepEqual(pick(store(...args)), expected);
  });
}

const ERRORS: readonly [string, string[], 1 | 2, string][] = [
  ["unknown flag", ["store", "--x"], 1, "unknown long flag '--x'"],
  [
    "typo",
    ["store", "--data-dirr=1"],
    1,
    "unknown long flag '--data-dirr', did you mean '--data-dir'?",
  ],
  [
    "typo in an alias",
    ["store", "--stor=a:1"],
    1,
    "unknown long flag '--stor', did you mean '--store'?",
  ],
  [
    "hidden flags are not suggested",
    ["store", "--debug.olt=1"],
    1,
    "unknown long flag '--debug.olt'",
  ],
  ["unknown short flag", ["store", "-z"], 1, "unknown short flag '-z'"],
  ["unknown command", ["stor"], 1, "expected command but got 'stor', did you mean 'store'?"],
  ["a command's flag before it", ["--wait", "store"], 1, "unknown long flag '--wait'"],
  ["missing value", ["store", "--data-dir"], 1, "expected argument for flag '--data-dir'"],
  [
    "flag as value",
    ["store", "--data-dir", "--wait"],
    1,
    "expected argument for flag '--data-dir'",
  ],
  [
    "negative value after a space",
    ["store", "--min-time", "-6h"],
    1,
    "expected argument for flag '--min-time', write --min-time=-6h for a value that starts with '-'",
  ],
  [
    "switch with a value",
    ["store", "--wait=false"],
    1,
    "unexpected 'false': '--wait' is a switch, write --wait or --no-wait",
  ],
  ["stray word", ["store", "word"], 1, "unexpected 'word'"],
  [
    "no- of a flag with a value",
    ["store", "--no-data-dir"],
    1,
    "unknown long flag '--no-data-dir', did you mean '--data-dir'?",
  ],
  ["command missing", ["bench"], 1, "command not specified: expected one of gen"],
  [
    "missing argument file",
    ["store", "@nope"],
    1,
    "cannot read argument file 'nope': no such file: nope",
  ],
  [
    "argument file loop",
    ["store", "@loop.txt"],
    1,
    "argument files nest too deeply at '@loop.txt'",
  ],
  ["repeated flag", ["store", "--ratio=1", "--ratio=2"], 2, "flag 'ratio' cannot be repeated"],
  [
    "bad enum",
    ["--log.level=x", "store"],
    2,
    "--log.level: enum value must be one of error,info,debug, got 'x'",
  ],
  [
    "bad int",
    ["store", "--series-max-concurrency=1.5"],
    2,
    "--series-max-concurrency: expected an integer, got '1.5'",
  ],
  ["bad uint", ["store", "--limit=-1"], 2, "--limit: expected an integer of at least 0, got '-1'"],
  ["bad float", ["store", "--ratio=x"], 2, "--ratio: expected a number, got 'x'"],
  [
    "bad model duration",
    ["store", "--http-grace-period=1.5m"],
    2,
    '--http-grace-period: unknown unit "." in duration "1.5m"',
  ],
  [
    "bad Go duration",
    ["store", "--sync-block-duration=5"],
    2,
    '--sync-block-duration: time: missing unit in duration "5"',
  ],
  [
    "size without unit",
    ["store", "--index-cache-size=5"],
    2,
    "--index-cache-size: units: unknown unit  in 5",
  ],
  [
    "size with a lower-case unit",
    ["store", "--index-cache-size=5kB"],
    2,
    "--index-cache-size: units: unknown unit kB in 5kB",
  ],
  [
    "bad time",
    ["store", "--min-time=2026-02-30T00:00:00Z"],
    2,
    "--min-time: '2026-02-30T00:00:00Z' is neither an RFC 3339 time nor a duration",
  ],
  [
    "bad address",
    ["store", "--endpoint=foo"],
    2,
    "--endpoint: Address foo is not of <host>:<port> format or a valid DNS query.",
  ],
  ["empty address", ["store", "--endpoint="], 2, "--endpoint: static address cannot be empty"],
  [
    "unquoted label",
    ["store", "--label=a=b"],
    2,
    "--label: label 'a=b': the value must be a quoted string, as in a=\"value\"",
  ],
  [
    "a link that is no web address",
    ["store", "--web.trace-url=javascript:alert('{trace_id}')"],
    2,
    "--web.trace-url: expected an address that begins with http:// or https://, got 'javascript:alert('{trace_id}')'",
  ],
  [
    "a link whose host a label would choose",
    ["store", "--web.trace-url=https://{trace_id}/x"],
    2,
    "--web.trace-url: expected {trace_id} after the host, where the ID belongs, got 'https://{trace_id}/x'",
  ],
  ["bad URL", ["store", "--prometheus.url=foo"], 2, "--prometheus.url: expected a URL, got 'foo'"],
  ["required flag", ["bench", "gen"], 2, "required flag --profile not provided"],
];

for (const [name, args, exitCode, message] of ERRORS) {
  Deno.test(`parseCommandLine() refuses: ${name}`, () => {
    assert.throws(() => parseCommandLine(root, args, host), (error: unknown) => {
      assert.ok(error instanceof CommandLineError);
      assert.equal(error.message, message);
      assert.equal(error.exitCode, exitCode);
      return true;
    });
  });
}

Deno.test("parseCommandLine() takes root flags before and after the command word", () => {
  assert.equal(run("--log.level", "debug", "store").globals.level, "debug");
  assert.equal(run("store", "--log.level=error").globals.level, "error");
});

Deno.test("parseCommandLine() reads nested commands, short flags and words", () => {
  assert.equal(run("bench", "gen", "-p", "x").config.profile, "x");
  assert.equal(run("bench", "gen", "-px").config.profile, "x");
  assert.deepEqual(run("check", "a", "--", "--b", "@c").rest, ["a", "--b", "@c"]);
});

Deno.test("parseCommandLine() asks for help or the version", () => {
  const names = (...args: string[]) => {
    const line = parseCommandLine(root, args, host);
    return line.kind === "help" ? [line.path.map((n) => n.name).join(" "), line.long] : line.kind;
  };
  assert.deepEqual(names(), ["mneme", false]);
  assert.deepEqual(names("-h"), ["mneme", false]);
  assert.deepEqual(names("help"), ["mneme", false]);
  assert.deepEqual(names("help", "store"), ["mneme store", false]);
  assert.deepEqual(names("store", "--help"), ["mneme store", false]);
  assert.deepEqual(names("--help", "bench", "gen"), ["mneme bench gen", false]);
  assert.deepEqual(names("--help-long"), ["mneme", true]);
  assert.equal(names("--version"), "version");
});

Deno.test("parseCommandLine() warns of flags without effect", () => {
  assert.deepEqual(run("store", "--debug.old=1").warnings, [
    "--debug.old has no effect: nothing to debug",
  ]);
  assert.deepEqual(run("store").warnings, []);
});

Deno.test("parseCommandLine() shows the command's flags, secrets redacted", () => {
  const { shown } = run(
    "store",
    "--objstore.config=secret",
    "--endpoint=a:1",
    "--endpoint=b:2",
    "--ratio=1000000000000000000000000",
    "--prometheus.url=http://user:pass@host/x",
  );
  assert.equal(shown["objstore.config"], "<REDACTED>");
  assert.equal(shown["objstore.config-file"], "<REDACTED>");
  assert.equal(shown["endpoint"], "a:1,b:2");
  assert.equal(shown["sync-block-duration"], "15m0s");
  assert.equal(shown["http-grace-period"], "2m");
  assert.equal(shown["index-cache-size"], "250MiB");
  assert.equal(shown["query.lookback-delta"], "");
  assert.equal(shown["cache-index-header"], "true");
  assert.equal(shown["ratio"], "1e+24");
  assert.equal(shown["prometheus.url"], "http://user:xxxxx@host/x");
  assert.equal(shown["debug.old"], "");
  assert.ok(!("log.level" in shown));
});

Deno.test("PathOrContent.load() refuses both, a missing file, an unset variable, and nothing", () => {
  const load = (...args: string[]) => () => store(...args).objstore.load();
  const both = ["--objstore.config=x", "--objstore.config-file=y"];
  assert.throws(load(...both), {
    message: "both objstore.config-file and objstore.config flags set.",
  });
  assert.throws(load("--objstore.config-file=nope"), {
    message: "loading file nope for objstore.config-file: no such file: nope",
  });
  assert.throws(load("--objstore.config=$(NOPE)"), {
    message: '--objstore.config: found reference to unset environment variable "NOPE"',
  });
  const needed = flag.pathOrContent("x", "x.", { required: true });
  assert.throws(() => needed.read([[], []], host).load(), {
    message: "flag x-file or x is required for running this command and content cannot be empty.",
  });
});

Deno.test("findCommandWord() skips the root's flags and their values", () => {
  assert.equal(findCommandWord(root, ["--log.level", "debug", "store", "--x"]), 2);
  assert.equal(findCommandWord(root, ["--help"]), undefined);
  assert.throws(() => findCommandWord(root, ["--nope", "store"]), CommandLineError);
});

Deno.test("printArgs() is one line without secrets", () => {
  const args = ["store", "--objstore.config", "a: 1", "--objstore.config=b\nc", "--data-dir=x\ny"];
  assert.equal(
    printArgs(root, args),
    "[store --objstore.config <REDACTED> --objstore.config=<REDACTED> --data-dir=x\\ny]",
  );
});
