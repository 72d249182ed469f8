/** Starts Mneme's own commands for tests: free ports, temporary folders, everything stopped after. */
import { ChildProcess, freePort } from "../lib/runtime/child_process.ts";

const root = new URL("..", import.meta.url).pathname;

/** Runs a command to its end with optional standard input. */
export async function runCommand(
  args: readonly string[],
  input = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...args.map((a, i) => i === 0 ? `${root}${a}` : a)],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  } catch {
    // The program ended without reading its input; its exit code tells why.
  }
  const output = await child.output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: decode(output.stdout), stderr: decode(output.stderr) };
}

/** Fills a bucket's folder with the blocks of a profile that ends with the year 2025. */
export async function generateBlocks(
  folder: string,
  profile: string,
  label: string,
  maxTime = "2026-01-01T00:00:00Z",
): Promise<void> {
  const bench = (...args: string[]) => ["cmd/bench.ts", "block", ...args];
  const plan = await runCommand(
    bench("plan", `--profile=${profile}`, `--labels=${label}`, `--max-time=${maxTime}`),
  );
  if (plan.code !== 0) throw new Error(`cannot plan blocks: ${plan.stderr}`);
  const gen = await runCommand(
    bench("gen", `--output.dir=${folder}`, "--log.level=error"),
    plan.stdout,
  );
  if (gen.code !== 0) throw new Error(`cannot generate blocks: ${gen.stderr}`);
}

/** Commands that nobody calls over gRPC. */
const WITHOUT_GRPC: ReadonlySet<string> = new Set(["compact"]);

/** A running server of ours with its addresses. */
export interface Server {
  readonly child: ChildProcess;
  readonly http: string;
  readonly grpc: string;
}

/** A running Prometheus with its files. */
export interface PrometheusServer {
  readonly child: ChildProcess;
  readonly http: string;
  readonly folder: string;
  readonly configFile: string;
  readonly data: string;
}

/** Polls until `ready` gives a value; throws with `what` when it takes too long. */
export async function until<T>(
  what: string,
  ready: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 60_000,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < end) {
    try {
      const value = await ready();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last });
}

/** Stops a server in mid-air: returns once it no longer answers, which may be a while after the signal. */
export async function freeze(server: { readonly child: ChildProcess; readonly http: string }) {
  server.child.kill("SIGSTOP");
  await until(`${server.child.name} to stand still`, async () => {
    try {
      const answer = await fetch(`${server.http}/-/healthy`, { signal: AbortSignal.timeout(500) });
      await answer.body?.cancel();
      return false;
    } catch {
      return true;
    }
  });
}

/** A set of processes and folders that disappears at the end of a test. */
export class Stage implements AsyncDisposable {
  readonly folder: string;
  readonly #children: ChildProcess[] = [];
  /** Ports of Prometheus servers by name. */
  readonly #prometheis = new Map<string, number>();
  private constructor(folder: string) {
    this.folder = folder;
  }
  static async open(): Promise<Stage> {
    return new Stage(await Deno.makeTempDir({ prefix: "mneme-test-" }));
  }

  /** Starts `cmd/<name>.ts` on free ports and waits until it is ready. */
  async mneme(name: string, args: readonly string[]): Promise<Server> {
    const server = this.launch(name, args);
    await server.child.waitUntilReady(`${server.http}/-/ready`);
    return server;
  }

  /** Starts `cmd/<name>.ts` without waiting; on free ports, but for addresses among `args`. */
  launch(
    name: string,
    args: readonly string[],
    options: {
      readonly env?: Readonly<Record<string, string>>;
      /** A module of `tests/servers` that runs before the command. */
      readonly preload?: string;
    } = {},
  ): Server {
    const { env, preload } = options;
    const given = (flag: string) =>
      args.find((arg) => arg.startsWith(`${flag}=`))?.slice(flag.length + 1);
    const grpc = given("--grpc-address") ?? `127.0.0.1:${freePort()}`;
    const http = given("--http-address") ?? `127.0.0.1:${freePort()}`;
    const rest = args.filter((arg) => !/^--(?:grpc|http)-address=/.test(arg));
    const child = ChildProcess.start({
      name,
      command: Deno.execPath(),
      args: [
        "run",
        "-A",
        ...(preload === undefined ? [] : [`--preload=${root}tests/servers/${preload}`]),
        `${root}cmd/${name}.ts`,
        ...(WITHOUT_GRPC.has(name) ? [] : [`--grpc-address=${grpc}`]),
        `--http-address=${http}`,
        ...rest,
      ],
      ...(env === undefined ? {} : { env }),
    });
    this.#children.push(child);
    return { child, grpc, http: `http://${http}` };
  }

  /** A store gateway over a FILESYSTEM bucket. */
  store(bucket: string, args: readonly string[] = []): Promise<Server> {
    return this.mneme("store", [
      `--objstore.config=type: FILESYSTEM\nconfig:\n  directory: ${JSON.stringify(bucket)}`,
      `--data-dir=${this.folder}/store-${this.#children.length}`,
      ...args,
    ]);
  }

  /** A real Prometheus on the blocks of a folder; it scrapes nothing and leaves the blocks alone. */
  async prometheus(data: string): Promise<string> {
    const http = `127.0.0.1:${freePort()}`;
    const config = `${this.folder}/prometheus.yml`;
    await Deno.writeTextFile(config, "global: {scrape_interval: 1h}\n");
    const child = ChildProcess.start({
      name: "prometheus",
      command: "prometheus",
      args: [
        `--config.file=${config}`,
        `--storage.tsdb.path=${data}`,
        "--storage.tsdb.retention.time=100y",
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        `--web.listen-address=${http}`,
      ],
    });
    this.#children.push(child);
    await child.waitUntilReady(`http://${http}/-/ready`);
    return `http://${http}`;
  }

  /**
   * A real Prometheus with a configuration and a data folder of its own below `<folder>/<name>`.
   * Started again under the same name it goes on where it ended, at the same address.
   */
  async startPrometheus(
    name: string,
    config?: string,
    args: readonly string[] = [],
  ): Promise<PrometheusServer> {
    const folder = `${this.folder}/${name}`;
    const known = this.#prometheis.get(name);
    const port = known ?? freePort();
    this.#prometheis.set(name, port);
    await Deno.mkdir(`${folder}/data`, { recursive: true });
    const configFile = `${folder}/prometheus.yml`;
    const given = (flag: string) => args.some((arg) => arg.startsWith(`--${flag}=`));
    const durations = ["storage.tsdb.min-block-duration", "storage.tsdb.max-block-duration"]
      .flatMap((flag) => given(flag) ? [] : [`--${flag}=2h`]);
    if (config !== undefined) await Deno.writeTextFile(configFile, config);
    const child = ChildProcess.start({
      name,
      command: "prometheus",
      args: [
        `--config.file=${configFile}`,
        `--storage.tsdb.path=${folder}/data`,
        ...durations,
        "--web.enable-lifecycle",
        `--web.listen-address=127.0.0.1:${port}`,
        ...args,
      ],
    });
    this.#children.push(child);
    const http = `http://127.0.0.1:${port}`;
    await child.waitUntilReady(`${http}/-/ready`);
    return { child, http, folder, configFile, data: `${folder}/data` };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Copies a folder tree. */
export async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (entry.isDirectory) await copyTree(`${from}/${entry.name}`, `${to}/${entry.name}`);
    else {
      // Content only: the source may be read-only, the copy must not be.
      await Deno.writeFile(`${to}/${entry.name}`, await Deno.readFile(`${from}/${entry.name}`));
    }
  }
}
