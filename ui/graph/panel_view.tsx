/** One panel: editor, switches, tabs and what they show. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { mark } from "../api/bodies.ts";
import { messageOf } from "../api/client.ts";
import type { RangeData } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { storeIn } from "../model/advice.ts";
import { formatDuration, roughDuration } from "../model/durations.ts";
import { coverageOf, resolutionName } from "../model/fanout.ts";
import { MAX_DRAWN, toFrame } from "../model/frame.ts";
import { toHeatmap } from "../model/heatmap.ts";
import { counted } from "../model/numbers.ts";
import type { PanelOptions, Resolution, Tab } from "../model/permalink.ts";
import { Button, Select, Switch, TextField } from "../parts/controls.tsx";
import { Empty, ErrorMessage, Message, Warnings } from "../parts/messages.tsx";
import { Answered, Ribbon } from "./answered.tsx";
import { useBands } from "./bands.ts";
import { Chart, type PlotArea } from "./chart.tsx";
import { ExpressionField } from "./editor.tsx";
import { ExemplarList } from "./exemplar_list.tsx";
import { Explain } from "./explain.tsx";
import { Legend } from "./legend.tsx";
import { MetricBrowser } from "./metric_browser.tsx";
import { PanelMenu } from "./panel_menu.tsx";
import { EndField, RangeControls } from "./range_controls.tsx";
import { ResultTable } from "./result_table.tsx";
import { analysisOf, FORCE_TRACING, type GraphState, type Panel, type Run } from "./state.ts";
import { StoreFilter } from "./store_filter.tsx";
import { WindowAdvice } from "./window_advice.tsx";

const TABS: readonly { readonly tab: Tab; readonly text: string }[] = [
  { tab: "table", text: "Table" },
  { tab: "graph", text: "Graph" },
  { tab: "explain", text: "Explain" },
];

/** A panel of the graph page. */
export function PanelView(
  { state, panel, number }: { state: GraphState; panel: Panel; number: number },
) {
  const { api, say } = useApp();
  const [browsing, setBrowsing] = useState(false);
  const [picked, setPicked] = useState<string>();
  // Once the box is gone: as long as it is open, nothing behind it takes the focus.
  useEffect(() => {
    if (browsing || picked === undefined) return;
    panel.inserted.value = picked;
    setPicked(undefined);
  }, [browsing, picked]);
  const options = panel.options.value;
  const { run } = panel;
  const format = async () => {
    try {
      const { data } = await api.post<string>("/format_query", [["query", panel.draft.value]]);
      panel.draft.value = data;
    } catch (error) {
      say(`Not formatted: ${messageOf(error)}`, true);
    }
  };
  const loading = run?.loading === true;
  return (
    <section class="panel" aria-label={`Panel ${number}`}>
      <div class="panel-head">
        <ExpressionField
          label={`Expression of panel ${number}`}
          draft={panel.draft}
          inserted={panel.inserted}
          onRun={() => panel.submit()}
        />
        <Button kind="quiet" icon="list" label="Browse metrics" onClick={() => setBrowsing(true)} />
        <Button kind="quiet" icon="format" label="Format the expression" onClick={format} />
        {loading
          ? <Button icon="stop" onClick={() => panel.cancel()}>Cancel</Button>
          : <Button kind="primary" icon="play" onClick={() => panel.submit()}>Execute</Button>}
      </div>
      {browsing && (
        <MetricBrowser
          onPick={setPicked}
          onClose={() => setBrowsing(false)}
        />
      )}
      <Switches panel={panel} />
      <div class="tabs-row">
        <div class="tabs" role="tablist" aria-label="View">
          {TABS.map(({ tab, text }) => (
            <button
              key={tab}
              type="button"
              role="tab"
              id={`tab-${panel.id}-${tab}`}
              aria-selected={options.tab === tab}
              aria-controls={`view-${panel.id}`}
              tabIndex={options.tab === tab ? 0 : -1}
              onClick={() => panel.set({ tab })}
              onKeyDown={(event) => moveTab(event, panel, options.tab)}
            >
              {text}
            </button>
          ))}
        </div>
        <Statistics run={run} />
        <PanelMenu state={state} panel={panel} />
      </div>
      <div
        class="view"
        id={`view-${panel.id}`}
        role="tabpanel"
        aria-labelledby={`tab-${panel.id}-${options.tab}`}
      >
        {options.tab === "table" && (
          <div class="controls">
            <EndField panel={panel} label="Time" />
          </div>
        )}
        {options.tab === "graph" && <RangeControls panel={panel} />}
        {options.tab === "explain" ? <Explain panel={panel} /> : <Result panel={panel} run={run} />}
      </div>
    </section>
  );
}

function moveTab(event: KeyboardEvent, panel: Panel, current: Tab): void {
  const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
  if (by === 0) return;
  event.preventDefault();
  const at = TABS.findIndex(({ tab }) => tab === current);
  const next = TABS[(at + by + TABS.length) % TABS.length]!.tab;
  panel.set({ tab: next });
  document.getElementById(`tab-${panel.id}-${next}`)?.focus();
}

/** Everything that changes which data is asked for. */
function Switches({ panel }: { panel: Panel }) {
  const { flags, preferences } = useApp();
  const options = panel.options.value;
  const known = flags.value;
  const partialByDefault = known["query.partial-response"] !== "false";
  return (
    <div class="switches">
      <Switch
        text="Deduplication"
        title="Replicas count as one series"
        checked={options.dedup}
        onChange={(dedup) => panel.set({ dedup })}
      />
      <Switch
        text="Partial response"
        title="Answer with what there is when a store fails, and say so"
        checked={options.partialResponse ?? partialByDefault}
        onChange={(partialResponse) => panel.set({ partialResponse })}
      />
      <Select<Resolution>
        label="Resolution"
        named
        value={options.resolution}
        onChange={(resolution) => panel.set({ resolution })}
        options={[
          { value: "auto", text: "Auto" },
          { value: "0s", text: "Only raw data" },
          { value: "5m", text: "Max 5m downsampling" },
          { value: "1h", text: "Max 1h downsampling" },
        ]}
      />
      <Select<PanelOptions["engine"]>
        label="Engine"
        named
        value={options.engine}
        onChange={(engine) => panel.set({ engine })}
        options={[
          { value: "", text: "Default" },
          { value: "prometheus", text: "Prometheus" },
          { value: "thanos", text: "Thanos" },
        ]}
      />
      <Switch
        text="Force tracing"
        title="The next runs are traced, whatever the sampler of the server says"
        checked={panel.forceTracing.value}
        onChange={(on) => panel.forceTracing.value = on}
      />
      {(options.tenant !== "" || known["query.enforce-tenancy"] === "true") && (
        <TextField
          label="Tenant"
          named
          width={12}
          value={options.tenant}
          placeholder={known["query.default-tenant-id"] ?? "default-tenant"}
          check={(text) => text.includes("/") ? "A tenant has no slash" : undefined}
          onChange={(tenant) => panel.set({ tenant })}
        />
      )}
      {(preferences.storeFiltering.value || options.stores.length > 0) && (
        <StoreFilter panel={panel} />
      )}
    </div>
  );
}

/** The line of facts about the last run. */
function Statistics({ run }: { run: Run | undefined }) {
  const [, tick] = useState(0);
  const loading = run?.loading === true;
  useEffect(() => {
    if (!loading) return;
    const timer = setInterval(() => tick((n) => n + 1), 200);
    return () => clearInterval(timer);
  }, [loading]);
  if (run === undefined) return <div class="statistics" />;
  if (loading) {
    const elapsed = performance.now() - run.began;
    return (
      <div class="statistics" role="status">
        {elapsed > 300 && (
          <>
            <span class="spinner" />
            {`asking for ${roughDuration(elapsed)}`}
          </>
        )}
      </div>
    );
  }
  const { answer, answered } = run;
  if (answer === undefined || answered === undefined) return <div class="statistics" />;
  const { data } = answer;
  const count = data.resultType === "vector" || data.resultType === "matrix"
    ? data.result.length
    : 1;
  const resolutions = [...new Set(coverageOf(analysisOf(run)).map(({ resolution }) => resolution))];
  return (
    <div class="statistics">
      <span title="From the request to the last byte read">{roughDuration(answer.elapsed)}</span>
      <span>{counted(count, "series", "series")}</span>
      {answered.step > 0 && <span>{`step ${formatDuration(answered.step * 1000)}`}</span>}
      {resolutions.length > 0 && (
        <span>{`from ${resolutions.map(resolutionName).join(", ")} data`}</span>
      )}
      <TraceId run={run} />
    </div>
  );
}

/** The trace of a run, with a link where one is known, or why there is none. */
function TraceId({ run }: { run: Run }) {
  const { traceId } = run.answer!;
  const link = useApp().traceLink({ trace_id: traceId });
  if (traceId === "") {
    return FORCE_TRACING in run.answered!.headers
      ? <span>not traced: the server has no --tracing.config</span>
      : null;
  }
  const text = <span class="mono">{`trace ${traceId}`}</span>;
  return link === undefined
    ? text
    : <a href={link} target="_blank" rel="noopener noreferrer" title="Open the trace">{text}</a>;
}

function Result({ panel, run }: { panel: Panel; run: Run | undefined }) {
  const { tab, expr, stores } = panel.options.value;
  if (run === undefined) {
    return expr === ""
      ? (
        <Empty title="No query yet">
          Write an expression above and press Enter. Ctrl Space completes names, functions and
          labels.
        </Empty>
      )
      : null;
  }
  if (run.answer === undefined) {
    return run.error === undefined
      ? <div class="blank" />
      : <ErrorMessage error={run.error} retry={() => panel.execute(true)} />;
  }
  const failed = run.answer.warnings.flatMap((text) => storeIn(text) ?? []);
  return (
    <div class={`answer ${run.loading ? "stale" : ""}`}>
      {run.error !== undefined && (
        <Message kind="info">Cancelled. Below is the answer before.</Message>
      )}
      <WindowAdvice panel={panel} run={run} />
      <Warnings
        texts={[...run.answer.warnings, ...run.answer.infos]}
        actions={stores.length > 1 && stores.some((name) => failed.includes(name)) && (
          <Button
            small
            onClick={() => panel.set({ stores: stores.filter((name) => !failed.includes(name)) })}
          >
            Ask again without it
          </Button>
        )}
      />
      {tab === "table"
        ? <ResultTable data={panel.runs.table.value!.answer!.data} />
        : <GraphResult panel={panel} run={panel.runs.graph.value!} />}
      <Answered panel={panel} run={run} />
    </div>
  );
}

function GraphResult({ panel, run }: { panel: Panel; run: Run<RangeData> }) {
  const { display, fromZero } = panel.options.value;
  const data = run.answer!.data;
  const { start, end, step } = run.answered!;
  const series = data.resultType === "matrix" ? data.result : [];
  const frame = useMemo(() => {
    const joined = toFrame(series, start, end, step);
    mark("joined");
    return joined;
  }, [series, start, end, step]);
  const histograms = series.some(({ histograms }) => histograms !== undefined);
  // Native histograms have no single value: a heat map is the only graph of them.
  const heat = display === "heatmap" || histograms && frame.rows.length === 0;
  const heatmap = useMemo(() => heat ? toHeatmap(series, start, end, step) : undefined, [
    heat,
    series,
    start,
    end,
    step,
  ]);
  const bands = useBands(run, frame, display === "lines" && !heat);
  const [shown, setShown] = useState<readonly boolean[]>([]);
  const [focus, setFocus] = useState<number>();
  const [area, setArea] = useState<PlotArea>();
  const [exemplar, setExemplar] = useState<number>();
  const visible = useMemo(
    () => shown.length === frame.rows.length ? shown : frame.rows.map(() => true),
    [shown, frame],
  );
  useEffect(() => setExemplar(undefined), [run.exemplars]);
  useEffect(() => setShown((old) => old.length === 0 ? old : []), [frame]);
  if (data.resultType === "scalar" || data.resultType === "string") {
    return (
      <Empty title="Not a series">
        {`The expression gives the ${data.resultType} ${data.result[1]}.`}
      </Empty>
    );
  }
  if (series.length === 0) {
    return (
      <>
        <Empty title="No data in this range">
          Nothing matches between the two ends of the graph. A longer range, another end, or the
          Stores page may tell where the data is.
        </Empty>
        {panel.zoomed && (
          <div class="centred">
            <Button onClick={() => panel.zoomOut()}>Back to the range before</Button>
          </div>
        )}
      </>
    );
  }
  if (heat && heatmap === undefined) {
    return (
      <Empty title="Not a histogram">
        A heat map needs native histograms or series with the label le, such as sum by (le)
        (rate(x_bucket[5m])).
      </Empty>
    );
  }
  return (
    <>
      {series.length > MAX_DRAWN && (
        <Message kind="info">
          {`The first ${MAX_DRAWN} of ${
            counted(series.length, "series", "series")
          } are drawn. Aggregate with sum, avg or topk to see all.`}
        </Message>
      )}
      <Chart
        frame={frame}
        heatmap={heatmap}
        display={heat ? "heatmap" : display}
        fromZero={fromZero}
        shown={visible}
        focus={focus}
        exemplars={run.exemplars}
        bands={bands}
        start={start}
        end={end}
        onZoom={(from, to) => panel.zoom(from, to)}
        onZoomOut={() => panel.zoomOut()}
        onArea={setArea}
        onExemplar={setExemplar}
      />
      <Ribbon run={run} area={area} />
      {bands !== undefined && (
        <p class="band-key">
          Lines are averages; the bands reach from the lowest to the highest sample of each step.
        </p>
      )}
      <ExemplarList exemplars={run.exemplars} chosen={exemplar} />
      {!heat && <Legend frame={frame} shown={visible} onShown={setShown} onFocus={setFocus} />}
    </>
  );
}
