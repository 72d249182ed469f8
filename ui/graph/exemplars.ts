/** Exemplars as diamonds over the lines. */
import type uPlot from "uplot";
import type { ExemplarsJson } from "../api/types.ts";
import type { Colors } from "../app/theme.ts";
import type { LabelRecord } from "../model/labels.ts";
import { parseSample } from "../model/numbers.ts";

/** One exemplar. Units: ms. */
export interface ExemplarPoint {
  readonly time: number;
  readonly value: number;
  readonly labels: LabelRecord;
  readonly series: LabelRecord;
}

/** Most exemplars that are drawn. */
const MAX_POINTS = 2000;
const SIZE = 5;

/** The points of an answer. */
export function exemplarPoints(all: readonly ExemplarsJson[]): ExemplarPoint[] {
  return all.flatMap(({ seriesLabels, exemplars }) =>
    exemplars.map(({ labels, value, timestamp }) => ({
      time: timestamp * 1000,
      value: parseSample(value),
      labels,
      series: seriesLabels,
    }))
  ).slice(0, MAX_POINTS);
}

/** Where a point is drawn: values beyond the scale stay at its edge. */
function place(u: uPlot, point: ExemplarPoint, canvas: boolean): [number, number] {
  const { min = 0, max = 1 } = u.scales.y!;
  const value = Math.min(max ?? 1, Math.max(min ?? 0, point.value));
  return [u.valToPos(point.time, "x", canvas), u.valToPos(value, "y", canvas)];
}

/** Draws them on the plot. */
export function drawExemplars(u: uPlot, points: readonly ExemplarPoint[], colors: Colors): void {
  const { ctx } = u;
  const size = SIZE * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = colors.surface;
  ctx.strokeStyle = colors.warn;
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const point of points) {
    const [x, y] = place(u, point, true);
    ctx.beginPath();
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

/** The exemplar under the pointer, px of the plot. */
export function nearestExemplar(
  u: uPlot,
  points: readonly ExemplarPoint[],
  left: number,
  top: number,
): ExemplarPoint | undefined {
  return points.find((point) => {
    const [x, y] = place(u, point, false);
    return Math.abs(x - left) + Math.abs(y - top) < SIZE * 2;
  });
}
