import assert from "node:assert/strict";
import type uPlot from "uplot";
import { linePaths } from "./line_paths.ts";

/** Keeps what is drawn as text. */
class Recorder {
  readonly steps: string[] = [];
  moveTo(x: number, y: number): void {
    this.steps.push(`M${x},${y}`);
  }
  lineTo(x: number, y: number): void {
    this.steps.push(`L${x},${y}`);
  }
  arc(x: number, y: number): void {
    this.steps.push(`O${x},${y}`);
  }
}

/** The paths of rows in a plot of 100 × 10 px at (10, 20), times 0 to 100, values 0 to 5. */
function paths(rows: readonly number[][], width = 100): string[] {
  const browser = globalThis as { Path2D?: unknown; devicePixelRatio?: unknown };
  const before = { Path2D: browser.Path2D, devicePixelRatio: browser.devicePixelRatio };
  Object.assign(browser, { Path2D: Recorder, devicePixelRatio: 2 });
  try {
    const build = linePaths({
      times: Float64Array.of(0, 50, 100),
      rows: rows.map((row) => Float64Array.from(row)),
    });
    const plot = {
      bbox: { left: 10, top: 20, width, height: 10 },
      scales: { x: { min: 0, max: 100 }, y: { min: 0, max: 5 } },
    } as unknown as uPlot;
    return rows.map((_, i) =>
      (build(plot, i + 1, 0, 2)!.stroke as unknown as Recorder).steps.join(" ")
    );
  } finally {
    Object.assign(browser, before);
  }
}

Deno.test("linePaths() draws lines to scale, holes as holes, and single samples as dots", () => {
  assert.deepEqual(paths([[0, 5, 2.5], [NaN, 1, 2], [1, NaN, 2], [NaN, NaN, NaN]]), [
    "M10,30 L60,20 L110,25",
    "M60,28 L110,26",
    "M10,28 M13,28 O10,28 M110,26 M113,26 O110,26",
    "",
  ]);
});

Deno.test("linePaths() follows the plot's width", () => {
  assert.deepEqual(paths([[0, 0, 0]], 200), ["M10,30 L110,30 L210,30"]);
});
