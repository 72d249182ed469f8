/** The graph: lines, stacked areas or a heat map on canvas, with a tooltip and zoom by drag. */
import uPlot from "uplot";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { mark } from "../api/bodies.ts";
import type { ExemplarsJson } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { type Colors, currentColors, onColorsChanged } from "../app/theme.ts";
import type { Band } from "../model/bands.ts";
import { type Frame, frameRange, stackRows } from "../model/frame.ts";
import { type Heatmap, heatPixels } from "../model/heatmap.ts";
import { shortNumber } from "../model/numbers.ts";
import { timeTicks, type ZoneClock } from "../model/times.ts";
import { useWidth } from "../parts/virtual_rows.tsx";
import { drawExemplars, type ExemplarPoint, exemplarPoints, nearestExemplar } from "./exemplars.ts";
import { heatColor, heatColors, seriesColor, withAlpha } from "./palette.ts";
import { linePaths } from "./line_paths.ts";
import { bandRange, drawBands } from "./bands.ts";
import { Tooltip, type TooltipState } from "./tooltip.tsx";

/** Height of a graph, px. */
const HEIGHT = 320;
/** With more points than these, lines are one device pixel wide: wider ones take ten times longer. */
const MAX_WIDE = 20_000;
/** How near the pointer must be to a line to name it, px. */
const NEAR = 40;
/** With more lines than these, the one under the pointer is not lifted out: it would lag. */
const MAX_FOCUS = 60;

/** Where the plot lies in its box, px: for what is drawn below it. */
export interface PlotArea {
  readonly left: number;
  readonly width: number;
}

interface ChartProps {
  readonly frame: Frame;
  readonly heatmap: Heatmap | undefined;
  readonly display: "lines" | "stacked" | "heatmap";
  readonly fromZero: boolean;
  readonly shown: readonly boolean[];
  readonly focus: number | undefined;
  readonly exemplars: readonly ExemplarsJson[];
  /** By row: from the lowest to the highest sample of each step. */
  readonly bands: readonly (Band | undefined)[] | undefined;
  readonly start: number;
  readonly end: number;
  readonly onZoom: (from: number, to: number) => void;
  readonly onZoomOut: () => void;
  readonly onArea: (area: PlotArea) => void;
  /** An exemplar was clicked: its place among the points. */
  readonly onExemplar: (index: number) => void;
}

/** Draws again when data or display change; the rest follows without a new plot. */
export function Chart(props: ChartProps) {
  const app = useApp();
  const [box, width] = useWidth();
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [tooltip, setTooltip] = useState<TooltipState>();
  const [theme, setTheme] = useState(0);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => onColorsChanged(() => setTheme((n) => n + 1)), []);
  const { frame, heatmap, display, shown, fromZero, exemplars, bands } = props;
  const clock = app.clock.value;
  // Before the browser paints, not in the frame after.
  useLayoutEffect(() => {
    if (width === 0) return;
    const colors = currentColors();
    const points = exemplarPoints(exemplars);
    const made = new uPlot(
      chartOptions({
        props: latest.current,
        width,
        clock,
        colors,
        points,
        heatColors: heatColors(colors.dark),
        latest,
        setTooltip,
        area: { left: -1, width: -1 },
      }),
      chartData(latest.current),
      host.current!,
    );
    onTap(made.over, (left, top) => {
      const point = nearestExemplar(made, points, left, top);
      if (point !== undefined) latest.current.onExemplar(points.indexOf(point));
    });
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = undefined;
      setTooltip(undefined);
    };
  }, [frame, heatmap, display, shown, fromZero, exemplars, bands, width, clock, theme]);
  useEffect(() => {
    if (display === "heatmap" || plot.current === undefined || frame.rows.length > MAX_FOCUS) {
      return;
    }
    plot.current.setSeries(props.focus === undefined ? null : props.focus + 1, {
      focus: props.focus !== undefined,
    });
  }, [props.focus]);
  return (
    <div class="chart" ref={box} onDblClick={props.onZoomOut}>
      <div
        ref={host}
        class="chart-canvas"
        role="img"
        aria-label={`Graph of ${frame.labels.length} series from ${clock.format(props.start)} to ${
          clock.format(props.end)
        }; the table has the values`}
        style={{ height: `${HEIGHT}px` }}
      />
      {tooltip !== undefined && <Tooltip state={tooltip} clock={clock} width={width} />}
    </div>
  );
}

/** A press and release at one place; what moves in between is a zoom. */
function onTap(over: HTMLElement, tapped: (left: number, top: number) => void): void {
  let from = { x: NaN, y: NaN };
  over.addEventListener("pointerdown", ({ clientX: x, clientY: y }) => from = { x, y });
  over.addEventListener("pointerup", ({ clientX, clientY }) => {
    if (!(Math.hypot(clientX - from.x, clientY - from.y) < 4)) return;
    const box = over.getBoundingClientRect();
    tapped(clientX - box.left, clientY - box.top);
  });
}

function chartData({ frame, heatmap, display, shown }: ChartProps): uPlot.AlignedData {
  if (display === "heatmap" && heatmap !== undefined) {
    return [heatmap.times, heatmap.times.map((_, i) => i === 0 ? 0 : heatmap.lower.length)];
  }
  const rows = display === "stacked" ? stackRows(frame.rows, shown) : frame.rows;
  return [frame.times, ...rows];
}

interface Making {
  readonly props: ChartProps;
  readonly width: number;
  readonly clock: ZoneClock;
  readonly colors: Colors;
  readonly points: readonly ExemplarPoint[];
  readonly heatColors: Uint8Array;
  readonly latest: { readonly current: ChartProps };
  readonly setTooltip: (state: TooltipState | undefined) => void;
  /** What was told last. */
  readonly area: { left: number; width: number };
}

function chartOptions(making: Making): uPlot.Options {
  const { props, width, colors, clock, latest } = making;
  const { frame, display, start, end, shown } = props;
  const stacked = display === "stacked";
  const heat = display === "heatmap" ? props.heatmap : undefined;
  const lines = heat === undefined && !stacked;
  const many = frame.rows.length * frame.times.length > MAX_WIDE;
  const bands = lines ? props.bands : undefined;
  const range = lines ? wider(frameRange(frame, shown), bands, shown) : undefined;
  const paths = lines ? linePaths(frame) : undefined;
  return {
    width,
    height: HEIGHT,
    ms: 1,
    padding: [12, 28, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { show: heat === undefined && frame.rows.length <= MAX_FOCUS },
      // A hole has no point.
      dataIdx: (u, series, at) => Number.isNaN(u.data[series]![at]) ? null! : at,
      drag: { x: true, y: false, setScale: false },
      sync: { key: "mneme", setSeries: false },
    },
    focus: { alpha: 0.25 },
    scales: {
      x: { time: false, min: start, max: end, range: [start, end] },
      y: heat !== undefined ? { range: [0, heat.lower.length] } : {
        range: (_u, min, max) =>
          lines
            ? valueRange(range?.min ?? null, range?.max ?? null, props.fromZero)
            : valueRange(min, max, true),
      },
    },
    axes: [
      timeAxis(clock, colors),
      heat === undefined ? valueAxis(colors) : bucketAxis(heat, colors),
    ],
    series: [
      {},
      ...(heat !== undefined
        ? [{ show: true, stroke: "transparent", points: { show: false } }]
        : frame.rows.map((_, i): uPlot.Series => {
          const color = seriesColor(i, colors.dark);
          return {
            show: shown[i] ?? true,
            stroke: color,
            width: many ? 1 / devicePixelRatio : 1.5,
            ...(paths === undefined
              ? { points: { filter: isolated, show: false, size: 5 } }
              : { auto: false, paths, points: { show: false } }),
            ...(stacked && i === 0 ? { fill: withAlpha(color, 0.55) } : {}),
          };
        })),
    ],
    ...(stacked ? { bands: stackBands(props, colors.dark) } : {}),
    hooks: {
      setSelect: [(u) => {
        const { left, width: selected } = u.select;
        if (selected < 4) return;
        const from = u.posToVal(left, "x");
        const to = u.posToVal(left + selected, "x");
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        latest.current.onZoom(from, to);
      }],
      setCursor: [(u) => making.setTooltip(tooltipAt(u, making))],
      drawAxes: [(u) => bands !== undefined && drawBands(u, bands, shown, colors.dark)],
      draw: [
        // The axes find their width in several passes: the last one counts.
        (u) => {
          const area = {
            left: u.bbox.left / devicePixelRatio,
            width: u.bbox.width / devicePixelRatio,
          };
          if (area.left === making.area.left && area.width === making.area.width) return;
          Object.assign(making.area, area);
          latest.current.onArea(area);
        },
        (u) => heat !== undefined && drawHeat(u, heat, making.heatColors),
        (u) => making.points.length > 0 && drawExemplars(u, making.points, colors),
        () => mark("drawn"),
      ],
    },
  };
}

/** The range of lines and bands together. */
function wider(
  range: { readonly min: number; readonly max: number } | undefined,
  bands: ChartProps["bands"],
  shown: readonly boolean[],
): { readonly min: number; readonly max: number } | undefined {
  if (range === undefined || bands === undefined) return range;
  const { min, max } = bandRange(bands, shown);
  return { min: Math.min(range.min, min), max: Math.max(range.max, max) };
}

/** Single samples between gaps have no line: they, and only they, need a point. */
const isolated: uPlot.Series.Points.Filter = (u, seriesIndex) => {
  const values = u.data[seriesIndex]!;
  const found: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  }
  return found.length === 0 ? null : found;
};

function stackBands({ frame, shown }: ChartProps, dark: boolean): uPlot.Band[] {
  const visible = frame.rows.map((_, i) => i).filter((i) => shown[i]);
  return visible.slice(1).map((i, at) => ({
    series: [i + 1, visible[at]! + 1],
    fill: withAlpha(seriesColor(i, dark), 0.55),
  }));
}

function valueRange(min: number | null, max: number | null, fromZero: boolean): [number, number] {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  const low = fromZero ? Math.min(0, min) : min;
  const high = fromZero ? Math.max(0, max) : max;
  if (low === high) {
    const pad = Math.abs(low) * 0.1 || 1;
    return [low - (fromZero && low === 0 ? 0 : pad), high + pad];
  }
  const pad = (high - low) * 0.06;
  return [low === 0 || fromZero && low >= 0 ? low : low - pad, high + pad];
}

function timeAxis(clock: ZoneClock, colors: Colors): uPlot.Axis {
  return {
    stroke: colors.dim,
    font: "11px ui-sans-serif, system-ui, sans-serif",
    grid: { stroke: colors.line, width: 1 },
    ticks: { stroke: colors.line, width: 1, size: 4 },
    gap: 6,
    size: 30,
    splits: (u, _axis, min, max) =>
      timeTicks(min, max, Math.max(2, u.bbox.width / devicePixelRatio / 90), clock).times,
    values: (_u, splits) =>
      splits.map((t) =>
        clock.tick(t, splits.length > 1 ? splits.at(-1)! - splits.at(-2)! : 60_000)
      ),
  };
}

const AXIS_FONT = "11px ui-sans-serif, system-ui, sans-serif";

function axisSize(u: uPlot, values: string[] | null): number {
  u.ctx.save();
  u.ctx.font = AXIS_FONT;
  const widest = (values ?? []).reduce((m, v) => Math.max(m, u.ctx.measureText(v).width), 0);
  u.ctx.restore();
  return Math.max(44, Math.ceil(widest) + 18);
}

function valueAxis(colors: Colors): uPlot.Axis {
  return {
    stroke: colors.dim,
    font: AXIS_FONT,
    grid: { stroke: colors.line, width: 1 },
    ticks: { show: false },
    gap: 6,
    size: axisSize,
    values: (_u, splits) => {
      // As many digits as neighbouring ticks need to differ.
      const step = splits.length > 1 ? Math.abs(splits[1]! - splits[0]!) : 1;
      const largest = splits.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      const digits = Math.min(12, Math.max(3, Math.ceil(Math.log10(largest / step || 1)) + 2));
      return splits.map((v) => shortNumber(v, digits));
    },
  };
}

function bucketAxis(heat: Heatmap, colors: Colors): uPlot.Axis {
  const rows = heat.lower.length;
  const every = Math.max(1, Math.ceil(rows / 12));
  return {
    ...valueAxis(colors),
    grid: { show: false },
    splits: () =>
      Array.from({ length: Math.floor(rows / every) + 1 }, (_, i) => Math.min(rows, i * every)),
    values: (_u, splits) =>
      splits.map((row) => shortNumber(row >= rows ? heat.upper[rows - 1]! : heat.lower[row]!, 3)),
  };
}

function drawHeat(u: uPlot, heat: Heatmap, colors: Uint8Array): void {
  const { ctx } = u;
  const { left, top, width: w, height: h } = u.bbox;
  const count = heat.times.length;
  const step = count > 1 ? heat.times[1]! - heat.times[0]! : 60_000;
  const from = u.valToPos(heat.times[0]! - step / 2, "x", true);
  const to = u.valToPos(heat.times[count - 1]! + step / 2, "x", true);
  const width = Math.max(1, Math.min(count, Math.ceil(to - from)));
  const height = Math.max(1, Math.min(heat.lower.length, Math.floor(h)));
  const picture = new OffscreenCanvas(width, height);
  const pixels = heatPixels(heat, width, height, colors);
  picture.getContext("2d")!.putImageData(new ImageData(pixels, width, height), 0, 0);
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, w, h);
  ctx.clip();
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(picture, from, top, to - from, h);
  ctx.restore();
}

/** What lies under the pointer: an exemplar, a cell, or the nearest line. */
function tooltipAt(
  u: uPlot,
  { latest, colors, heatColors, points }: Making,
): TooltipState | undefined {
  const { idx, left = -1, top = -1 } = u.cursor;
  if (idx === null || idx === undefined || left < 0 || top < 0) return undefined;
  const props = latest.current;
  const { left: plotLeft, top: plotTop } = u.bbox;
  const at = { x: left + plotLeft / devicePixelRatio, y: top + plotTop / devicePixelRatio };
  const exemplar = nearestExemplar(u, points, left, top);
  if (exemplar !== undefined) {
    return {
      ...at,
      time: exemplar.time,
      value: String(exemplar.value),
      color: colors.warn,
      labels: exemplar.labels,
      title: "Exemplar",
      of: exemplar.series,
    };
  }
  const heat = props.display === "heatmap" ? props.heatmap : undefined;
  if (heat !== undefined) {
    const row = Math.floor(u.posToVal(top, "y"));
    if (row < 0 || row >= heat.lower.length) return undefined;
    const count = heat.counts[row * heat.times.length + idx]!;
    return {
      ...at,
      time: heat.times[idx]!,
      value: shortNumber(count),
      color: heatColor(count / (heat.max || 1), heatColors),
      labels: { bucket: `${shortNumber(heat.lower[row]!)} to ${shortNumber(heat.upper[row]!)}` },
    };
  }
  let best = -1;
  let bestDistance = NEAR;
  const stacked = props.display === "stacked";
  for (let s = 1; s < u.data.length; s++) {
    const value = u.data[s]![idx];
    if (value === null || value === undefined || Number.isNaN(value) || !props.shown[s - 1]) {
      continue;
    }
    const distance = u.valToPos(value, "y") - top;
    // In a stack the pointer lies in the area below its upper edge.
    const size = stacked ? (distance <= 0 ? -distance : Infinity) : Math.abs(distance);
    if (size < bestDistance || stacked && size < Infinity && best < 0) {
      best = s - 1;
      bestDistance = size;
    }
  }
  if (best < 0) return undefined;
  const value = props.frame.rows[best]![idx];
  const band = stacked ? undefined : props.bands?.[best];
  return {
    ...at,
    time: props.frame.times[idx]!,
    value: value === undefined || Number.isNaN(value) ? "no sample" : String(value),
    color: seriesColor(best, colors.dark),
    labels: props.frame.labels[best]!,
    ...(band === undefined || Number.isNaN(band.low[idx]!) ? {} : {
      note: `from ${shortNumber(band.low[idx]!)} to ${shortNumber(band.high[idx]!)} in this step`,
    }),
  };
}
