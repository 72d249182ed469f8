/** Minima and maxima around lines of downsampled data: asked for after the answer, drawn below it. */
import type uPlot from "uplot";
import { useEffect, useState } from "preact/hooks";
import { isCanceled } from "../api/client.ts";
import type { RangeData } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { type Band, bandQueries, joinBands, MAX_BANDS } from "../model/bands.ts";
import { coverageOf, servedResolution } from "../model/fanout.ts";
import { type Frame, toFrame } from "../model/frame.ts";
import type { SyntaxNode } from "../model/syntax.ts";
import { seriesColor, withAlpha } from "./palette.ts";
import { analysisOf, type Run } from "./state.ts";

/** The bands of a run by row; undefined while there are none, or nothing to hide. */
export function useBands(
  run: Run<RangeData>,
  frame: Frame,
  wanted: boolean,
): readonly (Band | undefined)[] | undefined {
  const { api, say, preferences } = useApp();
  const [found, setFound] = useState<{ frame: Frame; bands: readonly (Band | undefined)[] }>();
  const on = wanted && preferences.bands.value && !run.loading;
  useEffect(() => {
    const { answered } = run;
    if (!on || answered === undefined || answered.step === 0) return;
    const count = frame.rows.length;
    const served = servedResolution(coverageOf(analysisOf(run)), answered.end - answered.start);
    if (served === 0 || count === 0 || count > MAX_BANDS || found?.frame === frame) return;
    const abort = new AbortController();
    const options = { signal: abort.signal, headers: answered.headers };
    const rest = answered.form.filter(([name]) => name !== "query" && name !== "analyze");
    const ask = async (query: string) => {
      const { data } = await api.postRange(answered.path, [["query", query], ...rest], options);
      const series = data.resultType === "matrix" ? data.result : [];
      return toFrame(series, answered.start, answered.end, answered.step);
    };
    const load = async () => {
      const query = answered.form.find(([name]) => name === "query")![1];
      const tree = await api.post<SyntaxNode>("/parse_query", [["query", query]], options);
      const queries = bandQueries(tree.data, Math.max(served, answered.step * 1000));
      if (queries === undefined) return;
      const [low, high] = await Promise.all([ask(queries.low), ask(queries.high)]);
      setFound({ frame, bands: joinBands(frame, low, high) });
    };
    load().catch((error) => {
      if (!isCanceled(error)) say("Minima and maxima could not be loaded", true);
    });
    return () => abort.abort();
  }, [run, frame, on]);
  return on && found?.frame === frame ? found.bands : undefined;
}

/** The range that bands of the shown rows span. */
export function bandRange(
  bands: readonly (Band | undefined)[],
  shown: readonly boolean[],
): { readonly min: number; readonly max: number } {
  let min = Infinity;
  let max = -Infinity;
  bands.forEach((band, row) => {
    if (band === undefined || !shown[row]) return;
    for (let i = 0; i < band.low.length; i++) {
      if (band.low[i]! < min) min = band.low[i]!;
      if (band.high[i]! > max) max = band.high[i]!;
    }
  });
  return { min, max };
}

/** Fills the bands of the shown rows. */
export function drawBands(
  u: uPlot,
  bands: readonly (Band | undefined)[],
  shown: readonly boolean[],
  dark: boolean,
): void {
  const { ctx } = u;
  const times = u.data[0];
  const { left, top, width, height } = u.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  bands.forEach((band, row) => {
    if (band === undefined || !shown[row]) return;
    const { low, high } = band;
    ctx.fillStyle = withAlpha(seriesColor(row, dark), 0.22);
    for (let from = 0; from < low.length; from++) {
      if (Number.isNaN(low[from]!) || Number.isNaN(high[from]!)) continue;
      let to = from;
      while (to + 1 < low.length && !Number.isNaN(low[to + 1]!) && !Number.isNaN(high[to + 1]!)) {
        to++;
      }
      ctx.beginPath();
      for (let i = from; i <= to; i++) {
        ctx.lineTo(u.valToPos(times[i]!, "x", true), u.valToPos(high[i]!, "y", true));
      }
      for (let i = to; i >= from; i--) {
        ctx.lineTo(u.valToPos(times[i]!, "x", true), u.valToPos(low[i]!, "y", true));
      }
      ctx.closePath();
      ctx.fill();
      from = to;
    }
  });
  ctx.restore();
}
