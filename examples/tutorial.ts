/** What the tutorials have in common: flags, ports, Ctrl-C, children that must not end. */
import { errorMessage, MnemeError } from "../lib/base/mod.ts";
import { type ChildProcess, freePort, isOnPath, isPortBusy } from "../lib/runtime/child_process.ts";

/** A tutorial: `Ports` is a number by name, or numbers by names by name. */
export interface Tutorial<Ports> {
  readonly name: string;
  /** Shown for `--help`. */
  readonly help: string;
  /** Where `--data-dir` points when it is not given. */
  readonly folder: string;
  readonly ports: Ports;
  /** Runs to its end; returns early when the signal of `run` fires. */
  readonly play: (run: TutorialRun<Ports>) => Promise<void>;
}

/** What a tutorial plays with. */
export interface TutorialRun<Ports> {
  /** Exists; an absolute path. */
  readonly folder: string;
  /** Free just now. */
  readonly ports: Ports;
  /** Stop after the answers. */
  readonly once: boolean;
  /** Fires on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** Shows a line that a child printed. */
  readonly onLine: (child: string, line: string) => void;
}

interface Options {
  folder: string;
  anyPorts: boolean;
  once: boolean;
}

/** Plays a tutorial as `args` say, on 127.0.0.1 only; gives the exit code. Throws nothing. */
export async function playTutorial<Ports>(
  tutorial: Tutorial<Ports>,
  args: readonly string[],
): Promise<number> {
  try {
    const options = parseOptions(args, tutorial.folder);
    if (options === undefined) console.log(tutorial.help);
    else await play(tutorial, options);
    return 0;
  } catch (error) {
    console.error(`${tutorial.name}: ${errorMessage(error)}`);
    return 1;
  }
}

/** Waits for the signal. Throws: `internal` when a child ends before. */
export async function untilStopped(
  children: readonly ChildProcess[],
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  await Promise.race([
    new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
    ...children.map(async (child) => {
      const code = await child.exit;
      if (!signal.aborted) {
        throw new MnemeError("internal", `${child.name} ended with exit code ${code}`);
      }
    }),
  ]);
}

function parseOptions(args: readonly string[], folder: string): Options | undefined {
  const options = { folder, anyPorts: false, once: false };
  for (const arg of args) {
    if (arg === "--help") return undefined;
    if (arg === "--once") options.once = true;
    else if (arg === "--any-ports") options.anyPorts = true;
    else if (arg.startsWith("--data-dir=")) options.folder = arg.slice("--data-dir=".length);
    else throw new MnemeError("bad_data", `unknown flag: '${arg}' (see --help)`);
  }
  return options;
}

async function play<Ports>(tutorial: Tutorial<Ports>, options: Options): Promise<void> {
  if (!isOnPath("prometheus")) {
    throw new MnemeError(
      "not_found",
      "no program named 'prometheus' on PATH; install Prometheus first",
    );
  }
  const ports = choosePorts(tutorial.ports, options.anyPorts);
  await Deno.mkdir(options.folder, { recursive: true });
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGTERM", stop);
  try {
    await tutorial.play({
      folder: await Deno.realPath(options.folder),
      ports,
      once: options.once,
      signal: stopping.signal,
      onLine: (child, line) => console.error(`[${child}] ${line}`),
    });
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
  } finally {
    Deno.removeSignalListener("SIGINT", stop);
    Deno.removeSignalListener("SIGTERM", stop);
  }
}

/** The ports of the tutorial, all of them free, or any free ones. */
function choosePorts<Ports>(ports: Ports, any: boolean): Ports {
  if (any) return mapPorts(ports, () => freePort());
  const busy: number[] = [];
  mapPorts(ports, (port) => {
    if (isPortBusy("127.0.0.1", port)) busy.push(port);
    return port;
  });
  if (busy.length === 0) return ports;
  throw new MnemeError(
    "unavailable",
    `in use on 127.0.0.1: port ${busy.join(", ")}; free them or give --any-ports`,
  );
}

function mapPorts<Ports>(ports: Ports, change: (port: number) => number): Ports {
  const changed = typeof ports === "number" ? change(ports) : Object.fromEntries(
    Object.entries(ports as object).map(([name, below]) => [name, mapPorts(below, change)]),
  );
  return changed as Ports;
}
