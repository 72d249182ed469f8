/** `tools`: looks after a bucket from the command line. */
import { makeUlid, MnemeError } from "../lib/base/mod.ts";
import {
  DeletionMarkFilter,
  fetcherMetrics,
  type MetaFilter,
  timePartitionFilter,
} from "../lib/block/mod.ts";
import {
  printBlocks,
  printTable,
  readMetas,
  selectBlocks,
  verifyBucket,
} from "../lib/bucket_tools/mod.ts";
import {
  BucketSync,
  DEFAULT_COMPACTOR_OPTIONS,
  DownsampleLoop,
  DownsampleMetrics,
  Downsampling,
  WorkerJobs,
} from "../lib/compact/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { type Bucket, meterBucket, openBucket } from "../lib/objstore/mod.ts";
import { lockDataDirectory } from "../lib/runtime/mod.ts";
import { Probe } from "../lib/telemetry/mod.ts";
import { SystemFiles } from "../lib/tsdb/mod.ts";
import { type CommandEnv, defineCommand, defineGroup, runMain } from "./command.ts";
import { httpServer } from "./servers.ts";
import { downsampleFlags, inspectFlags, listFlags, verifyFlags } from "./tools_flags.ts";

/** Prefix of the metrics of syncs. */
const META_PREFIX = "thanos_bucket_blocks_meta";

type Objstore = ConfigOf<typeof listFlags>["objstore"];

async function withBucket(
  objstore: Objstore,
  env: CommandEnv,
  work: (bucket: Bucket) => Promise<void>,
): Promise<void> {
  const { logger } = env;
  const opened = await openBucket(objstore.load(), { source: objstore.source, logger });
  const bucket = meterBucket(opened, env);
  try {
    await work(bucket);
  } finally {
    await bucket.close();
  }
}

const list = defineCommand({
  name: "ls",
  help: "Lists all blocks in the bucket.",
  flags: listFlags,
  run: (config, env) =>
    withBucket(config.objstore, env, async (bucket) => {
      const { clock, logger } = env;
      const now = clock.now();
      const filters: MetaFilter[] = [
        timePartitionFilter(() => config.minTime.at(now), () => config.maxTime.at(now)),
        ...(config.excludeDelete ? [new DeletionMarkFilter(bucket, -Infinity, clock)] : []),
      ];
      const signal = AbortSignal.any([env.signal, AbortSignal.timeout(config.timeout)]);
      const metas = await readMetas(bucket, filters, fetcherMetrics(env, META_PREFIX), signal);
      await write(printBlocks(metas, config.output));
      logger.info("ls done", { objects: metas.length });
    }),
});

const inspect = defineCommand({
  name: "inspect",
  help: "Shows the blocks of the bucket as a table.",
  flags: inspectFlags,
  run: (config, env) =>
    withBucket(config.objstore, env, async (bucket) => {
      const wanted = config.selector.map(parseSelector);
      const signal = AbortSignal.any([env.signal, AbortSignal.timeout(config.timeout)]);
      const metas = await readMetas(bucket, [], fetcherMetrics(env, META_PREFIX), signal);
      const sortBy = config.sortBy.length === 0 ? ["FROM", "UNTIL"] : config.sortBy;
      await write(printTable(selectBlocks(metas, wanted), sortBy, config.output));
    }),
});

const verify = defineCommand({
  name: "verify",
  help: "Verifies all blocks in the bucket.",
  flags: verifyFlags,
  run: (config, env) =>
    withBucket(config.objstore, env, async (bucket) => {
      const { clock, logger } = env;
      const filters = [new DeletionMarkFilter(bucket, -Infinity, clock)];
      const metas = await readMetas(bucket, filters, fetcherMetrics(env, META_PREFIX), env.signal);
      const directory = await Deno.makeTempDir({ prefix: "mneme-verify-" });
      try {
        const issues = config.issues.length === 0
          ? ["index_known_issues", "overlapped_blocks"]
          : config.issues;
        let count = 0;
        const { ids, depth } = config;
        const { signal } = env;
        const files = new SystemFiles();
        const options = { bucket, files, directory, issues, ids, depth, signal };
        for await (const { issue, blocks, message } of verifyBucket(metas, options)) {
          count++;
          logger.warn("detected issue", { issue, block: blocks.join(","), err: message });
        }
        logger.info("verify done", { blocks: metas.length, issues: count });
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    }),
});

const downsample = defineCommand({
  name: "downsample",
  help: "Continuously downsamples blocks in an object store bucket.",
  flags: downsampleFlags,
  run: (config, env) =>
    withBucket(config.objstore, env, async (bucket) => {
      const { clock, logger, metrics } = env;
      const probe = new Probe(env.name, env);
      const directory = await lockDataDirectory(config.dataDir);
      const jobs = new WorkerJobs();
      // Marked blocks are downsampled, too: who runs this decides about them.
      const options = { ...DEFAULT_COMPACTOR_OPTIONS, consistencyDelay: 0, deleteDelay: Infinity };
      const observer = fetcherMetrics(env, META_PREFIX);
      const sync = new BucketSync({ bucket, clock, options, observer, labelsRemoved() {} });
      const downsampling = new Downsampling({
        ...options,
        bucket,
        files: new SystemFiles(),
        dataDirectory: directory.path,
        clock,
        makeUlid: () => makeUlid(clock.now()),
        logger,
        metrics: new DownsampleMetrics(metrics),
        jobs,
        concurrency: Math.max(1, config.concurrency),
        fileConcurrency: Math.max(1, config.fileConcurrency),
        hash: config.hashFunction,
      });
      const interval = config.waitInterval;
      const loop = new DownsampleLoop({ sync, downsampling, clock, logger, interval });
      try {
        await env.runGroup([
          httpServer(config, env, { probe }),
          { name: "downsampling", run: (stop) => loop.forEver(stop) },
        ], {
          onStarted: () => {
            probe.healthy();
            probe.ready();
          },
          onStopping: () => probe.notReady("shutting down"),
        });
      } finally {
        jobs.close();
        directory.release();
      }
    }),
});

/** `name="value"`, the value as Go quotes it. */
function parseSelector(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  const quoted = text.slice(at + 1);
  if (at > 0 && /^"(?:[^"\\]|\\.)*"$/.test(quoted)) {
    try {
      return [text.slice(0, at), JSON.parse(quoted) as string];
    } catch {
      // Told below, as any other mistake.
    }
  }
  throw new MnemeError("bad_data", `Cannot read --selector ${text}: it is written as name="value"`);
}

async function write(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

export const tools = defineGroup({
  name: "tools",
  help: "Tools utility commands.",
  commands: [
    defineGroup({
      name: "bucket",
      help: "Bucket utility commands.",
      commands: [verify, list, inspect, downsample],
    }),
  ],
});

if (import.meta.main) await runMain(tools);
