/**
 * A whole installation for the soak: a Prometheus pair, S3, two sidecars, store gateway, querier and
 * compactor, each a process that is started again when a fault ends it.
 */
import { ChildProcess, freePort } from "../../lib/runtime/mod.ts";
import { generateBlocks } from "../mneme.ts";

const root = new URL("../..", import.meta.url).pathname;

/** One process of the fleet, over all its lives. */
export interface Member {
  readonly name: string;
  /** One of ours: it must not end by itself. */
  readonly ours: boolean;
  readonly command: string;
  readonly args: readonly string[];
  /** Answers 200 when it is up; undefined where there is no such page. */
  readonly ready: string | undefined;
  child: ChildProcess;
  /** A fault is at work: its end is expected. */
  hurt: boolean;
  lives: number;
  /** Resident memory of the present life: seconds since the start of the soak, bytes. */
  memory: { at: number; bytes: number }[];
}

/** The running fleet. */
export class Fleet implements AsyncDisposable {
  readonly members = new Map<string, Member>();
  readonly folder: string;
  readonly #ports = new Map<string, number>();
  /** Processes of ours that ended without a fault, with their last lines. */
  readonly crashes: string[] = [];
  #stopping = false;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Starts everything; a month of blocks is in the bucket already. */
  static async start(folder: string): Promise<Fleet> {
    const fleet = new Fleet(folder);
    try {
      await fleet.#start();
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** `127.0.0.1:<port>` of a member's door; the same over all its lives. */
  address(door: string): string {
    let port = this.#ports.get(door);
    if (port === undefined) this.#ports.set(door, port = freePort());
    return `127.0.0.1:${port}`;
  }

  async #start(): Promise<void> {
    const { folder } = this;
    await Deno.mkdir(`${folder}/s3`, { recursive: true });
    // What S3 keeps as files is generated there before it starts.
    await generateBlocks(`${folder}/blocks`, "continuous-30d-tiny", 'cluster="past"');
    await this.#add("s3", false, Deno.execPath(), [
      "run",
      "-A",
      "--no-check",
      `--config=${root}tests/servers/s3/s3rver.json`,
      `${root}tests/servers/s3/s3rver.ts`,
      this.address("s3").split(":")[1]!,
      `${folder}/s3`,
      "soak",
    ]);
    const bucket = `--objstore.config=${
      JSON.stringify({
        type: "S3",
        config: {
          bucket: "soak",
          endpoint: this.address("s3"),
          insecure: true,
          access_key: "S3RVER",
          secret_key: "S3RVER",
        },
      })
    }`;
    await this.#upload(bucket);
    const targets = ["0", "1"].map((r) => JSON.stringify(this.address(`prometheus-${r}`)));
    for (const replica of ["0", "1"]) {
      const name = `prometheus-${replica}`;
      await Deno.mkdir(`${folder}/${name}`, { recursive: true });
      await Deno.writeTextFile(
        `${folder}/${name}.yml`,
        `global: {scrape_interval: 1s, external_labels: {cluster: live, replica: "${replica}"}}
scrape_configs: [{job_name: pair, static_configs: [{targets: [${targets.join(", ")}]}]}]
`,
      );
      await this.#add(name, false, "prometheus", [
        `--config.file=${folder}/${name}.yml`,
        `--storage.tsdb.path=${folder}/${name}`,
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        `--web.listen-address=${this.address(name)}`,
        "--log.level=error",
      ], `http://${this.address(name)}/-/ready`);
      await this.#mneme(`sidecar-${replica}`, "sidecar", [
        `--prometheus.url=http://${this.address(name)}`,
        `--tsdb.path=${folder}/${name}`,
        "--prometheus.get_config_interval=1s",
        "--prometheus.get_config_timeout=2s",
        bucket,
        `--grpc-address=${this.address(`sidecar-${replica}-grpc`)}`,
      ]);
    }
    await this.#mneme("store", "store", [
      bucket,
      `--data-dir=${folder}/store`,
      "--sync-block-duration=5s",
      `--grpc-address=${this.address("store-grpc")}`,
    ]);
    await this.#mneme("compact", "compact", [
      bucket,
      `--data-dir=${folder}/compact`,
      "--wait",
      "--wait-interval=10s",
      "--consistency-delay=0s",
    ]);
    await this.#mneme("query", "query", [
      // Strict: a store that is away when the querier starts is missed, too.
      ...["sidecar-0", "sidecar-1", "store"].map((name) =>
        `--endpoint-strict=${this.address(`${name}-grpc`)}`
      ),
      "--query.replica-label=replica",
      "--query.timeout=10s",
      "--store.response-timeout=3s",
      "--endpoint.info-timeout=1s",
      `--grpc-address=${this.address("query-grpc")}`,
    ]);
  }

  /** Puts the generated blocks into the bucket. */
  async #upload(bucket: string): Promise<void> {
    const { openBucket } = await import("../../lib/objstore/mod.ts");
    const s3 = await openBucket(bucket.slice(bucket.indexOf("=") + 1));
    for await (const entry of Deno.readDir(`${this.folder}/blocks`)) {
      const block = `${this.folder}/blocks/${entry.name}`;
      const files = ["index", "meta.json"];
      for await (const segment of Deno.readDir(`${block}/chunks`)) {
        files.unshift(`chunks/${segment.name}`);
      }
      for (const file of files) {
        await s3.upload(`${entry.name}/${file}`, await Deno.readFile(`${block}/${file}`));
      }
    }
    await s3.close();
  }

  async #mneme(name: string, command: string, args: readonly string[]): Promise<void> {
    const http = this.address(name);
    await this.#add(name, true, Deno.execPath(), [
      "run",
      "-A",
      "--no-check",
      `${root}cmd/${command}.ts`,
      "--log.level=warn",
      `--http-address=${http}`,
      ...args,
    ], `http://${http}/-/ready`);
  }

  async #add(
    name: string,
    ours: boolean,
    command: string,
    args: readonly string[],
    ready?: string,
  ): Promise<void> {
    const child = this.#launch(name, command, args);
    const member: Member = {
      name,
      ours,
      command,
      args,
      ready,
      child,
      hurt: false,
      lives: 1,
      memory: [],
    };
    this.members.set(name, member);
    this.#watch(member);
    if (ready !== undefined) await child.waitUntilReady(ready, 60_000);
    else await new Promise((resolve) => setTimeout(resolve, 1500));
  }

  #launch(name: string, command: string, args: readonly string[]): ChildProcess {
    return ChildProcess.start({ name, command, args });
  }

  /** Starts a member again when it has ended. */
  #watch(member: Member): void {
    const { child } = member;
    void child.exit.then((code) => {
      if (this.#stopping) return;
      if (member.ours && !member.hurt) {
        this.crashes.push(`${member.name} ended with ${code}:\n  ${child.tail.join("\n  ")}`);
      }
      member.hurt = false;
      member.lives++;
      member.memory = [];
      member.child = this.#launch(member.name, member.command, member.args);
      this.#watch(member);
    });
  }

  /** Notes the memory that each member holds. */
  measure(at: number): void {
    for (const member of this.members.values()) {
      try {
        const status = Deno.readTextFileSync(`/proc/${member.child.pid}/status`);
        const kib = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0);
        if (kib > 0) member.memory.push({ at, bytes: kib * 1024 });
      } catch {
        // Between two lives, or a system without /proc.
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    for (const { child } of this.members.values()) child.kill("SIGCONT");
    await Promise.all([...this.members.values()].map(({ child }) => child.stop(5_000)));
  }
}
