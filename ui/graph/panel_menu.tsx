/** What one can do with a panel: take its answer along, copy, remove. */
import type { QueryData } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { toCsv, toCurl } from "../model/table_export.ts";
import { Button, Popover } from "../parts/controls.tsx";
import type { GraphState, Panel } from "./state.ts";

/** Buttons at the end of the tabs. */
export function PanelMenu({ state, panel }: { state: GraphState; panel: Panel }) {
  const app = useApp();
  const answer = panel.run?.answer;
  // Texts as the server wrote them: columns are for drawing.
  const written = (): QueryData =>
    answer!.text === undefined ? answer!.data as QueryData : JSON.parse(answer!.text()).data;
  const request = panel.run?.request;
  const address = (path: string) => `${location.origin}${app.router.href(path)}`;
  const csv = () => {
    const data = written();
    const rows = data.resultType === "vector"
      ? data.result.map(({ metric, value, histogram }) => ({
        labels: metric,
        samples: value === undefined
          ? [[histogram![0], JSON.stringify(histogram![1])] as const]
          : [value],
      }))
      : data.resultType === "matrix"
      ? data.result.map(({ metric, values = [], histograms = [] }) => ({
        labels: metric,
        samples: [...values, ...histograms.map(([time, h]) => [time, JSON.stringify(h)] as const)],
      }))
      : [{ labels: {}, samples: [data.result] }];
    app.save("query.csv", "text/csv", toCsv(rows));
  };
  return (
    <div class="panel-menu">
      <Popover label="Take along" icon="download" text={undefined} quiet align="right">
        {(close) => {
          const item = (text: string, run: () => void, disabled = false) => (
            <button
              type="button"
              class="menu-item"
              disabled={disabled}
              onClick={() => {
                close();
                run();
              }}
            >
              {text}
            </button>
          );
          return (
            <>
              {item("Copy link", () => app.copy(address(state.link.value), "Link"))}
              {item(
                "Copy link with fixed times",
                () => app.copy(address(state.fixedLink()), "Link"),
              )}
              {item(
                "Copy as curl",
                () =>
                  app.copy(
                    toCurl(`${location.origin}${app.api.base}${request!.path}`, request!.form),
                    "Command",
                  ),
                request === undefined,
              )}
              {item("Download CSV", csv, answer === undefined)}
              {item(
                "Download JSON",
                () =>
                  app.save(
                    "query.json",
                    "application/json",
                    JSON.stringify(written(), undefined, 2),
                  ),
                answer === undefined,
              )}
            </>
          );
        }}
      </Popover>
      <Button
        kind="quiet"
        icon="twice"
        label="Duplicate this panel"
        onClick={() => state.add(panel)}
      />
      <Button
        kind="quiet"
        icon="close"
        label="Remove this panel"
        onClick={() => state.remove(panel)}
      />
    </div>
  );
}
