/** Signals of a real process, metrics of this one, and the gRPC server's health and counters. */
import assert from "node:assert/strict";
import { connectRpc, HEALTH_SERVICE } from "../rpc/mod.ts";
import { Metrics, Probe, silentLogger } from "../telemetry/mod.ts";
import { ChildProcess } from "./child_process.ts";
import { GrpcServer } from "./grpc_server.ts";
import { registerProcessMetrics } from "./process_metrics.ts";

const here = new URL(".", import.meta.url).href;

/**
 * A program that tells what it is told; `stubborn` never ends by itself. Each look at its clock
 * finds it `msPerLook` later.
 */
function program(stubborn: boolean, msPerLook: number): string {
  return `
    import { listenSignals } from "${here}signals.ts";
    import { createLogger } from "${here}../telemetry/mod.ts";
    const logger = createLogger({ level: "info", format: "logfmt", sink: (l) => console.log(l) });
    let ms = 0;
    const now = () => ms += ${msPerLook};
    const signals = listenSignals(logger, (code) => Deno.exit(code), now);
    signals.onReload(() => console.log("reloaded"));
    const timer = setInterval(() => {}, 1000);
    signals.stop.addEventListener("abort", () => {
      console.log("stopping");
      if (!${stubborn}) { clearInterval(timer); signals.dispose(); }
    });
    console.log("up");
  `;
}

async function start(stubborn: boolean, msPerLook = 1000) {
  const lines: string[] = [];
  const waiters: (() => void)[] = [];
  const child = ChildProcess.start({
    name: "signals",
    command: Deno.execPath(),
    args: ["eval", "--no-lock", program(stubborn, msPerLook)],
    onLine(line) {
      lines.push(line);
      for (const wake of waiters.splice(0)) wake();
    },
  });
  const seen = async (text: string) => {
    while (!lines.some((line) => line.includes(text))) {
      await new Promise<void>((resolve) => {
        waiters.push(resolve);
        child.exit.then(() => resolve());
      });
      if (!child.running) break;
    }
    assert.ok(lines.some((line) => line.includes(text)), `${text} not in:\n${lines.join("\n")}`);
  };
  await seen("up");
  return { child, lines, seen };
}

Deno.test("listenSignals() reloads on SIGHUP and stops on SIGTERM", async () => {
  const { child, seen } = await start(false);
  child.kill("SIGHUP");
  await seen("reloaded");
  child.kill("SIGTERM");
  assert.equal(await child.exit, 0);
  await seen('msg="caught signal. Exiting." signal=terminated');
});

Deno.test("listenSignals() ends the process at the second signal", async () => {
  const { child, seen } = await start(true);
  child.kill("SIGINT");
  await seen("stopping");
  child.kill("SIGINT");
  assert.equal(await child.exit, 130);
  await seen("caught second signal");
});

Deno.test("listenSignals() takes echoes of one Ctrl-C for one signal", async () => {
  const { child, lines, seen } = await start(true, 1);
  child.kill("SIGINT");
  await seen("stopping");
  child.kill("SIGTERM");
  child.kill("SIGINT");
  child.kill("SIGHUP");
  await seen("reloaded");
  assert.ok(child.running);
  assert.ok(!lines.some((line) => line.includes("second signal")), lines.join("\n"));
  child.kill("SIGKILL");
  await child.exit;
});

Deno.test("registerProcessMetrics() exports the process and the build", async () => {
  const metrics = new Metrics();
  const build = {
    version: "1.2.3",
    revision: "r",
    branch: "b",
    buildUser: "",
    buildDate: "",
    runtime: "deno2",
    platform: "linux/x86_64",
  };
  registerProcessMetrics(metrics, build, 5000);
  const text = await metrics.expose();
  const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  assert.equal(value("process_start_time_seconds"), 5);
  assert.ok(value("process_resident_memory_bytes") > 1e6);
  assert.ok(value("nodejs_heap_size_used_bytes") > 1e5);
  if (Deno.build.os === "linux") {
    assert.ok(value("process_cpu_seconds_total") > 0);
    assert.ok(value("process_open_fds") > 2);
    assert.ok(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
  }
  assert.ok(text.includes('thanos_build_info{branch="b",goarch="x86_64",goos="linux"'));
});

Deno.test("GrpcServer's health follows the probe and its calls are counted", async () => {
  const metrics = new Metrics();
  const probe = new Probe("store", { metrics, logger: silentLogger });
  const server = new GrpcServer({
    address: { hostname: "127.0.0.1", port: 0 },
    services: [],
    probe,
    metrics,
    logger: silentLogger,
    gracePeriod: 1000,
  });
  await server.start();
  const controller = new AbortController();
  const done = server.run(controller.signal);
  const client = connectRpc(server.address);
  try {
    const check = () => client.unary(`/${HEALTH_SERVICE}/Check`, new Uint8Array(), {});
    assert.deepEqual([...await check()], [8, 2]);
    probe.ready();
    assert.deepEqual([...await check()], [8, 1]);
    const labels = `grpc_method="Check",grpc_service="${HEALTH_SERVICE}",grpc_type="unary"`;
    const text = await metrics.expose();
    assert.ok(text.includes(`grpc_server_handled_total{grpc_code="OK",${labels}} 2\n`), text);
    assert.ok(text.includes(`grpc_server_handled_total{grpc_code="DataLoss",${labels}} 0\n`));
    assert.ok(text.includes(`grpc_server_msg_sent_total{${labels}} 2\n`));
  } finally {
    client.close();
    controller.abort();
    await done;
  }
});
