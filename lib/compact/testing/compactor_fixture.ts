/** A compactor over a given bucket with everything else made for a test. */
import { type Clock, makeUlid } from "../../base/mod.ts";
import { Random } from "../../base/testing/random.ts";
import { fetcherMetrics } from "../../block/mod.ts";
import type { Bucket } from "../../objstore/mod.ts";
import { createLogger, Metrics } from "../../telemetry/mod.ts";
import type { Files } from "../../tsdb/mod.ts";
import {
  CompactMetrics,
  Compactor,
  type CompactorOptions,
  DEFAULT_COMPACTOR_OPTIONS,
  DownsampleMetrics,
  type DownsamplePass,
  Downsampling,
  InlineJobs,
} from "../mod.ts";

/** A compactor, its metrics and its log lines. */
export interface CompactorFixture {
  readonly compactor: Compactor;
  readonly metrics: Metrics;
  readonly compactMetrics: CompactMetrics;
  readonly log: string[];
  /** Value of a metric as exposed, NaN when there is no such line. */
  readonly value: (line: string) => Promise<number>;
}

/** Makes a compactor that works in this thread and waits for nothing. */
export function makeCompactor(parts: {
  readonly bucket: Bucket;
  readonly files: Files;
  readonly dataDirectory: string;
  readonly clock: Clock;
  readonly options?: Partial<CompactorOptions>;
  readonly seed?: number;
  /** "real" downsamples; nothing is downsampled when absent. */
  readonly downsample?: DownsamplePass | "real";
}): CompactorFixture {
  const metrics = new Metrics();
  const log: string[] = [];
  const logger = createLogger({
    level: "info",
    format: "logfmt",
    sink: (line) => log.push(line),
    now: () => parts.clock.now(),
  });
  const random = new Random(parts.seed ?? 1);
  const compactMetrics = new CompactMetrics(metrics);
  const { bucket, files, dataDirectory, clock } = parts;
  const shared = {
    bucket,
    files,
    dataDirectory,
    clock,
    makeUlid: () =>
      makeUlid(clock.now(), (target) => {
        for (let i = 0; i < target.length; i++) target[i] = random.below(256);
      }),
    logger,
    jobs: new InlineJobs(files),
  };
  const options = {
    ...DEFAULT_COMPACTOR_OPTIONS,
    consistencyDelay: 0,
    deleteDelay: 0,
    clockTolerance: 0,
    ...parts.options,
  };
  const downsample = parts.downsample === "real"
    ? new Downsampling({
      ...shared,
      ...options,
      metrics: new DownsampleMetrics(metrics),
      concurrency: 1,
    })
    : parts.downsample;
  const compactor = new Compactor({
    ...shared,
    metrics: compactMetrics,
    observer: fetcherMetrics({ metrics, logger }),
    options,
    ...(downsample === undefined ? {} : { downsample }),
  });
  return {
    compactor,
    metrics,
    compactMetrics,
    log,
    value: async (line) => {
      const text = await metrics.expose();
      const found = text.split("\n").find((l) => l.startsWith(`${line} `));
      return found === undefined ? NaN : Number(found.slice(line.length + 1));
    },
  };
}
