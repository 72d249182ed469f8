/**
 * The first tutorial on this machine: a global view over three Prometheus servers.
 *
 *   deno run -A examples/global-view/run.ts [--data-dir=global-view-data] [--once]
 *
 * Needs `prometheus` on PATH. Listens on 127.0.0.1 only; Ctrl-C stops everything.
 */
import { errorMessage, MnemeError } from "../../lib/base/mod.ts";
import { freePort, isOnPath, isPortBusy } from "../../lib/runtime/child_process.ts";
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

const PORTS: Omit<GlobalViewOptions, "folder"> = {
  ports: {
    prometheus0_eu1: { prometheus: 9090, sidecarHttp: 19090, sidecarGrpc: 19190 },
    prometheus0_us1: { prometheus: 9091, sidecarHttp: 19091, sidecarGrpc: 19191 },
    prometheus1_us1: { prometheus: 9092, sidecarHttp: 19092, sidecarGrpc: 19192 },
  },
  queryHttp: 29090,
  queryGrpc: 29190,
};

/** The ports of the tutorial, or any free ones. */
function choosePorts(any: boolean): typeof PORTS {
  if (!any) return PORTS;
  const member = () => ({
    prometheus: freePort(),
    sidecarHttp: freePort(),
    sidecarGrpc: freePort(),
  });
  return {
    ports: { prometheus0_eu1: member(), prometheus0_us1: member(), prometheus1_us1: member() },
    queryHttp: freePort(),
    queryGrpc: freePort(),
  };
}

function checkMachine(ports: typeof PORTS): void {
  if (!isOnPath("prometheus")) {
    throw new MnemeError(
      "not_found",
      "no program named 'prometheus' on PATH; install Prometheus first",
    );
  }
  const all = [
    ports.queryHttp,
    ports.queryGrpc,
    ...Object.values(ports.ports).flatMap((p) => Object.values(p) as number[]),
  ];
  const busy = all.filter((port) => isPortBusy("127.0.0.1", port));
  if (busy.length > 0) {
    throw new MnemeError("unavailable", `in use on 127.0.0.1: port ${busy.join(", ")}`);
  }
}

function show(title: string, result: readonly Sample[]): void {
  console.log(`\n${title}: ${result.length} series`);
  for (const { metric, value } of result) {
    const labels = Object.entries(metric).filter(([name]) => name !== "__name__")
      .map(([name, text]) => `${name}="${text}"`).join(", ");
    console.log(`  {${labels}}  ${value[1]}`);
  }
}

async function main(folder: string, anyPorts: boolean, once: boolean): Promise<void> {
  const ports = choosePorts(anyPorts);
  checkMachine(ports);
  await Deno.mkdir(folder, { recursive: true });
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGTERM", stop);
  const { signal } = stopping;
  try {
    console.log("Starting three Prometheus servers, three sidecars and a querier …");
    await using view = await GlobalView.start({
      ...ports,
      folder: await Deno.realPath(folder),
      signal,
      onLine: (name, line) => console.error(`[${name}] ${line}`),
    });
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
    await Promise.race([
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
      ...view.children.map(async (child) => {
        const code = await child.exit;
        if (!signal.aborted) {
          throw new MnemeError("internal", `${child.name} ended with exit code ${code}`);
        }
      }),
    ]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    Deno.removeSignalListener("SIGINT", stop);
    Deno.removeSignalListener("SIGTERM", stop);
  }
}

function parseOptions(
  args: readonly string[],
): { folder: string; anyPorts: boolean; once: boolean } | undefined {
  const options = { folder: "global-view-data", anyPorts: false, once: false };
  for (const arg of args) {
    if (arg === "--help") return undefined;
    if (arg === "--once") options.once = true;
    else if (arg === "--any-ports") options.anyPorts = true;
    else if (arg.startsWith("--data-dir=")) options.folder = arg.slice("--data-dir=".length);
    else throw new MnemeError("bad_data", `unknown flag: '${arg}' (see --help)`);
  }
  return options;
}

if (import.meta.main) {
  let code = 0;
  try {
    const options = parseOptions(Deno.args);
    if (options === undefined) console.log(HELP);
    else await main(options.folder, options.anyPorts, options.once);
  } catch (error) {
    console.error(`global-view: ${errorMessage(error)}`);
    code = 1;
  }
  Deno.exit(code);
}
