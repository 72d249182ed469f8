/** Lines of a graph straight from columns of numbers. */
import type uPlot from "uplot";
import type { Frame } from "../model/frame.ts";

/** Radius of a sample between two holes, px. */
const DOT = 1.5;

/**
 * Makes the path of a line on linear scales: NaN is a hole, and a sample between two holes is a dot.
 * Where points along the time axis fall is worked out once for all lines.
 */
export function linePaths(
  { times, rows }: Pick<Frame, "times" | "rows">,
): uPlot.Series.PathBuilder {
  let scaled = "";
  const xs = new Float64Array(times.length);
  return (u, series) => {
    const { left, top, width, height } = u.bbox;
    const { min: from = 0, max: to = 1 } = u.scales.x!;
    const place = `${left} ${width} ${from} ${to}`;
    if (place !== scaled) {
      scaled = place;
      const perMs = width / (to! - from!);
      for (let i = 0; i < xs.length; i++) xs[i] = left + (times[i]! - from!) * perMs;
    }
    const { min: low = 0, max: high = 1 } = u.scales.y!;
    const perUnit = height / (high! - low!);
    const bottom = top + height;
    const row = rows[series - 1]!;
    const stroke = new Path2D();
    const radius = DOT * devicePixelRatio;
    let open = false;
    for (let i = 0; i < row.length; i++) {
      const value = row[i]!;
      if (value !== value) {
        open = false;
        continue;
      }
      const x = xs[i]!;
      const y = bottom - (value - low!) * perUnit;
      if (open) stroke.lineTo(x, y);
      else {
        stroke.moveTo(x, y);
        open = true;
        const next = row[i + 1];
        if (next === undefined || next !== next) {
          stroke.moveTo(x + radius, y);
          stroke.arc(x, y, radius, 0, 2 * Math.PI);
        }
      }
    }
    return { stroke };
  };
}
