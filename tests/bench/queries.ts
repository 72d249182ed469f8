/** The fixed queries of the benchmark over data set P, whose end is day 13 of the data. */

/** One row: an instant query (no range) or a range query; times in seconds. */
export interface QueryRow {
  readonly query: string;
  /** How it is asked, for the table. */
  readonly shape: string;
  readonly rangeSeconds: number;
  readonly stepSeconds: number;
  readonly maxSourceResolution?: string;
  /** End of repetition 0; day 13 of data set P by default. */
  readonly endSeconds?: number;
  /**
   * Relative tolerance when answers are compared. Rates over counters with resets differ a little:
   * the querier joins the pieces of a counter before it extrapolates, as Thanos does.
   */
  readonly tolerance: number;
  /** Equal values compete for a place, and the winner is nobody's promise: not compared. */
  readonly hasTies: boolean;
}

const HOUR = 3600;
const DAY = 86_400;
/** 2026-09-24T00:00:00Z plus 13 days, 7 s off the scrape grid. */
const END_SECONDS = 1_790_208_000 + 13 * DAY + 7;

function range(
  query: string,
  rangeSeconds: number,
  stepSeconds: number,
  shape: string,
  maxSourceResolution?: string,
): QueryRow {
  return {
    query,
    shape,
    rangeSeconds,
    stepSeconds,
    hasTies: query.startsWith("topk"),
    tolerance: query.includes("rate(") ? 0.02 : 1e-9,
    ...(maxSourceResolution === undefined ? {} : { maxSourceResolution }),
  };
}

/** Rows in the order of the printed table. */
export const QUERIES: readonly QueryRow[] = [
  range("sum(bench_inflight)", 0, 15, "instant"),
  range("sum by (job) (rate(bench_requests_total[5m]))", DAY, 60, "1 d / 60 s"),
  range("sum by (job) (rate(bench_requests_total[10m]))", 7 * DAY, 600, "7 d / 10 m"),
  range("bench_temperature", 6 * HOUR, 30, "6 h / 30 s"),
  range("avg by (path) (avg_over_time(bench_temperature[1h]))", 13 * DAY, HOUR, "13 d / 1 h"),
  range('quantile_over_time(0.9, bench_temperature{job="job-1"}[30m])', 2 * DAY, 300, "2 d / 5 m"),
  range(
    'sum by (instance) (rate(bench_requests_total{code="500"}[5m])) / sum by (instance) (rate(bench_requests_total[5m]))',
    DAY,
    60,
    "1 d / 60 s",
  ),
  range('bench_temperature{instance="instance-7"}', 13 * DAY, 1200, "13 d / 20 m"),
  range("topk(5, bench_inflight)", DAY, 300, "1 d / 5 m"),
  range('count by (__name__) ({__name__=~"bench_.*"})', 6 * HOUR, 60, "6 h / 60 s"),
  range(
    "sum by (job) (rate(bench_requests_total[1h]))",
    13 * DAY,
    HOUR,
    "13 d / 1 h, 5m data asked",
    "5m",
  ),
  range("max_over_time(bench_temperature[1h])", 13 * DAY, HOUR, "13 d / 1 h, 5m data asked", "5m"),
];

/** Times of repetition `shift`, ms; step 0 for an instant query. */
export function timesOf(
  row: QueryRow,
  shift: number,
): { start: number; end: number; step: number } {
  const end = ((row.endSeconds ?? END_SECONDS) - shift * row.stepSeconds) * 1000;
  const instant = row.rangeSeconds === 0;
  return { start: end - row.rangeSeconds * 1000, end, step: instant ? 0 : row.stepSeconds * 1000 };
}

/** Path and parameters of repetition `shift`. */
export function requestOf(row: QueryRow, shift: number): string {
  const end = (row.endSeconds ?? END_SECONDS) - shift * row.stepSeconds;
  const params = new URLSearchParams({ query: row.query });
  if (row.maxSourceResolution !== undefined) {
    params.set("max_source_resolution", row.maxSourceResolution);
  }
  if (row.rangeSeconds === 0) {
    params.set("time", String(end));
    return `/api/v1/query?${params}`;
  }
  params.set("start", String(end - row.rangeSeconds));
  params.set("end", String(end));
  params.set("step", String(row.stepSeconds));
  return `/api/v1/query_range?${params}`;
}
