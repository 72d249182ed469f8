/** The list of series below a graph: colours, names, last values. */
import { useDark } from "../app/theme.ts";
import { formatSeries } from "../model/labels.ts";
import type { Frame } from "../model/frame.ts";
import { shortNumber } from "../model/numbers.ts";
import { SeriesName } from "../parts/labels.tsx";
import { VirtualRows } from "../parts/virtual_rows.tsx";
import { seriesColor } from "./palette.ts";

/** A click shows one series alone, Ctrl or Cmd and a click hides or shows it. */
export function Legend(props: {
  readonly frame: Frame;
  readonly shown: readonly boolean[];
  readonly onShown: (shown: readonly boolean[]) => void;
  readonly onFocus: (index: number | undefined) => void;
}) {
  const { frame, shown } = props;
  const dark = useDark();
  const alone = shown.filter(Boolean).length === 1;
  const pick = (index: number, toggle: boolean) => {
    if (toggle) props.onShown(shown.with(index, !shown[index]));
    else if (alone && shown[index]) props.onShown(shown.map(() => true));
    else props.onShown(shown.map((_, i) => i === index));
  };
  return (
    <VirtualRows
      class="legend"
      label="Series of the graph"
      rows={frame.labels}
      rowHeight={26}
      maxHeight={234}
      row={(labels, i) => {
        const last = frame.rows[i]!.findLast((value) => !Number.isNaN(value));
        return (
          <div key={i} role="row" class={`legend-row ${shown[i] ? "" : "off"}`}>
            <div role="cell">
              <button
                type="button"
                aria-pressed={shown[i] ?? true}
                title={`${
                  formatSeries(labels)
                }\nClick: this one alone. Ctrl click: hide or show it.`}
                onClick={(event) => pick(i, event.ctrlKey || event.metaKey)}
                onPointerEnter={() => props.onFocus(i)}
                onPointerLeave={() => props.onFocus(undefined)}
              >
                <span class="swatch" style={{ background: seriesColor(i, dark) }} />
                <SeriesName labels={labels} />
              </button>
            </div>
            <div role="cell" class="legend-value">
              {last === undefined ? "" : shortNumber(last, 6)}
            </div>
          </div>
        );
      }}
    />
  );
}
