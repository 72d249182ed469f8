/**
 * The demo: a year of metrics in a bucket, Mneme in one process over it, one answered query.
 *
 *   deno task demo [--data-dir=demo-data] [--http-address=127.0.0.1:10902] [--once]
 *
 * Generates the profile `continuous-365d-tiny` once (a second start reuses it), starts
 * `standalone` as a child process, asks for the whole year, prints the URL and stays up until
 * Ctrl-C.
 */
import { errorMessage, MnemeError } from "../lib/base/mod.ts";
import { ChildProcess, isPortBusy } from "../lib/runtime/child_process.ts";

const HELP = `usage: deno task demo [<flags>]

Generates a year of metrics into a bucket on disk, starts Mneme over it in one process
(store gateway, compactor and querier), and asks it one question.

Flags:
  --data-dir=demo-data             Folder for the bucket and the caches; reused when complete.
  --http-address=127.0.0.1:10902   Where it listens for people (API and pages).
  --grpc-address=127.0.0.1:10901   Where it listens for other queriers.
  --once                           Stop after the answer instead of waiting for Ctrl-C.
  --help                           Show this text.
`;

const ADDRESS_FLAGS = ["http-address", "grpc-address"] as const;
type AddressFlag = typeof ADDRESS_FLAGS[number];

interface Options {
  dataDir: string;
  addresses: Record<AddressFlag, string>;
  once: boolean;
}

function parseOptions(args: readonly string[]): Options | undefined {
  const options: Options = {
    dataDir: "demo-data",
    addresses: {
      "http-address": "127.0.0.1:10902",
      "grpc-address": "127.0.0.1:10901",
    },
    once: false,
  };
  for (const arg of args) {
    const [name, value] = arg.startsWith("--") ? arg.slice(2).split(/=(.*)/s) : [arg];
    if (name === "help") return undefined;
    if (name === "once") options.once = true;
    else if (name === "data-dir" && value) options.dataDir = value;
    else if (ADDRESS_FLAGS.includes(name as AddressFlag) && value) {
      options.addresses[name as AddressFlag] = value;
    } else throw new MnemeError("bad_data", `unknown flag or missing value: '${arg}' (see --help)`);
  }
  return options;
}

const root = new URL("..", import.meta.url).pathname;
const PROFILE = "continuous-365d-tiny";
const METRIC = "continuous_app_metric0";

/** What a finished generation leaves behind, so that a later start knows what it finds. */
interface Marker {
  profile: string;
  blocks: number;
  minTime: number;
  maxTime: number;
}

async function readMarker(file: string, bucket: string): Promise<Marker | undefined> {
  try {
    const marker = JSON.parse(await Deno.readTextFile(file)) as Marker;
    await Deno.stat(bucket);
    return marker.profile === PROFILE && marker.blocks > 0 ? marker : undefined;
  } catch {
    // Missing or broken: the data is made again.
    return undefined;
  }
}

/** How the folder of an unfinished generation is called, up to its random end. */
const UNFINISHED = "bucket-unfinished-";

async function generate(
  dataDir: string,
  bucket: string,
  marker: string,
  signal: AbortSignal,
): Promise<Marker> {
  // Made under a name of its own: a generator that outlived a killed demo cannot mix into it.
  for await (const entry of Deno.readDir(dataDir)) {
    if (entry.name === "bucket" || entry.name.startsWith(UNFINISHED)) {
      await Deno.remove(`${dataDir}/${entry.name}`, { recursive: true }).catch(() => undefined);
    }
  }
  const unfinished = await Deno.makeTempDir({ dir: dataDir, prefix: UNFINISHED });
  const bench = ["run", "-A", `${root}cmd/bench.ts`, "block"];
  const plan = await new Deno.Command(Deno.execPath(), {
    args: [...bench, "plan", `--profile=${PROFILE}`, '--labels=cluster="demo"'],
    stderr: "inherit",
    signal,
  }).output();
  if (!plan.success) throw new MnemeError("internal", "cannot plan the demo data");
  const gen = new Deno.Command(Deno.execPath(), {
    args: [...bench, "gen", `--output.dir=${unfinished}`, "--log.level=warn"],
    stdin: "piped",
    stdout: "inherit",
    stderr: "inherit",
    signal,
  }).spawn();
  const writer = gen.stdin.getWriter();
  await writer.write(plan.stdout);
  await writer.close();
  if (!(await gen.status).success) {
    throw new MnemeError("internal", "cannot generate the demo data");
  }
  const found: Marker = { profile: PROFILE, blocks: 0, minTime: Infinity, maxTime: -Infinity };
  for await (const entry of Deno.readDir(unfinished)) {
    if (!entry.isDirectory) continue;
    const meta = JSON.parse(await Deno.readTextFile(`${unfinished}/${entry.name}/meta.json`));
    found.blocks++;
    found.minTime = Math.min(found.minTime, meta.minTime);
    found.maxTime = Math.max(found.maxTime, meta.maxTime);
  }
  await Deno.rename(unfinished, bucket);
  await Deno.writeTextFile(`${dataDir}/demo.json.tmp`, JSON.stringify(found));
  await Deno.rename(`${dataDir}/demo.json.tmp`, marker);
  return found;
}

const BARS = "▁▂▃▄▅▆▇█";

/** A line of `width` bars, each the mean of its part of the values. */
function sparkline(values: readonly number[], width: number): string {
  const parts: number[] = [];
  const size = Math.max(1, values.length / width);
  for (let at = 0; at < values.length; at += size) {
    const part = values.slice(Math.floor(at), Math.max(Math.floor(at) + 1, Math.floor(at + size)));
    parts.push(part.reduce((a, b) => a + b, 0) / part.length);
  }
  const low = Math.min(...parts);
  const span = Math.max(...parts) - low || 1;
  return parts.map((x) => BARS[Math.min(7, Math.floor(((x - low) / span) * 8))]).join("");
}

function checkPorts(addresses: Record<AddressFlag, string>): void {
  for (const flag of ADDRESS_FLAGS) {
    const m = /^(.*):(\d+)$/.exec(addresses[flag]);
    if (m === null || Number(m[2]) > 65535) {
      throw new MnemeError("bad_data", `--${flag}: '${addresses[flag]}' is not <host>:<port>`);
    }
    if (isPortBusy(m[1] === "" ? "0.0.0.0" : m[1]!, Number(m[2]))) {
      throw new MnemeError(
        "unavailable",
        `port ${m[2]} is in use; stop what listens there or choose another with --${flag}=${
          m[1]
        }:<port>`,
      );
    }
  }
}

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

async function main(options: Options): Promise<void> {
  checkPorts(options.addresses);
  await Deno.mkdir(options.dataDir, { recursive: true });
  const dataDir = await Deno.realPath(options.dataDir);
  const bucket = `${dataDir}/bucket`;
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  // SIGHUP too: the terminal was closed, and the servers would take it as "reload" and live on.
  for (const name of STOP_SIGNALS) Deno.addSignalListener(name, stop);
  const children: ChildProcess[] = [];
  let generated = false;
  const start = (name: string, args: string[]) => {
    const child = ChildProcess.start({
      name,
      command: Deno.execPath(),
      args: ["run", "-A", `${root}cmd/${name}.ts`, "--log.level=warn", ...args],
      onLine: (line) => console.error(`[${name}] ${line}`),
    });
    children.push(child);
    return child;
  };
  try {
    let marker = await readMarker(`${dataDir}/demo.json`, bucket);
    if (marker === undefined) {
      console.log(`Generating a year of metrics (${PROFILE}) …`);
      const began = performance.now();
      marker = await generate(dataDir, bucket, `${dataDir}/demo.json`, stopping.signal);
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(`  ${marker.blocks} blocks in ${bucket}, ${seconds} s`);
    } else {
      console.log(
        `Reusing ${marker.blocks} blocks in ${bucket} (remove the folder to start afresh)`,
      );
    }
    generated = true;
    const { addresses } = options;
    const { signal } = stopping;
    const url = `http://${addresses["http-address"]}`;
    await start("standalone", [
      `--data-dir=${dataDir}`,
      // The data is complete: nobody need be waited for.
      "--compact.arg=--consistency-delay=0s",
      `--grpc-address=${addresses["grpc-address"]}`,
      `--http-address=${addresses["http-address"]}`,
    ]).waitUntilReady(`${url}/-/ready`, 60_000, signal);
    await askForTheYear(url, marker);
    if (options.once) return;
    console.log(
      `\nMneme is up: ${url}\n` +
        `  try  curl -s '${url}/api/v1/query?query=count(${METRIC})&time=${
          Math.floor(marker.maxTime / 1000) - 60
        }'\n` +
        `  and  curl -s '${url}/api/v1/stores'\nCtrl-C stops everything.`,
    );
    await Promise.race([
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
      ...children.map((child) =>
        child.exit.then((code) => {
          if (!signal.aborted) {
            throw new MnemeError("internal", `${child.name} ended with exit code ${code}`);
          }
        })
      ),
    ]);
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    for (const name of STOP_SIGNALS) Deno.removeSignalListener(name, stop);
    if (stopping.signal.aborted) {
      console.log(
        generated
          ? "\nStopped; the data stays for the next start."
          : "\nStopped; the next start generates the data again.",
      );
    }
  }
}

async function askForTheYear(url: string, marker: Marker): Promise<void> {
  const query = `avg_over_time(${METRIC}[1d])`;
  const end = Math.floor(marker.maxTime / 1000);
  const params = new URLSearchParams({
    query,
    start: String(Math.ceil(marker.minTime / 1000) + 86_400),
    end: String(end),
    step: "1d",
  });
  const began = performance.now();
  const answer = await fetch(`${url}/api/v1/query_range?${params}`);
  const body = await answer.json();
  const ms = performance.now() - began;
  if (body.status !== "success") {
    throw new MnemeError("execution", `the demo query failed: ${body.error ?? answer.status}`);
  }
  const points: [number, string][] = body.data.result[0]?.values ?? [];
  if (points.length === 0) throw new MnemeError("execution", "the demo query returned no data");
  const values = points.map(([, v]) => Number(v));
  const day = (t: number) => new Date(t * 1000).toISOString().slice(0, 10);
  console.log(
    `\n${query}, ${day(points[0]![0])} to ${day(points.at(-1)![0])}, one point a day:\n` +
      `  ${sparkline(values, 73)}\n` +
      `  ${points.length} points out of 2,101,920 samples in ${ms.toFixed(0)} ms`,
  );
}

if (import.meta.main) {
  let code = 0;
  try {
    const options = parseOptions(Deno.args);
    if (options === undefined) console.log(HELP);
    else await main(options);
  } catch (error) {
    console.error(`demo: ${errorMessage(error)}`);
    code = 1;
  }
  Deno.exit(code);
}
