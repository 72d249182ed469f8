/** A native histogram as bars. */
import type { HistogramJson } from "../api/types.ts";
import { parseSample, shortNumber } from "../model/numbers.ts";

/** Most bars; a histogram with more shows its largest ones. */
const MAX_BARS = 160;

/** Count, sum, and a bar per bucket. */
export function HistogramBars({ histogram }: { histogram: HistogramJson }) {
  const buckets = (histogram.buckets ?? []).slice(0, MAX_BARS);
  const counts = buckets.map(([, , , count]) => parseSample(count));
  const max = Math.max(...counts, 1e-300);
  const width = 240;
  const bar = width / Math.max(1, buckets.length);
  return (
    <div class="histogram">
      <svg
        viewBox={`0 0 ${width} 48`}
        width={width}
        height={48}
        role="img"
        aria-label={`Histogram of ${histogram.count} observations`}
      >
        {buckets.map(([, lower, upper, count], i) => {
          const height = Math.max(1, counts[i]! / max * 46);
          return (
            <rect
              key={i}
              x={i * bar}
              y={48 - height}
              width={Math.max(0.5, bar - 0.5)}
              height={height}
            >
              <title>{`${lower} to ${upper}: ${count}`}</title>
            </rect>
          );
        })}
      </svg>
      <span class="dim">
        {`count ${histogram.count}, sum ${histogram.sum}`}
        {buckets.length > 0 &&
          `, ${shortNumber(parseSample(buckets[0]![1]))} to ${
            shortNumber(parseSample(buckets.at(-1)![2]))
          }`}
      </span>
    </div>
  );
}
