/** The timeline on the page: zoom with the wheel or by drag, pan, hover, pick, keys. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useApp } from "../app/context.ts";
import { currentColors, onColorsChanged } from "../app/theme.ts";
import type { Block, Stream } from "../model/blocks.ts";
import { bytes } from "../model/numbers.ts";
import { roughDuration } from "../model/durations.ts";
import { resolutionName } from "../model/fanout.ts";
import { useWidth } from "../parts/virtual_rows.tsx";
import { GUTTER, type Span, Timeline } from "./timeline.ts";

/** Most of the page the timeline takes, px; beyond, it scrolls. */
const MAX_HEIGHT = 620;
/** Nothing is shorter than a minute. */
const SHORTEST = 60_000;

/** A canvas that is as high as its box; the box scrolls. */
export function TimelineView(props: {
  readonly streams: readonly Stream[];
  readonly span: Span;
  readonly whole: Span;
  readonly selected: string | undefined;
  readonly planned: ReadonlySet<string>;
  readonly onSpan: (span: Span) => void;
  readonly onPick: (block: Block | undefined) => void;
}) {
  const { clock } = useApp();
  const [box, width] = useWidth();
  const canvas = useRef<HTMLCanvasElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const timeline = useMemo(() => new Timeline(props.streams), [props.streams]);
  const height = Math.min(MAX_HEIGHT, Math.max(92, timeline.height));
  const [hover, setHover] = useState<{ block: Block; x: number; y: number }>();
  const [drag, setDrag] = useState<{ from: number; to: number; pan: boolean; span: Span }>();
  const latest = useRef({ ...props, timeline, width, height });
  latest.current = { ...props, timeline, width, height };
  const frame = useRef(0);
  const paint = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      const { current } = canvas;
      if (current === null) return;
      const { timeline, width, height, span, selected, planned } = latest.current;
      const ratio = devicePixelRatio;
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (current.width !== w || current.height !== h) {
        Object.assign(current, { width: w, height: h });
      }
      const ctx = current.getContext("2d")!;
      ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      timeline.draw(
        ctx,
        width,
        scroller.current!.scrollTop,
        height,
        span,
        { selected, planned },
        currentColors(),
        clock.peek(),
      );
    });
  };
  useEffect(paint, [
    timeline,
    props.span,
    props.selected,
    props.planned,
    width,
    height,
    clock.value,
  ]);
  useEffect(() => onColorsChanged(paint), []);
  useEffect(() => () => cancelAnimationFrame(frame.current), []);
  useEffect(() => {
    const element = scroller.current!;
    const onWheel = (event: WheelEvent) => {
      const { span, width } = latest.current;
      if (
        !event.ctrlKey && !event.shiftKey && Math.abs(event.deltaY) > Math.abs(event.deltaX) &&
        element.scrollHeight > element.clientHeight + 2 && !event.altKey
      ) return;
      event.preventDefault();
      const perPixel = (span.to - span.from) / (width - GUTTER);
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const by = (event.deltaX || event.deltaY) * perPixel;
        latest.current.onSpan({ from: span.from + by, to: span.to + by });
        return;
      }
      const x = event.clientX - element.getBoundingClientRect().left - GUTTER;
      zoomAround(span, span.from + x * perPixel, Math.exp(event.deltaY * 0.002));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, []);
  const zoomAround = (span: Span, at: number, factor: number) => {
    const { whole, onSpan } = latest.current;
    const longest = (whole.to - whole.from) * 1.2;
    const size = Math.min(longest, Math.max(SHORTEST, (span.to - span.from) * factor));
    const share = (at - span.from) / (span.to - span.from);
    onSpan({ from: at - share * size, to: at + (1 - share) * size });
  };
  const place = (event: PointerEvent) => {
    const { left, top } = scroller.current!.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const blockAt = (event: PointerEvent) => {
    const { x, y } = place(event);
    return timeline.blockAt(x, y + scroller.current!.scrollTop, width, props.span);
  };
  const onKey = (event: KeyboardEvent) => {
    const { span } = props;
    const size = span.to - span.from;
    const middle = (span.from + span.to) / 2;
    const shift = (by: number) => props.onSpan({ from: span.from + by, to: span.to + by });
    if (event.key === "+" || event.key === "=") zoomAround(span, middle, 0.5);
    else if (event.key === "-") zoomAround(span, middle, 2);
    else if (event.key === "ArrowLeft") shift(-size / 8);
    else if (event.key === "ArrowRight") shift(size / 8);
    else if (event.key === "0") props.onSpan(props.whole);
    else return;
    event.preventDefault();
  };
  return (
    <div class="timeline" ref={box}>
      <div
        ref={scroller}
        class="timeline-scroller"
        style={{ height: `${height}px` }}
        tabIndex={0}
        role="application"
        aria-label="Timeline of blocks: plus and minus zoom, arrows move, 0 shows all; the list below has every block"
        onKeyDown={onKey}
        onScroll={paint}
        onDblClick={() => props.onSpan(props.whole)}
        onPointerDown={(event) => {
          if (event.button > 1 || place(event).x < GUTTER) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          const { x } = place(event);
          setDrag({ from: x, to: x, pan: event.shiftKey || event.button === 1, span: props.span });
        }}
        onPointerMove={(event) => {
          const at = place(event);
          if (drag !== undefined) {
            if (drag.pan) {
              const perPixel = (drag.span.to - drag.span.from) / (width - GUTTER);
              const by = (drag.from - at.x) * perPixel;
              props.onSpan({ from: drag.span.from + by, to: drag.span.to + by });
            }
            setDrag({ ...drag, to: at.x });
            return;
          }
          const block = blockAt(event);
          setHover(block === undefined ? undefined : { block, ...at });
        }}
        onPointerLeave={() => setHover(undefined)}
        onPointerUp={(event) => {
          if (drag === undefined) return;
          setDrag(undefined);
          if (Math.abs(drag.to - drag.from) < 5) {
            props.onPick(blockAt(event));
            return;
          }
          if (drag.pan) return;
          const perPixel = (props.span.to - props.span.from) / (width - GUTTER);
          const [a, b] = [drag.from, drag.to].sort((p, q) => p - q) as [number, number];
          const from = props.span.from + (Math.max(GUTTER, a) - GUTTER) * perPixel;
          props.onSpan({
            from,
            to: Math.max(from + SHORTEST, props.span.from + (b - GUTTER) * perPixel),
          });
        }}
      >
        <canvas ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} />
        <div style={{ height: `${Math.max(0, timeline.height - height)}px` }} />
      </div>
      {drag !== undefined && !drag.pan && Math.abs(drag.to - drag.from) >= 5 && (
        <div
          class="timeline-select"
          style={{
            left: `${Math.min(drag.from, drag.to)}px`,
            width: `${Math.abs(drag.to - drag.from)}px`,
            height: `${height}px`,
          }}
        />
      )}
      {hover !== undefined && drag === undefined && (
        <div
          class="tooltip"
          style={{
            top: `${hover.y + 14}px`,
            ...(hover.x > width / 2
              ? { right: `${width - hover.x + 10}px` }
              : { left: `${hover.x + 14}px` }),
          }}
        >
          <strong class="mono">{hover.block.ulid}</strong>
          <div>
            {`${clock.value.format(hover.block.minTime)} to ${
              clock.value.format(hover.block.maxTime)
            }`}
          </div>
          <div class="dim">
            {`${
              roughDuration(hover.block.maxTime - hover.block.minTime)
            }, level ${hover.block.level}, ${resolutionName(hover.block.resolution)}`}
            {hover.block.size !== undefined && `, ${bytes(hover.block.size)}`}
          </div>
        </div>
      )}
    </div>
  );
}
