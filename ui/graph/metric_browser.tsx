/** Every metric with type and description, found by a few letters, put where the cursor is. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { quote } from "../model/labels.ts";
import { type MetadataJson, metricEntries, searchMetrics } from "../model/metric_search.ts";
import { counted, grouped } from "../model/numbers.ts";
import { Dialog } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { Empty, ErrorMessage, Loading } from "../parts/messages.tsx";
import { Plain } from "../parts/plain.tsx";

/** Rows at once: whoever has more narrows the search. */
const SHOWN = 100;

/** Opened by a button beside the expression. */
export function MetricBrowser(
  props: { readonly onPick: (text: string) => void; readonly onClose: () => void },
) {
  const names = useFetched<readonly string[] | null>("/label/__name__/values");
  const metadata = useFetched<Readonly<Record<string, readonly MetadataJson[]>> | null>(
    "/metadata",
  );
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const all = useMemo(
    () => metricEntries(names.answer?.data ?? [], metadata.answer?.data ?? {}),
    [names.answer, metadata.answer],
  );
  const found = useMemo(() => searchMetrics(all, text), [all, text]);
  const shown = found.slice(0, SHOWN);
  useEffect(() => list.current?.children[at]?.scrollIntoView({ block: "nearest" }), [at]);
  const pick = (index: number) => {
    const entry = shown[index];
    if (entry === undefined) return;
    props.onPick(
      /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(entry.name) ? entry.name : `{${quote(entry.name)}}`,
    );
    props.onClose();
  };
  return (
    <Dialog title="Metrics" wide onClose={props.onClose}>
      <div class="metric-browser">
        <input
          class="palette-input"
          type="text"
          role="combobox"
          aria-label="Search names and descriptions"
          placeholder="Search names and descriptions"
          aria-expanded="true"
          aria-controls="metric-list"
          aria-activedescendant={`metric-${at}`}
          autofocus
          spellcheck={false}
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter") pick(at);
            else if (event.key === "ArrowDown") setAt(Math.min(shown.length - 1, at + 1));
            else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
            else return;
            event.preventDefault();
          }}
        />
        {names.error !== undefined && <ErrorMessage error={names.error} retry={names.reload} />}
        {names.answer === undefined && names.error === undefined && <Loading />}
        {names.answer !== undefined && shown.length === 0 && (
          <Empty title={all.length === 0 ? "No metrics" : "No metric matches"}>
            {all.length === 0
              ? "No store has a series. The Stores page tells which of them answer."
              : "Fewer letters find more; descriptions are searched as well."}
          </Empty>
        )}
        <ul class="palette-list" id="metric-list" role="listbox" aria-label="Metrics" ref={list}>
          {shown.map((entry, i) => (
            <li
              key={entry.name}
              id={`metric-${i}`}
              role="option"
              aria-selected={i === at}
              onClick={() => pick(i)}
            >
              <div class="metric-row">
                <Plain class="mono" text={entry.name} />
                {entry.help !== "" && (
                  <span class="dim">
                    <Plain text={entry.help} />
                  </span>
                )}
              </div>
              <span class="dim">{[entry.type, entry.unit].filter((x) => x !== "").join(", ")}</span>
            </li>
          ))}
        </ul>
        {names.answer !== undefined && (
          <p class="dim" role="status">
            {found.length > SHOWN
              ? `The first ${SHOWN} of ${grouped(found.length)}: more letters narrow them down.`
              : counted(found.length, "metric")}
            {metadata.error !== undefined && " Types and descriptions could not be loaded."}
          </p>
        )}
      </div>
    </Dialog>
  );
}
