/** The exemplars of a graph as rows: for the keyboard, and with the way to each trace. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ExemplarsJson } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import type { LabelRecord } from "../model/labels.ts";
import { counted } from "../model/numbers.ts";
import { Button } from "../parts/controls.tsx";
import { Badges } from "../parts/labels.tsx";
import { exemplarPoints } from "./exemplars.ts";

/** Rows at first. */
const SHOWN = 50;

/** Folded below the graph; a click on a point opens it at that point's row. */
export function ExemplarList(
  props: { readonly exemplars: readonly ExemplarsJson[]; readonly chosen: number | undefined },
) {
  const { clock } = useApp();
  const { chosen } = props;
  const points = useMemo(() => exemplarPoints(props.exemplars), [props.exemplars]);
  const rows = useMemo(
    () =>
      points.map((point, index) => ({ point, index })).sort((a, b) => b.point.time - a.point.time),
    [points],
  );
  const box = useRef<HTMLDetailsElement>(null);
  const [all, setAll] = useState(false);
  useEffect(() => {
    if (chosen === undefined || box.current === null) return;
    box.current.open = true;
    const row = box.current.querySelector<HTMLElement>("tr.chosen");
    row?.scrollIntoView({ block: "nearest" });
    row?.focus();
  }, [chosen, rows]);
  if (points.length === 0) return null;
  const shown = rows.filter(({ index }, i) => all || i < SHOWN || index === chosen);
  return (
    <details class="answered exemplar-list" ref={box}>
      <summary>
        <span class="answered-title">Exemplars</span>
        <span>{counted(points.length, "exemplar")}</span>
      </summary>
      <div class="scroll">
        <table class="grid exemplars">
          <thead>
            <tr>
              <th>Time</th>
              <th class="number">Value</th>
              <th>Exemplar</th>
              <th>Series</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ point, index }) => (
              <tr key={index} tabIndex={-1} class={index === chosen ? "chosen" : ""}>
                <td class="nowrap">{clock.value.format(Math.round(point.time))}</td>
                <td class="number">{String(point.value)}</td>
                <td>
                  <Badges labels={point.labels} />
                  <TraceLink labels={point.labels} />
                </td>
                <td>
                  <Badges labels={point.series} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > shown.length && (
        <Button kind="quiet" small onClick={() => setAll(true)}>{`Show all ${rows.length}`}</Button>
      )}
    </details>
  );
}

function TraceLink({ labels }: { labels: LabelRecord }) {
  const link = useApp().traceLink(labels);
  if (link === undefined) return null;
  return (
    <a class="trace-link" href={link} target="_blank" rel="noopener noreferrer">Open the trace</a>
  );
}
