/** Draws streams of blocks on a canvas, and finds the block under a point. */
import { type Colors } from "../app/theme.ts";
import { type Block, firstEndingAfter, type Stream } from "../model/blocks.ts";
import { visible } from "../model/labels.ts";
import { timeTicks, type ZoneClock } from "../model/times.ts";

/** Heights, px. */
const AXIS = 28;
const TITLE = 26;
const LANE = 18;
const LANE_GAP = 2;
const STREAM_GAP = 10;
/** Width of the names of lanes, px. */
export const GUTTER = 96;

/** The visible times. Units: ms. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What is drawn besides the blocks. */
export interface TimelineMarks {
  readonly selected: string | undefined;
  /** Blocks that take part in the compactor's plan. */
  readonly planned: ReadonlySet<string>;
}

/** Where a lane begins, px from the top. */
interface PlacedLane {
  readonly y: number;
  readonly blocks: readonly Block[];
}

/** A laid-out timeline; drawing touches only what can be seen. */
export class Timeline {
  readonly streams: readonly Stream[];
  readonly height: number;
  readonly #titles: number[] = [];
  readonly #lanes: PlacedLane[] = [];
  readonly #laneTexts: { y: number; text: string }[] = [];

  constructor(streams: readonly Stream[]) {
    this.streams = streams;
    let y = AXIS;
    for (const stream of streams) {
      this.#titles.push(y);
      y += TITLE;
      for (const lane of stream.lanes) {
        this.#lanes.push({ y, blocks: lane.blocks });
        if (lane.first) {
          this.#laneTexts.push({ y, text: `L${lane.level} ${resolutionText(lane.resolution)}` });
        }
        y += LANE + LANE_GAP;
      }
      y += STREAM_GAP;
    }
    this.height = y;
  }

  /** Draws the part between `top` and `top + height` px for a width. */
  draw(
    ctx: CanvasRenderingContext2D,
    width: number,
    top: number,
    height: number,
    span: Span,
    marks: TimelineMarks,
    colors: Colors,
    clock: ZoneClock,
  ): void {
    ctx.clearRect(0, 0, width, height);
    const scale = (width - GUTTER) / (span.to - span.from);
    const x = (time: number) => GUTTER + (time - span.from) * scale;
    this.#grid(ctx, width, height, span, x, colors, clock);
    ctx.save();
    ctx.beginPath();
    ctx.rect(GUTTER, AXIS, width - GUTTER, height - AXIS);
    ctx.clip();
    for (const lane of this.#lanes) {
      const y = lane.y - top;
      if (y + LANE < 0 || y > height) continue;
      drawLane(ctx, lane.blocks, y, span, x, width, marks, colors);
    }
    ctx.restore();
    this.#texts(ctx, width, top, height, colors);
    drawAxis(ctx, width, span, x, colors, clock);
  }

  #grid(
    ctx: CanvasRenderingContext2D,
    width: number,
    height: number,
    span: Span,
    x: (t: number) => number,
    colors: Colors,
    clock: ZoneClock,
  ): void {
    ctx.fillStyle = colors.line;
    for (const tick of ticksOf(span, width, clock).times) {
      ctx.fillRect(Math.round(x(tick)), AXIS, 1, height);
    }
  }

  #texts(
    ctx: CanvasRenderingContext2D,
    width: number,
    top: number,
    height: number,
    colors: Colors,
  ): void {
    ctx.textBaseline = "middle";
    ctx.font = "11px ui-sans-serif, system-ui, sans-serif";
    ctx.fillStyle = colors.dim;
    for (const { y, text } of this.#laneTexts) {
      const at = y - top + LANE / 2;
      if (at > AXIS && at < height + LANE) ctx.fillText(text, 8, at);
    }
    this.#titles.forEach((y, i) => {
      const at = y - top + TITLE / 2;
      if (at < -TITLE || at > height + TITLE) return;
      const stream = this.streams[i]!;
      ctx.fillStyle = colors.surface;
      ctx.fillRect(0, y - top, width, TITLE - 3);
      ctx.fillStyle = colors.text;
      ctx.font = "600 12px ui-sans-serif, system-ui, sans-serif";
      ctx.fillText(cut(visible(stream.title), Math.floor(width / 8)), 8, at);
    });
  }

  /** The block at a point, px from the top of everything. */
  blockAt(pointX: number, pointY: number, width: number, span: Span): Block | undefined {
    const lane = this.#lanes.find(({ y }) => pointY >= y && pointY < y + LANE);
    if (lane === undefined || pointX < GUTTER) return undefined;
    const perPixel = (span.to - span.from) / (width - GUTTER);
    const time = span.from + (pointX - GUTTER) * perPixel;
    // A block narrower than a pixel can still be hit.
    const block = lane.blocks[firstEndingAfter(lane.blocks, time - 2 * perPixel)];
    return block !== undefined && block.minTime <= time + 2 * perPixel ? block : undefined;
  }

  /** Height at which a block lies, px from the top of everything. */
  heightOf(ulid: string): number | undefined {
    return this.#lanes.find(({ blocks }) => blocks.some((b) => b.ulid === ulid))?.y;
  }
}

function drawLane(
  ctx: CanvasRenderingContext2D,
  blocks: readonly Block[],
  y: number,
  span: Span,
  x: (time: number) => number,
  width: number,
  marks: TimelineMarks,
  colors: Colors,
): void {
  let painted = -1;
  for (let i = firstEndingAfter(blocks, span.from); i < blocks.length; i++) {
    const block = blocks[i]!;
    if (block.minTime > span.to) break;
    const left = Math.max(GUTTER - 2, x(block.minTime));
    const right = Math.min(width + 2, x(block.maxTime));
    const special = block.marks.length > 0 || block.ulid === marks.selected ||
      marks.planned.has(block.ulid);
    // Thousands of blocks in one pixel are one pixel.
    if (!special && Math.floor(right) <= painted) continue;
    painted = Math.floor(right);
    const w = Math.max(1, right - left - 1);
    ctx.fillStyle = blockColor(block, colors.dark);
    ctx.fillRect(left, y, w, LANE);
    if (block.marks.length > 0) hatch(ctx, left, y, w, colors);
    if (marks.planned.has(block.ulid)) {
      ctx.fillStyle = colors.text;
      ctx.fillRect(left, y + LANE - 3, w, 3);
    }
    if (block.ulid === marks.selected) {
      ctx.strokeStyle = colors.text;
      ctx.lineWidth = 2;
      ctx.strokeRect(left + 1, y + 1, Math.max(2, w - 2), LANE - 2);
    }
  }
}

/** Colour by resolution, darker with each compaction level. */
export function blockColor(
  { resolution, level }: Pick<Block, "resolution" | "level">,
  dark: boolean,
): string {
  const hue = resolution === 0 ? 222 : resolution < 3_600_000 ? 168 : 32;
  const step = Math.min(5, Math.max(0, level - 1));
  return dark ? `hsl(${hue} 55% ${68 - step * 6}%)` : `hsl(${hue} 58% ${64 - step * 7}%)`;
}

function hatch(
  ctx: CanvasRenderingContext2D,
  left: number,
  y: number,
  width: number,
  colors: Colors,
): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, y, width, LANE);
  ctx.clip();
  ctx.strokeStyle = colors.bad;
  ctx.lineWidth = 2;
  ctx.beginPath();
  for (let at = left - LANE; at < left + width; at += 7) {
    ctx.moveTo(at, y + LANE);
    ctx.lineTo(at + LANE, y);
  }
  ctx.stroke();
  ctx.restore();
}

function ticksOf(span: Span, width: number, clock: ZoneClock) {
  return timeTicks(span.from, span.to, Math.max(2, (width - GUTTER) / 100), clock);
}

function drawAxis(
  ctx: CanvasRenderingContext2D,
  width: number,
  span: Span,
  x: (time: number) => number,
  colors: Colors,
  clock: ZoneClock,
): void {
  ctx.fillStyle = colors.surface;
  ctx.fillRect(0, 0, width, AXIS);
  ctx.fillStyle = colors.line;
  ctx.fillRect(0, AXIS - 1, width, 1);
  ctx.fillStyle = colors.dim;
  ctx.font = "11px ui-sans-serif, system-ui, sans-serif";
  ctx.textBaseline = "middle";
  const { times, spacing } = ticksOf(span, width, clock);
  for (const tick of times) {
    const text = spacing >= 86_400_000 ? clock.date(tick) : clock.tick(tick, spacing);
    ctx.fillText(text, Math.min(x(tick) + 4, width - 70), AXIS / 2);
  }
}

function resolutionText(ms: number): string {
  return ms === 0 ? "raw" : ms < 3_600_000 ? `${ms / 60_000}m` : `${ms / 3_600_000}h`;
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, Math.max(1, length - 1))}…` : text;
}
