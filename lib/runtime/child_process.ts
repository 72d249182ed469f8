/**
 * Starts Mneme's commands (and other servers) as child processes, waits until they answer, and
 * stops them again. Used by the demo, the end-to-end tests and the benchmarks.
 */
import { MnemeError } from "../base/mod.ts";

/** What to start. */
export interface ChildOptions {
  /** Short name for messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with each line the child writes to stdout or stderr. */
  readonly onLine?: (line: string) => void;
}

/** A running child; `stop()` is idempotent. */
export class ChildProcess {
  readonly name: string;
  readonly pid: number;
  /** The last lines of output, for error messages. */
  readonly tail: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<unknown>;
  #exited: Deno.CommandStatus | undefined;
  /** Resolves when the child has ended, with its exit code. */
  readonly exit: Promise<number>;

  private constructor(options: ChildOptions, child: Deno.ChildProcess) {
    this.name = options.name;
    this.pid = child.pid;
    this.#child = child;
    const read = (stream: ReadableStream<Uint8Array<ArrayBuffer>>) =>
      readLines(stream, (line) => {
        this.tail.push(line);
        if (this.tail.length > 40) this.tail.shift();
        options.onLine?.(line);
      });
    this.#drained = Promise.all([read(child.stdout), read(child.stderr)]);
    this.exit = child.status.then(async (status) => {
      this.#exited = status;
      await this.#drained;
      return status.code;
    });
  }

  /** Starts a child with piped output; its standard input is empty. */
  static start(options: ChildOptions): ChildProcess {
    const child = new Deno.Command(options.command, {
      args: [...options.args],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: { ...options.env } }),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return new ChildProcess(options, child);
  }

  get running(): boolean {
    return this.#exited === undefined;
  }

  /** Sends a signal; does nothing when the child has ended. */
  kill(signal: Deno.Signal): void {
    if (!this.running) return;
    try {
      this.#child.kill(signal);
    } catch (error) {
      // It ended between the check and the call.
      if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
    }
  }

  /** SIGTERM, then SIGKILL after `graceMs`; resolves to the exit code. */
  async stop(graceMs = 10_000): Promise<number> {
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), graceMs);
    try {
      return await this.exit;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Polls `url` until it answers 200; throws with the child's last lines when it ends first. */
  async waitUntilReady(url: string, timeoutMs = 60_000, signal?: AbortSignal): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (Date.now() < end) {
      signal?.throwIfAborted();
      if (!this.running) throw this.#ended(`ended before it was ready`);
      try {
        const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
        await answer.body?.cancel();
        if (answer.ok) return;
      } catch {
        // Not listening yet; the loop's time limit decides.
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw this.#ended(`was not ready within ${timeoutMs} ms`);
  }

  #ended(what: string): MnemeError {
    const last = this.tail.slice(-5).join("\n  ");
    return new MnemeError(
      "unavailable",
      `${this.name} ${what}${last === "" ? "" : `:\n  ${last}`}`,
    );
  }

  /** Highest resident memory so far in bytes, or undefined where the system does not tell. */
  peakMemory(): number | undefined {
    return this.#memory(/VmHWM:\s+(\d+) kB/);
  }

  /** Resident memory now, bytes; undefined where the system does not tell. */
  residentMemory(): number | undefined {
    return this.#memory(/VmRSS:\s+(\d+) kB/);
  }

  #memory(line: RegExp): number | undefined {
    try {
      const m = line.exec(Deno.readTextFileSync(`/proc/${this.pid}/status`));
      return m === null ? undefined : Number(m[1]) * 1024;
    } catch {
      return undefined;
    }
  }
}

async function readLines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
}

/** Ports below those that systems give to outgoing connections, which come and go all the time. */
const FIRST_PORT = 12_000;
const LAST_PORT = 32_000;
const PORT_ATTEMPTS = 100;

/** A TCP port on `hostname` that was free a moment ago and is not given away by the system. */
export function freePort(hostname = "127.0.0.1"): number {
  for (let i = 0; i < PORT_ATTEMPTS; i++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    if (!isPortBusy(hostname, port)) return port;
  }
  throw new MnemeError("unavailable", `no free port found on ${hostname}`);
}

/** True when something already listens on (or holds) the address. */
export function isPortBusy(hostname: string, port: number): boolean {
  try {
    Deno.listen({ hostname, port }).close();
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return true;
    throw error;
  }
}

/** True when an executable of this name is on PATH. */
export function isOnPath(program: string): boolean {
  const path = Deno.env.get("PATH") ?? "";
  for (const folder of path.split(":")) {
    try {
      const info = Deno.statSync(`${folder}/${program}`);
      if (info.isFile && ((info.mode ?? 0) & 0o111) !== 0) return true;
    } catch {
      // Not in this folder.
    }
  }
  return false;
}
