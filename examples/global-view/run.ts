/**
 * The first tutorial on this machine: a global view over three Prometheus servers.
 *
 *   deno run -A examples/global-view/run.ts [--data-dir=global-view-data] [--once]
 *
 * Needs `prometheus` on PATH. Listens on 127.0.0.1 only; Ctrl-C stops everything.
 */
import { playTutorial, type TutorialRun, untilStopped } from "../tutorial.ts";
import { GlobalView, type GlobalViewOptions, MEMBERS, type Sample } from "./global_view.ts";

const HELP = `usage: deno run -A examples/global-view/run.ts [<flags>]

Starts three Prometheus servers (cluster eu1 with one, us1 with two replicas), a sidecar
beside each and one querier, and asks the querier what it sees.

Flags:
  --data-dir=global-view-data   Folder for data and the working copies of the configuration.
  --any-ports                   Use whatever ports are free.
  --once                        Stop after the answers instead of waiting for Ctrl-C.
  --help                        Show this text.
`;

type Ports = Pick<GlobalViewOptions, "ports" | "queryHttp" | "queryGrpc">;

const PORTS: Ports = {
  ports: {
    prometheus0_eu1: { prometheus: 9090, sidecarHttp: 19090, sidecarGrpc: 19190 },
    prometheus0_us1: { prometheus: 9091, sidecarHttp: 19091, sidecarGrpc: 19191 },
    prometheus1_us1: { prometheus: 9092, sidecarHttp: 19092, sidecarGrpc: 19192 },
  },
  queryHttp: 29090,
  queryGrpc: 29190,
};

function show(title: string, result: readonly Sample[]): void {
  console.log(`\n${title}: ${result.length} series`);
  for (const { metric, value } of result) {
    const labels = Object.entries(metric).filter(([name]) => name !== "__name__")
      .map(([name, text]) => `${name}="${text}"`).join(", ");
    console.log(`  {${labels}}  ${value[1]}`);
  }
}

async function play(
  { ports, folder, once, signal, onLine }: TutorialRun<Ports>,
): Promise<void> {
  console.log("Starting three Prometheus servers, three sidecars and a querier …");
  await using view = await GlobalView.start({ ...ports, folder, signal, onLine });
  const metric = "prometheus_tsdb_head_series";
  show(`${metric}, deduplicated`, await view.queryUntil(metric, 3));
  show(`${metric}, dedup=false`, await view.queryUntil(metric, 5, { dedup: "false" }));
  show(`sum(${metric})`, await view.queryUntil(`sum(${metric})`, 1));
  if (once) return;
  console.log(`\nThe global view is up: ${view.url}`);
  console.log(`  stores  curl -s ${view.url}/api/v1/stores`);
  console.log("  edit one of these files and its Prometheus follows at once:");
  for (const member of MEMBERS) console.log(`    ${view.configFile(member)}`);
  console.log("Ctrl-C stops everything.");
  await untilStopped(view.children, signal);
}

if (import.meta.main) {
  const tutorial = {
    name: "global-view",
    help: HELP,
    folder: "global-view-data",
    ports: PORTS,
    play,
  };
  Deno.exit(await playTutorial(tutorial, Deno.args));
}
