/** `bench block` as a process: streams, exit codes, files. */
import assert from "node:assert/strict";
import { isOnPath } from "../lib/runtime/child_process.ts";

const program = new URL("./bench.ts", import.meta.url).pathname;

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function bench(args: readonly string[], input?: string): Promise<Result> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", program, "block", ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(input ?? ""));
    await writer.close();
  } catch {
    // It ended without reading, which its exit code tells better.
  }
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-bench-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const LABELS = `--labels=cluster="eu1"`;

/** A plan of its newest blocks only. */
function newest(plan: string, blocks: number): string {
  return plan.split("---\n").slice(0, blocks).join("---\n");
}

Deno.test("block plan prints YAML only, its end at the border above the time asked for", async () => {
  const time = "--max-time=2026-11-22T19:58:02Z";
  const plan = await bench(["plan", "-p", "continuous-365d-tiny", LABELS, time]);
  assert.equal(plan.code, 0, plan.err);
  assert.equal(plan.err, "");
  assert.equal(plan.out.split("\n").length - 1, 1091);
  assert.match(plan.out, /^meta:\n {2}blockmeta:\n {4}ulid: "0{26}"\n {4}mintime: 1795370400001\n/);
});

Deno.test("block plan: a duration lies in the past, with or without a minus sign", async () => {
  const HOUR = 3_600_000;
  const ends = await Promise.all(["6h", "-6h", undefined].map(async (text) => {
    const { out } = await bench([
      "plan",
      "--profile=continuous-30d-tiny",
      ...(text === undefined ? [] : [`--max-time=${text}`]),
    ]);
    return Number(/maxtime: (\d+)/.exec(out)![1]);
  }));
  const now = Date.now();
  for (const [i, ago] of [6 * HOUR, 6 * HOUR, HOUR / 2].entries()) {
    const distance = ends[i]! - (now - ago);
    // A minute for the time the processes took.
    assert(distance > -60_000 && distance <= 2 * HOUR + 60_000, `${distance}`);
    assert.equal(ends[i]! % (2 * HOUR), 0);
  }
});

Deno.test("block gen makes blocks of standard input, of a list and into a bucket", async () => {
  await inFolder(async (folder) => {
    const time = "--max-time=2026-11-22T19:58:02Z";
    const { out } = await bench(["plan", "-p", "continuous-365d-tiny", LABELS, time]);
    const plan = newest(out, 2);
    const piped = await bench(["gen", `--output.dir=${folder}/piped`], plan);
    assert.equal(piped.code, 0, piped.err);
    assert.equal(piped.out, "");
    assert.match(piped.err, /msg="generating block"/);
    assert.match(piped.err, /msg="generated block" path=\S+\/piped\/[0-9A-Z]{26} count=5\n/);
    assert.match(piped.err, /msg="all blocks done" count=2 /);

    const list = plan.split("---\n").map((d) =>
      d.replaceAll(/^(?=.)/gm, "  ").replace(/^ {2}/, "- ")
    );
    await Deno.writeTextFile(`${folder}/plan.yaml`, list.join(""));
    await Deno.writeTextFile(
      `${folder}/bucket.yaml`,
      `type: FILESYSTEM\nconfig:\n  directory: ${folder}/bucket\n`,
    );
    const listed = await bench([
      "gen",
      `--output.dir=${folder}/listed/`,
      `--config-file=${folder}/plan.yaml`,
      `--objstore.config-file=${folder}/bucket.yaml`,
      "--workers=1",
    ]);
    assert.equal(listed.code, 0, listed.err);
    assert.equal(listed.err.match(/msg="uploaded block"/g)?.length, 2);

    const files = async (directory: string) => {
      const found: string[] = [];
      for await (const { name } of Deno.readDir(directory)) {
        const read = (file: string) => Deno.readFile(`${directory}/${name}/${file}`);
        found.push((await read("index")).toHex() + (await read("chunks/000001")).toHex());
      }
      return found.sort();
    };
    const made = await files(`${folder}/piped`);
    assert.equal(made.length, 2);
    assert.deepEqual(await files(`${folder}/listed`), made);
    assert.deepEqual(await files(`${folder}/bucket`), made);
    for await (const { name } of Deno.readDir(`${folder}/bucket`)) {
      const names = [...Deno.readDirSync(`${folder}/bucket/${name}`)].map((e) => e.name).sort();
      assert.deepEqual(names, ["chunks", "index", "meta.json"]);
    }
  });
});

Deno.test({
  name: "promtool reads blocks of every kind of series",
  async fn() {
    if (!isOnPath("promtool")) {
      console.log("skipped: promtool is not on PATH");
      return;
    }
    await inFolder(async (folder) => {
      for (const profile of ["bench-mixed-14d", "realistic-k8s-30d-tiny"]) {
        const { out } = await bench(["plan", "-p", profile, LABELS]);
        const directory = `${folder}/${profile}`;
        const gen = await bench(["gen", `--output.dir=${directory}`], newest(out, 1));
        assert.equal(gen.code, 0, gen.err);
        const [block] = [...Deno.readDirSync(directory)];
        const analyzed = await new Deno.Command("promtool", {
          args: ["tsdb", "analyze", directory, block!.name],
        }).output();
        const text = new TextDecoder().decode(analyzed.stdout);
        assert(analyzed.success, text + new TextDecoder().decode(analyzed.stderr));
        const series = profile === "bench-mixed-14d" ? 1000 : 15;
        assert.match(text, new RegExp(`Total Series: ${series}\\b|\\bSeries: ${series}\\b`));
      }
    });
  },
});

Deno.test("block plan and block gen: what is wrong is one line and an exit code", async () => {
  await inFolder(async (folder) => {
    const output = `--output.dir=${folder}/out`;
    const plan = (await bench(["plan", "-p", "continuous-30d-tiny"])).out;
    const rows: [string[], number, RegExp, string?][] = [
      [["plan"], 2, /required flag --profile not provided/],
      [["plan", "-p", "x"], 2, /--profile: enum value must be one of realistic.*got 'x'/],
      [
        ["plan", "-p", "continuous-30d-tiny", "--labels=a=b"],
        2,
        /--labels: label 'a=b': the value must be a quoted string/,
      ],
      [
        ["plan", "-p", "continuous-30d-tiny", "--max-time=6q"],
        2,
        /--max-time: '6q' is neither an RFC 3339 time nor a duration/,
      ],
      [["gen", "--outputdir=x"], 1, /unknown long flag '--outputdir', did you mean '--output.dir'/],
      [["gen", output, "--workers=-1"], 2, /--workers: expected an integer of at least 0/],
      [
        ["gen", output],
        1,
        /standard input: line 30: series\[0\]\.target: unknown key/,
        plan
          .replace("targets", "target"),
      ],
      [
        ["gen", output],
        1,
        /standard input: line 35: series\[0\]\.scrapeInterval: /,
        plan
          .replace("15s", "15 sec"),
      ],
      [["gen", output, "--config=a: b"], 1, /err="--config: line 1: expected a list, got a map/],
      [["gen", output, "--config-file=/nowhere/x"], 1, /loading file \/nowhere\/x for config-file/],
      [
        ["gen", output, "--objstore.config=type: FILESYSTEM\nconfig: {directory: /nowhere}"],
        1,
        /blocks to upload need external labels: plan them with --labels/,
        plan,
      ],
    ];
    for (const [args, code, message, input] of rows) {
      const result = await bench(args, input);
      assert.equal(result.code, code, `${args}: ${result.err}`);
      assert.match(result.err.replaceAll('\\"', '"'), message);
      assert.equal(result.err.trimEnd().split("\n").length, 1, result.err);
      assert.equal(result.out, "");
    }
    await assert.rejects(Deno.stat(`${folder}/out`));
    const none = await bench(["gen", output], "");
    assert.equal(none.code, 0);
    assert.match(none.err, /level=warn msg="the plan has no blocks"/);
  });
});
