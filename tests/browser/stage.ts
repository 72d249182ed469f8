/** What the browser tests look at: two clusters, hostile labels, a rule that fires, a year of blocks. */
import { freePort } from "../../lib/runtime/child_process.ts";
import { runCommand, type Server, type Stage, until } from "../mneme.ts";

/** Values that would do harm if a page took them for anything but text. */
export const HOSTILE = {
  html: "<img src=x onerror=window.__harm=1>",
  link: "javascript:window.__harm=1",
  rtl: "\u202Egnp.exe",
} as const;

/** Cluster and replica of each Prometheus. */
const MEMBERS = [["eu1", "0"], ["us1", "0"], ["us1", "1"]] as const;

const RULES = `groups:
  - name: "<b>group</b>"
    interval: 1s
    rules:
      - alert: TargetDown
        expr: up == 0
        labels: {severity: page}
        annotations: {summary: "<script>window.__harm=1</script>"}
      - record: job:up:sum
        expr: sum by (job) (up)
`;

/** The running whole. */
export interface Scene {
  readonly query: Server;
  readonly store: Server;
  /** A querier without stores below a route prefix. */
  readonly prefixed: Server;
  /** Queriers below an external prefix: reached directly, and to be reached through a proxy. */
  readonly external: Server;
  readonly proxied: Server;
  /** Name of the store gateway as the querier knows it. */
  readonly storeName: string;
}

/** Three Prometheus servers with sidecars, a store gateway over a year, a querier over all. */
export async function openScene(stage: Stage): Promise<Scene> {
  const bucket = `${stage.folder}/bucket`;
  const rules = `${stage.folder}/rules.yml`;
  await Deno.writeTextFile(rules, RULES);
  const [store, prefixed, external, proxied, prometheis] = await Promise.all([
    makeYear(bucket).then(() => stage.store(bucket)),
    stage.mneme("query", ["--web.route-prefix=/mneme"]),
    stage.mneme("query", ["--web.external-prefix=/outside"]),
    stage.mneme("query", ["--web.external-prefix=/outside", "--web.route-prefix=/"]),
    Promise.all(
      MEMBERS.map(([cluster, replica], i) =>
        stage.startPrometheus(`prometheus-${i}`, config(cluster, replica, []))
      ),
    ),
  ]);
  const address = (i: number) => prometheis[i]!.http.slice("http://".length);
  // Both replicas of us1 scrape both servers of us1: 5 series, of which 3 are not replicas.
  const sidecars = await Promise.all(prometheis.map(async (prometheus, i) => {
    const [cluster, replica] = MEMBERS[i]!;
    const targets = i === 0 ? [address(0)] : [address(1), address(2)];
    const text = config(cluster, replica, targets, i === 0 ? rules : undefined);
    await Deno.writeTextFile(prometheus.configFile, text);
    const answer = await fetch(`${prometheus.http}/-/reload`, { method: "POST" });
    if (!answer.ok) throw new Error(`reload: ${await answer.text()}`);
    await answer.body?.cancel();
    return await stage.mneme("sidecar", [`--prometheus.url=${prometheus.http}`]);
  }));
  const query = await stage.mneme("query", [
    "--query.replica-label=replica",
    `--endpoint=${store.grpc}`,
    ...sidecars.map(({ grpc }) => `--endpoint=${grpc}`),
  ]);
  await until("five series of three Prometheus servers", async () => {
    const form = new URLSearchParams({ query: 'up{job="prometheus"}', dedup: "false" });
    const answer = await (await fetch(`${query.http}/api/v1/query?${form}`)).json();
    return answer.data.result.length === 5;
  }, 60_000);
  return {
    query,
    store,
    prefixed,
    external,
    proxied,
    storeName: store.grpc,
  };
}

/** A configuration as JSON, which is YAML; `rules` go with targets that have hostile labels. */
function config(
  cluster: string,
  replica: string,
  targets: readonly string[],
  rules?: string,
): string {
  return JSON.stringify({
    global: {
      scrape_interval: "1s",
      evaluation_interval: "1s",
      external_labels: { cluster, replica },
    },
    ...(rules === undefined ? {} : { rule_files: [rules] }),
    scrape_configs: [
      { job_name: "prometheus", static_configs: [{ targets }] },
      ...(rules === undefined ? [] : [{
        job_name: "hostile",
        static_configs: [{ targets: [`127.0.0.1:${freePort()}`], labels: HOSTILE }],
      }]),
    ],
  });
}

async function makeYear(bucket: string): Promise<void> {
  const plan = await runCommand([
    "cmd/bench.ts",
    "block",
    "plan",
    "--profile=continuous-365d-tiny",
    '--labels=cluster="year"',
  ]);
  const gen = await runCommand(
    ["cmd/bench.ts", "block", "gen", `--output.dir=${bucket}`],
    plan.stdout,
  );
  if (plan.code !== 0 || gen.code !== 0) throw new Error(`no year: ${plan.stderr} ${gen.stderr}`);
}
