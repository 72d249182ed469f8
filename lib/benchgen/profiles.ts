/** The named plans. Source: thanosbench's profiles, and data set P of our query benchmark. */
import { MnemeError } from "../base/mod.ts";
import { type Labels, labelsFromRecord } from "../model/mod.ts";
import { BLOCK_SOURCE, type BlockSpec, type SeriesSpec } from "./plan.ts";

const HOUR = 3_600_000;
const TWO_HOURS = 2 * HOUR;

/** Block ranges in hours, newest first. */
const TWO_DAYS = [2, 2, 2, 8, 8, 8, 8, 8, 2];
const ONE_WEEK = [2, 2, 2, 8, 8, 48, 48, 48, 2];
const THIRTY_DAYS = [2, 2, 2, 8, 176, 176, 176, 176, 2];
const ONE_YEAR = [2, 2, 2, 8, 176, 176, 176, 176, 1608, 1608, 1608, 1608, 1608];

interface RelativeProfile {
  /** Continuous apps keep their series; on Kubernetes each rollout (hourly) brings new ones. */
  readonly kind: "continuous" | "kubernetes";
  readonly ranges: readonly number[];
  readonly apps: number;
  readonly metrics: number;
}

const RELATIVE: Readonly<Record<string, RelativeProfile>> = {
  "realistic-k8s-2d-small": { kind: "kubernetes", ranges: TWO_DAYS, apps: 100, metrics: 50 },
  "realistic-k8s-1w-small": { kind: "kubernetes", ranges: ONE_WEEK, apps: 100, metrics: 50 },
  "realistic-k8s-30d-tiny": { kind: "kubernetes", ranges: THIRTY_DAYS, apps: 1, metrics: 5 },
  "realistic-k8s-365d-tiny": { kind: "kubernetes", ranges: ONE_YEAR, apps: 1, metrics: 5 },
  "continuous-1w-small": { kind: "continuous", ranges: ONE_WEEK, apps: 100, metrics: 100 },
  "continuous-30d-tiny": { kind: "continuous", ranges: THIRTY_DAYS, apps: 1, metrics: 5 },
  "continuous-365d-tiny": { kind: "continuous", ranges: ONE_YEAR, apps: 1, metrics: 5 },
  "continuous-1w-1series-10000apps": {
    kind: "continuous",
    ranges: ONE_WEEK,
    apps: 10_000,
    metrics: 1,
  },
};

/** The profile whose times are fixed: data set P. */
export const MIXED_PROFILE = "bench-mixed-14d";

/** Names of all profiles. */
export const PROFILES: readonly string[] = [...Object.keys(RELATIVE), MIXED_PROFILE];

/** What a plan depends on besides its profile. */
export interface PlanOptions {
  /** The newest block covers this time, ms. Profiles with fixed times ignore it. */
  readonly maxTime: number;
  readonly externalLabels: Labels;
}

/** True when the profile's times do not depend on `maxTime`. */
export function hasFixedTimes(profile: string): boolean {
  return profile === MIXED_PROFILE;
}

/**
 * The blocks of a profile, newest first.
 *
 * Throws: bad_data for an unknown profile.
 */
export function planProfile(profile: string, options: PlanOptions): Iterable<BlockSpec> {
  if (profile === MIXED_PROFILE) return planMixed(options.externalLabels);
  const found = Object.hasOwn(RELATIVE, profile) ? RELATIVE[profile] : undefined;
  if (found === undefined) {
    throw new MnemeError(
      "bad_data",
      `unknown profile "${profile}"; known ones: ${PROFILES.join(", ")}`,
    );
  }
  return planRelative(found, options);
}

function* planRelative(profile: RelativeProfile, options: PlanOptions): Iterable<BlockSpec> {
  // The next two-hour boundary strictly above the given time.
  const end = Math.floor(options.maxTime / TWO_HOURS) * TWO_HOURS + TWO_HOURS;
  let maxTime = end;
  let rollout = end - HOUR / 2;
  for (const hours of profile.ranges) {
    // Each older block ends where the newer one starts, so boundaries drift by 1 ms a block.
    const minTime = maxTime - hours * HOUR + 1;
    const series: SeriesSpec[] = [];
    if (profile.kind === "continuous") {
      for (let i = 0; i < profile.metrics; i++) {
        const labels = labelsFromRecord({ __name__: `continuous_app_metric${i}` });
        series.push(gauge(labels, profile.apps, minTime, maxTime));
      }
    } else {
      for (;;) {
        const from = Math.max(rollout, minTime);
        const to = Math.min(rollout + HOUR, maxTime);
        for (let i = 0; i < profile.metrics; i++) {
          const labels = labelsFromRecord({
            __name__: `k8s_app_metric${i}`,
            next_rollout_time: goTime(rollout),
          });
          series.push(gauge(labels, profile.apps, from, to));
        }
        // A rollout across the boundary goes on in the older block.
        if (rollout <= minTime) break;
        rollout -= HOUR;
      }
    }
    yield block(minTime, maxTime, options.externalLabels, series);
    maxTime = minTime;
  }
}

function block(
  minTime: number,
  maxTime: number,
  externalLabels: Labels,
  series: readonly SeriesSpec[],
): BlockSpec {
  return { minTime, maxTime, externalLabels, resolution: 0, source: BLOCK_SOURCE, series };
}

function gauge(labels: Labels, targets: number, minTime: number, maxTime: number): SeriesSpec {
  return {
    labels,
    targets,
    type: "GAUGE",
    minTime,
    maxTime,
    jitter: 3e7,
    scrapeInterval: 15_000,
    changeInterval: HOUR,
    max: 2e8,
    min: 1e7,
  };
}

/** A time as Go prints it: `2019-10-17 23:30:00 +0000 UTC`. */
function goTime(ms: number): string {
  const iso = new Date(ms).toISOString();
  const fraction = iso.slice(19, 23).replace(/\.?0+$/, "");
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)}${fraction} +0000 UTC`;
}

const MIXED_START = Date.UTC(2026, 8, 24);
const MIXED_BLOCKS = 14 * 12;

function* planMixed(externalLabels: Labels): Iterable<BlockSpec> {
  const targetLabels = {
    job: ["job-0", "job-1", "job-2", "job-3"],
    instance: "instance-{n}",
    path: Array.from({ length: 10 }, (_, i) => `/api/v1/path-${i}`),
    code: ["200", "404", "500"],
  };
  for (let i = MIXED_BLOCKS - 1; i >= 0; i--) {
    const minTime = MIXED_START + i * TWO_HOURS;
    const maxTime = minTime + TWO_HOURS;
    const shared = {
      targets: 200,
      minTime,
      maxTime,
      scrapeInterval: 15_000,
      changeInterval: 0,
      jitter: 0,
      min: 0,
      targetLabels,
      late: 3,
      lateShare: 0.1,
    };
    const name = (n: string) => labelsFromRecord({ __name__: n });
    yield block(minTime, maxTime, externalLabels, [
      {
        ...shared,
        labels: name("bench_requests_total"),
        type: "STEADY_COUNTER",
        max: 19,
        resetInterval: 720 * HOUR,
      },
      {
        ...shared,
        labels: name("bench_bytes_total"),
        type: "STEADY_COUNTER",
        max: 99_999,
        resetInterval: 720 * HOUR,
      },
      { ...shared, labels: name("bench_inflight"), type: "WALK", max: 100, jitter: 2 },
      {
        ...shared,
        labels: name("bench_temperature"),
        type: "WAVE",
        min: 10,
        max: 30,
        jitter: 2,
        decimals: 1,
      },
      { ...shared, labels: name("bench_build_info"), type: "CONSTANT", min: 1, max: 1 },
    ]);
  }
}
