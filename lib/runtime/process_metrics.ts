/** Metrics of the process itself: CPU, memory, files, heap, event loop, and what was built. */
import type { BuildInfo, Metrics } from "../telemetry/mod.ts";

/** Kernel ticks per second in /proc; fixed at 100 on every Linux Deno runs on. */
const TICKS_PER_SECOND = 100;

/** Registers `process_*`, `nodejs_*` and `thanos_build_info`; values are read at each scrape. */
export function registerProcessMetrics(
  metrics: Metrics,
  build: BuildInfo,
  startTime: number,
): void {
  registerBuildInfo(metrics, build);
  const gauge = (name: string, help: string) => metrics.gauge(name, help);
  const start = gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
  );
  start.set(startTime / 1000);
  const cpu = metrics.counter(
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
  );
  const resident = gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
  const virtual = gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
  const openFiles = gauge("process_open_fds", "Number of open file descriptors.");
  const maxFiles = gauge("process_max_fds", "Maximum number of open file descriptors.");
  const heapTotal = gauge("nodejs_heap_size_total_bytes", "V8 heap size in bytes.");
  const heapUsed = gauge("nodejs_heap_size_used_bytes", "V8 heap in use in bytes.");
  const external = gauge(
    "nodejs_external_memory_bytes",
    "Memory outside the V8 heap, such as array buffers, in bytes.",
  );
  const lag = gauge(
    "nodejs_eventloop_lag_seconds",
    "How late a timer fired at this scrape, in seconds.",
  );
  let cpuBefore = 0;
  metrics.onCollect(async () => {
    const memory = Deno.memoryUsage();
    resident.set(memory.rss);
    heapTotal.set(memory.heapTotal);
    heapUsed.set(memory.heapUsed);
    external.set(memory.external);
    const stat = readProcStat();
    if (stat !== undefined) {
      cpu.inc(Math.max(0, stat.cpuSeconds - cpuBefore));
      cpuBefore = Math.max(cpuBefore, stat.cpuSeconds);
      virtual.set(stat.virtualBytes);
    }
    const files = readFileCounts();
    if (files !== undefined) {
      openFiles.set(files.open);
      maxFiles.set(files.max);
    }
    const before = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 0));
    lag.set((performance.now() - before) / 1000);
  });
}

function registerBuildInfo(metrics: Metrics, build: BuildInfo): void {
  const [os = "", arch = ""] = build.platform.split("/");
  metrics.gaugeFamily({
    name: "thanos_build_info",
    help: "Constant 1, labelled with what was built.",
    labels: ["branch", "goarch", "goos", "goversion", "revision", "tags", "version"],
  }).with({
    branch: build.branch,
    goarch: arch,
    goos: os,
    goversion: build.runtime,
    revision: build.revision,
    tags: "unknown",
    version: build.version,
  }).set(1);
}

/** Undefined where there is no /proc or it may not be read: the metrics stay at 0 then. */
function readProcStat(): { cpuSeconds: number; virtualBytes: number } | undefined {
  try {
    const text = Deno.readTextFileSync("/proc/self/stat");
    // The second field is the program's name in brackets and may hold spaces.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      virtualBytes: Number(fields[20]),
    };
  } catch {
    return undefined;
  }
}

function readFileCounts(): { open: number; max: number } | undefined {
  try {
    let open = 0;
    for (const _ of Deno.readDirSync("/proc/self/fd")) open++;
    const limit = /^Max open files\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"));
    return { open, max: Number(limit?.[1] ?? 0) };
  } catch {
    return undefined;
  }
}
