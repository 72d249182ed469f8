/** Long lists of which only the visible rows exist. */
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** Rows kept beyond the visible ones on each side. */
const MARGIN = 12;

/** A scroller of rows that all have the same height, px. */
export function VirtualRows<T>(props: {
  readonly rows: readonly T[];
  readonly rowHeight: number;
  /** Height of the scroller when there are many rows, px. */
  readonly maxHeight: number;
  readonly label: string;
  readonly class?: string;
  readonly head?: ComponentChildren;
  readonly row: (item: T, index: number) => ComponentChildren;
}) {
  const { rows, rowHeight, maxHeight } = props;
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const total = rows.length * rowHeight;
  const first = Math.max(0, Math.floor(top / rowHeight) - MARGIN);
  const last = Math.min(rows.length, Math.ceil((top + maxHeight) / rowHeight) + MARGIN);
  return (
    <div
      ref={box}
      class={`virtual ${props.class ?? ""}`}
      style={{ maxHeight: `${maxHeight}px` }}
      tabIndex={0}
      role="table"
      aria-label={props.label}
      aria-rowcount={rows.length}
      onScroll={(event) => {
        const next = event.currentTarget.scrollTop;
        // Rows beyond the edge are there already: a new set is needed once in several rows.
        if (Math.abs(next - top) > rowHeight * (MARGIN / 2)) setTop(next);
      }}
    >
      {props.head}
      <div style={{ height: `${total}px`, position: "relative" }} role="rowgroup">
        <div
          style={{ position: "absolute", top: `${first * rowHeight}px`, left: 0, right: 0 }}
          role="presentation"
        >
          {rows.slice(first, last).map((item, i) => props.row(item, first + i))}
        </div>
      </div>
    </div>
  );
}

/** The width of an element, px, as it changes. */
export function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => setWidth(box.current!.clientWidth), []);
  useEffect(() => {
    const observer = new ResizeObserver(() => box.current && setWidth(box.current.clientWidth));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}
