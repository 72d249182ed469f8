import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { gzipSync } from "node:zlib";
import { FakeClock } from "../base/mod.ts";
import { expandConfig, hashInputs, replaceFile } from "./inputs.ts";
import { Reloader, type ReloaderMetrics, type ReloaderSettings } from "./reloader.ts";
import { httpTrigger, signalTrigger } from "./trigger.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const env = (name: string) => ({ HOST: "h1", EMPTY: "" })[name];

class Folder implements Disposable {
  readonly path = mkdtempSync(`${tmpdir()}/mneme-reloader-`);
  write(name: string, text: string | Uint8Array): string {
    writeFileSync(`${this.path}/${name}`, text);
    return `${this.path}/${name}`;
  }
  read(name: string): string {
    return readFileSync(`${this.path}/${name}`, "utf8");
  }
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

function setUp(
  settings: Partial<ReloaderSettings>,
  trigger: () => Promise<void> = () => Promise.resolve(),
) {
  const values: Record<string, number> = {};
  const metric = (name: string) => ({
    inc: (by = 1) => void (values[name] = (values[name] ?? 0) + by),
    set: (x: number) => void (values[name] = x),
  });
  const names = [
    "reloads",
    "reloadsFailed",
    "lastReloadSuccessful",
    "lastReloadSuccessTime",
    "applies",
    "appliesFailed",
    "expansionErrors",
    "watches",
    "watchEvents",
    "watchErrors",
  ] as const;
  const metrics = Object.fromEntries(
    names.map((n) => [n, metric(n)]),
  ) as unknown as ReloaderMetrics;
  const clock = new FakeClock(1_000_000);
  const watch = { paths: [] as readonly string[], changed: () => {}, stopped: false };
  const log: string[] = [];
  const reloader = new Reloader({
    configFile: "",
    outputFile: "",
    ruleFolders: [],
    watchInterval: 180_000,
    retryInterval: 5_000,
    ...settings,
  }, {
    trigger,
    env,
    watch: (paths, onChange) => {
      watch.paths = paths;
      watch.changed = onChange;
      return () => watch.stopped = true;
    },
    clock,
    metrics,
    log: (level, message) => log.push(`${level} ${message}`),
  });
  return { reloader, values, clock, watch, log };
}

Deno.test("expandConfig() replaces references and unpacks gzip", async () => {
  const text = "a: $(HOST) $(EMPTY)| $HOST ${HOST} $() $(HOST";
  assert.equal(
    decode(await expandConfig(encode(text), env)),
    "a: h1 | $HOST ${HOST} $() $(HOST",
  );
  const packed = new Uint8Array(gzipSync(encode("b: $(HOST)")));
  assert.equal(decode(await expandConfig(packed, env)), "b: h1");
  for (const short of ["", "a", "ab"]) {
    assert.equal(decode(await expandConfig(encode(short), env)), short);
  }
  await assert.rejects(
    expandConfig(encode("a: $(MISSING)"), env),
    /found reference to unset environment variable "MISSING"/,
  );
  await assert.rejects(expandConfig(packed.slice(0, 15), env), /decompress/);
  await assert.rejects(expandConfig(Uint8Array.of(0xff, 0xfe, 0xfd), env), /not UTF-8/);
});

Deno.test("hashInputs() tells names, contents and borders of files apart", () => {
  using folder = new Folder();
  mkdirSync(`${folder.path}/rules`);
  const hash = () => hashInputs([], [`${folder.path}/rules`]);
  const seen = new Set([hash()]);
  const step = (change: () => void) => {
    change();
    const now = hash();
    assert.ok(!seen.has(now));
    seen.add(now);
    assert.equal(hash(), now);
  };
  step(() => folder.write("rules/a", "x"));
  step(() => folder.write("rules/a", "y"));
  step(() => renameSync(`${folder.path}/rules/a`, `${folder.path}/rules/b`));
  step(() => mkdirSync(`${folder.path}/rules/deep`) ?? folder.write("rules/deep/c", ""));
  // A link leads to a file, but not into a folder.
  mkdirSync(`${folder.path}/else`);
  folder.write("else/d", "1");
  step(() => symlinkSync(`${folder.path}/else/d`, `${folder.path}/rules/d`));
  const before = hash();
  symlinkSync(`${folder.path}/else`, `${folder.path}/rules/folder`);
  assert.equal(hash(), before);
  step(() => folder.write("else/d", "2"));
  assert.throws(() => hashInputs([`${folder.path}/none`], []), /Cannot read .*none/);
});

Deno.test("replaceFile() leaves equal content alone", () => {
  using folder = new Folder();
  const path = folder.write("out", "same");
  const inode = statSync(path).ino;
  replaceFile(path, encode("same"));
  assert.equal(statSync(path).ino, inode);
  replaceFile(path, encode("other"));
  assert.equal(folder.read("out"), "other");
  assert.ok(!existsSync(`${path}.tmp`));
  assert.throws(() => replaceFile(`${folder.path}/no/out`, encode("x")), /Cannot write/);
});

Deno.test("apply() reloads once per change, and again after a failure", async () => {
  using folder = new Folder();
  const configFile = folder.write("in", "a: $(HOST)");
  let reloads = 0;
  let works = true;
  const { reloader, values } = setUp({
    configFile,
    outputFile: `${folder.path}/out`,
    watchInterval: 1,
  }, () => {
    reloads++;
    return works ? Promise.resolve() : Promise.reject(new Error("no"));
  });
  const signal = new AbortController().signal;
  await reloader.apply(signal);
  await reloader.apply(signal);
  assert.equal(folder.read("out"), "a: h1");
  assert.equal(reloads, 1);
  works = false;
  folder.write("in", "a: 2");
  await reloader.apply(signal);
  assert.equal(values.lastReloadSuccessful, 0);
  await reloader.apply(signal);
  assert.equal(reloads, 3);
  works = true;
  await reloader.apply(signal);
  await reloader.apply(signal);
  assert.equal(reloads, 4);
  assert.equal(values.reloadsFailed, 2);
  assert.equal(values.lastReloadSuccessful, 1);
  assert.equal(values.lastReloadSuccessTime, 1000);
});

Deno.test("apply() keeps the output when the input cannot be expanded", async () => {
  using folder = new Folder();
  const configFile = folder.write("in", "a: 1");
  const outputFile = `${folder.path}/out`;
  const { reloader, values } = setUp({ configFile, outputFile });
  const signal = new AbortController().signal;
  await reloader.apply(signal);
  folder.write("in", "a: $(MISSING)");
  await assert.rejects(reloader.apply(signal), /MISSING/);
  assert.equal(folder.read("out"), "a: 1");
  assert.equal(values.expansionErrors, 1);
  folder.write("in", "a: 2");
  await reloader.apply(signal);
  assert.equal(values.expansionErrors, 0);
  assert.equal(values.reloads, 2);
});

Deno.test("run() wakes on events, looks again each interval and retries until an input changes", async () => {
  using folder = new Folder();
  const configFile = folder.write("in", "a: 1");
  const loaded: string[] = [];
  let works = true;
  const { reloader, values, clock, watch } = setUp({
    configFile,
    outputFile: `${folder.path}/out`,
  }, () => {
    if (!works) return Promise.reject(new Error("no"));
    loaded.push(folder.read("out"));
    return Promise.resolve();
  });
  const stop = new AbortController();
  const running = reloader.run(stop.signal);
  await clock.advance(0);
  assert.deepEqual(loaded, ["a: 1"]);
  assert.deepEqual(watch.paths, [folder.path]);

  folder.write("in", "a: 2");
  watch.changed();
  await clock.advance(50);
  assert.deepEqual(loaded, ["a: 1", "a: 2"]);

  // An event that got lost; another size, as times of files are coarse.
  folder.write("in", "a: 33");
  await clock.advance(0);
  assert.equal(loaded.length, 2);
  await clock.advance(2_000);
  await clock.advance(50);
  assert.equal(loaded.at(-1), "a: 33");

  works = false;
  folder.write("in", "broken");
  watch.changed();
  await clock.advance(50);
  for (let i = 0; i < 10; i++) await clock.advance(1_000);
  assert.equal(values.reloadsFailed, 3);
  works = true;
  folder.write("in", "a: 4");
  watch.changed();
  await clock.advance(50);
  assert.equal(loaded.at(-1), "a: 4");
  stop.abort();
  await running;
  assert.ok(watch.stopped);
});

Deno.test("run() with a watch interval of 0 writes the output once and reloads nothing", async () => {
  using folder = new Folder();
  const configFile = folder.write("in", "a: $(HOST)");
  const outputFile = `${folder.path}/out`;
  const { reloader, values } = setUp({ configFile, outputFile, watchInterval: 0 });
  await reloader.run(new AbortController().signal);
  assert.equal(folder.read("out"), "a: h1");
  assert.equal(values.reloads, undefined);
});

Deno.test("run() fails when the first pass cannot read its input", async () => {
  const { reloader } = setUp({ configFile: "/no/such/file" });
  await assert.rejects(reloader.run(new AbortController().signal), /Cannot read \/no\/such\/file/);
});

Deno.test("httpTrigger() takes nothing but 200 for a success", async () => {
  const answer = (status: number) =>
    httpTrigger((path) => {
      assert.equal(path, "/-/reload");
      return Promise.resolve({ status, statusText: "Forbidden" });
    })(new AbortController().signal);
  await answer(200);
  await assert.rejects(answer(403), {
    message: "received non-200 response: 403 Forbidden; have you set `--web.enable-lifecycle` " +
      "Prometheus flag?",
  });
  await assert.rejects(answer(204));
});

Deno.test("signalTrigger() waits for the outcome Prometheus tells", async () => {
  const run = async (answers: readonly ([boolean, number] | undefined)[]) => {
    const clock = new FakeClock(0);
    let asked = 0;
    const hungUp: string[] = [];
    const trigger = signalTrigger({
      runtimeInfo: () => {
        const answer = answers[Math.min(asked++, answers.length - 1)];
        if (answer === undefined) return Promise.reject(new Error("away"));
        return Promise.resolve({ reloadConfigSuccess: answer[0], lastConfigTime: answer[1] });
      },
      hangUp: (name) => hungUp.push(name),
      processName: "prometheus",
      clock,
      timeout: 10_000,
    });
    const outcome = trigger(new AbortController().signal)
      .then(() => "reloaded", (e: Error) => e.message);
    for (let i = 0; i < 12; i++) await clock.advance(1000);
    assert.deepEqual(hungUp, ["prometheus"]);
    return await outcome;
  };
  assert.equal(await run([[true, 5], [true, 5], [true, 6]]), "reloaded");
  assert.equal(await run([[false, 5], [false, 5], undefined, [true, 6]]), "reloaded");
  assert.match(await run([[true, 5], [false, 5]]), /could not load its configuration/);
  assert.match(await run([[true, 5]]), /no reload within 10000 ms: the configuration was not read/);
});
