/** The graph page: panels, and what holds for all of them. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { QueryData } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { roughDuration } from "../model/durations.ts";
import { templateProblem } from "../model/trace_link.ts";
import { Button, Popover, Select, Switch, TextField } from "../parts/controls.tsx";
import { Message } from "../parts/messages.tsx";
import { PanelView } from "./panel_view.tsx";
import { GraphState } from "./state.ts";

/** Clocks that differ by more show in every graph, ms. */
const CLOCK_SKEW = 30_000;

export function GraphPage() {
  const app = useApp();
  const state = useMemo(() => new GraphState(app), [app]);
  const { route } = app.router;
  useEffect(() => {
    for (const panel of state.panels.value) panel.execute(true);
    return () => state.dispose();
  }, [state]);
  const { search } = route.value;
  useEffect(() => state.follow(search), [search]);
  return (
    <div class="page graph-page">
      <Toolbar state={state} />
      <ClockWarning />
      {state.panels.value.map((panel, i) => (
        <PanelView key={panel.id} state={state} panel={panel} number={i + 1} />
      ))}
      <Button icon="plus" onClick={() => state.add()}>Add panel</Button>
    </div>
  );
}

const REFRESH: readonly { readonly value: string; readonly text: string }[] = [
  { value: "0", text: "Off" },
  { value: "5000", text: "5s" },
  { value: "15000", text: "15s" },
  { value: "30000", text: "30s" },
  { value: "60000", text: "1m" },
  { value: "300000", text: "5m" },
];

function Toolbar({ state }: { state: GraphState }) {
  const { preferences, flags } = useApp();
  const [every, setEvery] = useState("0");
  useEffect(() => {
    if (every === "0") return;
    const timer = setInterval(() => state.refresh(), Number(every));
    return () => clearInterval(timer);
  }, [every]);
  return (
    <div class="toolbar">
      <h1 class="unseen">Graph</h1>
      <Switch
        text="Enable Store Filtering"
        title="Choose for each panel which stores are asked"
        checked={preferences.storeFiltering.value}
        onChange={(on) => preferences.storeFiltering.value = on}
      />
      <span class="space" />
      <Select label="Refresh" named value={every} onChange={setEvery} options={REFRESH} />
      <Popover
        label="Settings of editor and graph"
        icon="gear"
        text="Settings"
        align="right"
      >
        {() => (
          <div class="settings">
            <Switch
              text="Autocomplete"
              checked={preferences.autocomplete.value}
              onChange={(on) => preferences.autocomplete.value = on}
            />
            <Switch
              text="Highlighting"
              checked={preferences.highlighting.value}
              onChange={(on) => preferences.highlighting.value = on}
            />
            <Switch
              text="Linter"
              checked={preferences.linter.value}
              onChange={(on) => preferences.linter.value = on}
            />
            <Switch
              text="Query history"
              checked={preferences.keepHistory.value}
              onChange={(on) => preferences.keepHistory.value = on}
            />
            <Switch
              text="Minima and maxima"
              title="A band around lines of downsampled data, from the lowest to the highest sample"
              checked={preferences.bands.value}
              onChange={(on) => preferences.bands.value = on}
            />
            <Button
              kind="quiet"
              icon="trash"
              disabled={preferences.history.value.length === 0}
              onClick={() => preferences.history.value = []}
            >
              Forget past queries
            </Button>
            <TextField
              label="Trace link"
              named
              width={30}
              value={preferences.traceUrl.value}
              placeholder={flags.value["web.trace-url"] ||
                "https://jaeger.example.com/trace/{trace_id}"}
              check={templateProblem}
              onChange={(text) => preferences.traceUrl.value = text.trim()}
            />
          </div>
        )}
      </Popover>
    </div>
  );
}

/** Times of the browser are wrong on every graph when its clock is. */
function ClockWarning() {
  const { api } = useApp();
  const [skew, setSkew] = useState(0);
  useEffect(() => {
    const began = Date.now();
    api.get<QueryData>("/query", [["query", "time()"]]).then(({ data }) => {
      if (data.resultType !== "scalar") return;
      setSkew((began + Date.now()) / 2 - Number(data.result[1]) * 1000);
    }, () => {
      // A server that does not answer says so where it is asked for something.
    });
  }, []);
  if (Math.abs(skew) < CLOCK_SKEW) return null;
  return (
    <Message kind="warning" title="The clocks differ">
      {`This browser's clock is ${roughDuration(Math.abs(skew))} ${
        skew > 0 ? "ahead of" : "behind"
      } the server's: “now” shows another time than you expect.`}
    </Message>
  );
}
