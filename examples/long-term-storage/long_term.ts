/**
 * Long-term storage: a Prometheus with a year of blocks, a sidecar that ships them to S3, a store
 * gateway and a querier that read them from there, a compactor that downsamples them.
 */
import { expandEnv } from "../../lib/config/mod.ts";
import { ChildProcess } from "../../lib/runtime/child_process.ts";

/** Ports on 127.0.0.1. */
export interface LongTermPorts {
  readonly prometheus: number;
  readonly sidecarHttp: number;
  readonly sidecarGrpc: number;
  readonly storeHttp: number;
  readonly storeGrpc: number;
  readonly queryHttp: number;
  readonly queryGrpc: number;
  readonly compactHttp: number;
  readonly s3: number;
}

/** How to reach the bucket: the variables of `bucket_storage.yaml`. */
export interface BucketAccess {
  readonly S3_ENDPOINT: string;
  readonly S3_BUCKET: string;
  readonly S3_ACCESS_KEY: string;
  readonly S3_SECRET_KEY: string;
}

/** Where everything goes. */
export interface LongTermOptions {
  /** Data of all parts. */
  readonly folder: string;
  readonly ports: LongTermPorts;
  /** An S3 elsewhere with an empty bucket; absent = a small server is started here. */
  readonly bucket?: BucketAccess | undefined;
  readonly signal?: AbortSignal;
  /** Told of each line that a process of ours writes. */
  readonly onLine?: (name: string, line: string) => void;
}

/** Blocks in the bucket by resolution, ms. */
export type BlockCounts = Readonly<Record<"0" | "300000" | "3600000", number>>;

const here = new URL(".", import.meta.url).pathname;
const root = new URL("../..", import.meta.url).pathname;
const HOUR = 3_600_000;
/** The largest range of the compactor: two weeks. */
const GRID = 336 * HOUR;
/** Where in that grid the year ends: no block then lies in a range that could be compacted. */
const PLACE = 1_795_377_600_000 % GRID;

/** The last time before `now` at which the plan gives blocks that only want downsampling, ms. */
export function endOfPlan(now: number): number {
  return Math.floor((now - PLACE) / GRID) * GRID + PLACE;
}

/** The running whole. */
export class LongTermStorage implements AsyncDisposable {
  readonly options: LongTermOptions;
  readonly children: ChildProcess[] = [];
  /** End of the generated year, ms. */
  readonly end: number;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(options: LongTermOptions) {
    this.options = options;
    this.end = endOfPlan(Date.now());
    this.#env = {
      ...(options.bucket ?? {
        S3_ENDPOINT: `127.0.0.1:${options.ports.s3}`,
        S3_BUCKET: "thanos",
        S3_ACCESS_KEY: "S3RVER",
        S3_SECRET_KEY: "S3RVER",
      }),
    };
  }

  /** URL of the querier. */
  get url(): string {
    return `http://127.0.0.1:${this.options.ports.queryHttp}`;
  }

  /** Starts what the first steps need: the year, S3, Prometheus and its sidecar. */
  static async start(options: LongTermOptions): Promise<LongTermStorage> {
    const storage = new LongTermStorage(options);
    try {
      await storage.#generate();
      if (options.bucket === undefined) await storage.#startS3();
      await storage.#startPrometheus();
      return storage;
    } catch (error) {
      await storage.stop();
      throw error;
    }
  }

  get #data(): string {
    return `${this.options.folder}/prometheus`;
  }
  get #bucketFlag(): string {
    return `--objstore.config-file=${here}bucket_storage.yaml`;
  }

  /** A year of blocks in Prometheus' data folder, once. */
  async #generate(): Promise<void> {
    const { folder, signal } = this.options;
    const marker = `${folder}/generated`;
    if (await Deno.stat(marker).then(() => true, () => false)) return;
    await Deno.mkdir(this.#data, { recursive: true });
    const bench = ["run", "-A", `${root}cmd/bench.ts`, "block"];
    const made = signal === undefined ? {} : { signal };
    const plan = await new Deno.Command(Deno.execPath(), {
      args: [
        ...bench,
        "plan",
        "--profile=continuous-365d-tiny",
        '--labels=cluster="eu1"',
        `--max-time=${new Date(this.end - 1000).toISOString()}`,
      ],
      stderr: "inherit",
      ...made,
    }).output();
    const gen = new Deno.Command(Deno.execPath(), {
      args: [...bench, "gen", `--output.dir=${this.#data}`, "--log.level=warn"],
      stdin: "piped",
      stderr: "inherit",
      ...made,
    }).spawn();
    const writer = gen.stdin.getWriter();
    await writer.write(plan.stdout);
    await writer.close();
    if (!plan.success || !(await gen.status).success) throw new Error("cannot generate the blocks");
    await Deno.writeTextFile(marker, `${this.end}\n`);
  }

  async #startS3(): Promise<void> {
    const { ports, folder, signal } = this.options;
    const data = `${folder}/s3`;
    await Deno.mkdir(data, { recursive: true });
    const program = `${root}tests/servers/s3/s3rver`;
    const args = ["run", "-A", "--no-check", `--config=${program}.json`, `${program}.ts`];
    args.push(String(ports.s3), data, "thanos");
    const server = this.#spawn("s3", Deno.execPath(), args);
    // It has no page of its own: any answer will do.
    for (let i = 0; i < 600 && server.running; i++) {
      signal?.throwIfAborted();
      const answer = await fetch(`http://127.0.0.1:${ports.s3}/`).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer !== undefined) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`S3 did not start:\n${server.tail.join("\n")}`);
  }

  async #startPrometheus(): Promise<void> {
    const { ports, folder, signal } = this.options;
    const own = `127.0.0.1:${ports.prometheus}`;
    const template = await Deno.readTextFile(`${here}prometheus0_eu1.yml`);
    const config = `${folder}/prometheus0_eu1.yml`;
    await Deno.writeTextFile(config, expandEnv(template, () => own));
    const prometheus = this.#spawn("prometheus", "prometheus", [
      `--config.file=${config}`,
      `--storage.tsdb.path=${this.#data}`,
      "--storage.tsdb.retention.time=1000d",
      "--storage.tsdb.min-block-duration=2h",
      "--storage.tsdb.max-block-duration=2h",
      "--log.level=warn",
      "--web.enable-lifecycle",
      `--web.listen-address=${own}`,
    ]);
    await prometheus.waitUntilReady(`http://${own}/-/ready`, 60_000, signal);
    await this.#mneme("sidecar", ports.sidecarHttp, [
      `--prometheus.url=http://${own}`,
      `--tsdb.path=${this.#data}`,
      this.#bucketFlag,
      "--shipper.upload-compacted",
      `--grpc-address=127.0.0.1:${ports.sidecarGrpc}`,
    ]);
  }

  /** Waits until the sidecar has shipped the year. */
  async shipped(): Promise<void> {
    const metrics = `http://127.0.0.1:${this.options.ports.sidecarHttp}/metrics`;
    await this.#until("the year is shipped", async () => {
      const text = await (await fetch(metrics)).text();
      const uploads = Number(/^thanos_shipper_uploads_total (\d+)$/m.exec(text)?.[1] ?? 0);
      const pending = Number(/^thanos_shipper_pending_blocks (\d+)$/m.exec(text)?.[1] ?? 1);
      return uploads > 0 && pending === 0;
    });
  }

  /** Starts the store gateway and the querier over it and the sidecar. */
  async read(): Promise<void> {
    const { ports, folder } = this.options;
    await this.#mneme("store", ports.storeHttp, [
      this.#bucketFlag,
      `--data-dir=${folder}/store`,
      "--sync-block-duration=5s",
      `--grpc-address=127.0.0.1:${ports.storeGrpc}`,
    ]);
    await this.#mneme("query", ports.queryHttp, [
      `--store=127.0.0.1:${ports.sidecarGrpc}`,
      `--store=127.0.0.1:${ports.storeGrpc}`,
      "--query.replica-label=replica",
      `--grpc-address=127.0.0.1:${ports.queryGrpc}`,
    ]);
  }

  /** Starts the compactor. */
  async compact(): Promise<void> {
    const { ports, folder } = this.options;
    await this.#mneme("compact", ports.compactHttp, [
      this.#bucketFlag,
      `--data-dir=${folder}/compact`,
      "--wait",
      "--wait-interval=30s",
      "--consistency-delay=0s",
    ]);
  }

  /** Blocks that the store gateway serves, by resolution. */
  async blocks(): Promise<BlockCounts> {
    const url = `http://127.0.0.1:${this.options.ports.storeHttp}/api/v1/blocks?view=loaded`;
    const { data } = await (await fetch(url)).json();
    const counts = { "0": 0, "300000": 0, "3600000": 0 };
    for (const { thanos } of data.blocks as { thanos: { downsample: { resolution: number } } }[]) {
      const key = String(thanos.downsample.resolution);
      if (Object.hasOwn(counts, key)) counts[key as keyof typeof counts]++;
    }
    return counts;
  }

  /** Waits until the store gateway serves as many blocks. */
  async blocksUntil(wanted: BlockCounts): Promise<BlockCounts> {
    let last: BlockCounts | undefined;
    const what = () => `${JSON.stringify(wanted)} blocks (now ${JSON.stringify(last)})`;
    await this.#until(what, async () => {
      last = await this.blocks();
      return Object.entries(wanted).every(([key, n]) => last![key as keyof BlockCounts] === n);
    });
    return last!;
  }

  /** A range query over the whole year: its points, and how long it took. */
  async year(
    query: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<{ points: [number, string][]; warnings: readonly string[]; ms: number }> {
    const params = new URLSearchParams({
      query,
      start: String(this.end / 1000 - 364 * 86_400),
      end: String(this.end / 1000),
      step: "1d",
      partial_response: "false",
      ...more,
    });
    const began = performance.now();
    const body = await (await fetch(`${this.url}/api/v1/query_range?${params}`)).json();
    if (body.status !== "success") throw new Error(`'${query}' failed: ${body.error}`);
    const ms = performance.now() - began;
    return { points: body.data.result[0]?.values ?? [], warnings: body.warnings ?? [], ms };
  }

  async #mneme(name: string, httpPort: number, args: readonly string[]): Promise<void> {
    const http = `127.0.0.1:${httpPort}`;
    const child = this.#spawn(name, Deno.execPath(), [
      "run",
      "-A",
      `${root}cmd/${name}.ts`,
      "--log.level=warn",
      `--http-address=${http}`,
      ...args,
    ]);
    await child.waitUntilReady(`http://${http}/-/ready`, 60_000, this.options.signal);
  }

  #spawn(name: string, command: string, args: readonly string[]): ChildProcess {
    const onLine = (line: string) => this.options.onLine?.(name, line);
    const child = ChildProcess.start({ name, command, args, env: this.#env, onLine });
    this.children.push(child);
    return child;
  }

  async #until(what: string | (() => string), done: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + 120_000;
    for (;;) {
      this.options.signal?.throwIfAborted();
      const dead = this.children.find((child) => !child.running);
      if (dead !== undefined) throw new Error(`${dead.name} has ended:\n${dead.tail.join("\n")}`);
      if (await done()) return;
      if (Date.now() > end) {
        throw new Error(`not within 2 minutes: ${typeof what === "string" ? what : what()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  async stop(): Promise<void> {
    // S3 last: the others still use it.
    for (const child of [...this.children].reverse()) await child.stop();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
