/**
 * The global view: three Prometheus servers in two clusters, a sidecar beside each, one querier.
 *
 * Every sidecar writes its Prometheus' configuration from the files beside this one and reloads it
 * when they change.
 */
import { expandEnv } from "../../lib/config/mod.ts";
import { ChildProcess } from "../../lib/runtime/child_process.ts";

/** Prometheus servers by the name of their configuration file. */
export const MEMBERS = ["prometheus0_eu1", "prometheus0_us1", "prometheus1_us1"] as const;
export type Member = typeof MEMBERS[number];

/** Names of the addresses in the configuration files. */
const REFERENCES: Readonly<Record<Member, string>> = {
  prometheus0_eu1: "EU1_0",
  prometheus0_us1: "US1_0",
  prometheus1_us1: "US1_1",
};

/** Ports on 127.0.0.1 of one Prometheus and its sidecar. */
export interface MemberPorts {
  readonly prometheus: number;
  readonly sidecarHttp: number;
  readonly sidecarGrpc: number;
}

/** Where everything goes. */
export interface GlobalViewOptions {
  /** Data of the Prometheus servers, working copies of the configuration. */
  readonly folder: string;
  readonly ports: Readonly<Record<Member, MemberPorts>>;
  readonly queryHttp: number;
  readonly queryGrpc: number;
  readonly signal?: AbortSignal;
  /** Told of each line that a process of ours writes. */
  readonly onLine?: (name: string, line: string) => void;
}

const here = new URL(".", import.meta.url).pathname;
const root = new URL("../..", import.meta.url).pathname;

/** The running whole. */
export class GlobalView implements AsyncDisposable {
  readonly options: GlobalViewOptions;
  readonly children: ChildProcess[] = [];

  private constructor(options: GlobalViewOptions) {
    this.options = options;
  }

  /** URL of the querier. */
  get url(): string {
    return `http://127.0.0.1:${this.options.queryHttp}`;
  }

  /** Starts everything and waits until the querier knows all three sidecars. */
  static async start(options: GlobalViewOptions): Promise<GlobalView> {
    const view = new GlobalView(options);
    try {
      await Promise.all(MEMBERS.map((member) => view.#startMember(member)));
      const { queryHttp, queryGrpc, ports, signal } = options;
      const query = view.#start("query", Deno.execPath(), [
        "run",
        "-A",
        `${root}cmd/query.ts`,
        "--log.level=warn",
        `--http-address=127.0.0.1:${queryHttp}`,
        `--grpc-address=127.0.0.1:${queryGrpc}`,
        "--query.replica-label=replica",
        ...MEMBERS.map((member) => `--endpoint=127.0.0.1:${ports[member].sidecarGrpc}`),
      ]);
      await query.waitUntilReady(`${view.url}/-/ready`, 60_000, signal);
      return view;
    } catch (error) {
      await view.stop();
      throw error;
    }
  }

  /** The configuration file to edit; its Prometheus follows. */
  configFile(member: Member): string {
    return `${this.options.folder}/${member}/${member}.yml.tmpl`;
  }

  async #startMember(member: Member): Promise<void> {
    const { folder, ports, signal } = this.options;
    const own = ports[member];
    const data = `${folder}/${member}/data`;
    await Deno.mkdir(data, { recursive: true });
    const env = Object.fromEntries(
      MEMBERS.map((m) => [REFERENCES[m], `127.0.0.1:${ports[m].prometheus}`]),
    );
    const template = await Deno.readTextFile(`${here}${member}.yml`);
    await Deno.writeTextFile(this.configFile(member), template);
    // The first version is written here: Prometheus does not start without a file.
    const configFile = `${folder}/${member}/${member}.yml`;
    await Deno.writeTextFile(configFile, expandEnv(template, (name) => env[name]));
    const prometheus = this.#start(member, "prometheus", [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${data}`,
      "--storage.tsdb.min-block-duration=2h",
      "--storage.tsdb.max-block-duration=2h",
      "--log.level=warn",
      "--web.enable-lifecycle",
      `--web.listen-address=127.0.0.1:${own.prometheus}`,
    ]);
    const sidecar = this.#start(`sidecar of ${member}`, Deno.execPath(), [
      "run",
      "-A",
      `${root}cmd/sidecar.ts`,
      "--log.level=warn",
      `--prometheus.url=http://127.0.0.1:${own.prometheus}`,
      `--tsdb.path=${data}`,
      `--reloader.config-file=${this.configFile(member)}`,
      `--reloader.config-envsubst-file=${configFile}`,
      `--http-address=127.0.0.1:${own.sidecarHttp}`,
      `--grpc-address=127.0.0.1:${own.sidecarGrpc}`,
    ], env);
    await prometheus.waitUntilReady(`http://127.0.0.1:${own.prometheus}/-/ready`, 60_000, signal);
    await sidecar.waitUntilReady(`http://127.0.0.1:${own.sidecarHttp}/-/ready`, 60_000, signal);
  }

  #start(
    name: string,
    command: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): ChildProcess {
    const child = ChildProcess.start({
      name,
      command,
      args,
      ...(env === undefined ? {} : { env }),
      onLine: (line) => this.options.onLine?.(name, line),
    });
    this.children.push(child);
    return child;
  }

  async stop(): Promise<void> {
    await Promise.all(this.children.map((child) => child.stop()));
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** An instant query to the querier: its result list. */
  async query(text: string, more: Readonly<Record<string, string>> = {}): Promise<Sample[]> {
    const params = new URLSearchParams({ query: text, partial_response: "false", ...more });
    const answer = await fetch(`${this.url}/api/v1/query?${params}`);
    const body = await answer.json();
    if (body.status !== "success") throw new Error(`'${text}' failed: ${body.error}`);
    return body.data.result;
  }

  /** Asks until `count` series are there, as the first scrapes take a moment. */
  async queryUntil(
    text: string,
    count: number,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Sample[]> {
    const end = Date.now() + 60_000;
    for (;;) {
      this.options.signal?.throwIfAborted();
      const result = await this.query(text, more);
      if (result.length === count) return result;
      if (Date.now() > end) {
        throw new Error(`'${text}' gives ${result.length} series, expected ${count}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

/** One series of an instant query's answer. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}
