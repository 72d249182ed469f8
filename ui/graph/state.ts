/** The panels of the graph page: options, running requests, answers. */
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type Answer, type CallOptions, type Form, isCanceled } from "../api/client.ts";
import type { AnalysisNode, ExemplarsJson, QueryData, RangeData } from "../api/types.ts";
import type { App } from "../app/context.ts";
import { parseDuration } from "../model/durations.ts";
import { NEW_PANEL, type PanelOptions, readPermalink, writePermalink } from "../model/permalink.ts";
import { type QueryDefaults, type QueryRequest, queryRequest } from "../model/query_form.ts";

export type RunKind = "table" | "graph";

/** One request and what became of it; a new one keeps the last answer until its own is there. */
export interface Run<Data = QueryData | RangeData> {
  readonly request: QueryRequest;
  readonly answer: Answer<Data> | undefined;
  /** The request the answer belongs to. */
  readonly answered: QueryRequest | undefined;
  readonly error: unknown;
  readonly loading: boolean;
  /** When it was asked, `performance.now()`. */
  readonly began: number;
  readonly exemplars: readonly ExemplarsJson[];
}

/** What is zoomed into gets round ends: nobody aims at a second of a month. */
const DAY = 86_400_000;

/** The note of a server whose default engine cannot be analysed says nothing to the reader. */
const NOT_ANALYZABLE = /^Query (?:not analyzable; change engine|fallback to prometheus engine)/;

/** Header of a request that is to be traced. */
export const FORCE_TRACING = "X-Thanos-Force-Tracing";

/** Defaults of the server's flags. */
export function queryDefaults(flags: Readonly<Record<string, string>>): QueryDefaults {
  return {
    step: Math.max(1, (parseDuration(flags["query.default-step"] ?? "1s") ?? 1000) / 1000),
    tenantHeader: flags["query.tenant-header"] || "THANOS-TENANT",
  };
}

/** One panel. */
export class Panel {
  readonly id: number;
  readonly options: Signal<PanelOptions>;
  /** What stands in the editor. */
  readonly draft: Signal<string>;
  readonly runs: {
    readonly table: Signal<Run<QueryData> | undefined>;
    readonly graph: Signal<Run<RangeData> | undefined>;
  } = { table: signal(undefined), graph: signal(undefined) };
  /** Text on its way into the editor. */
  readonly inserted: Signal<string | undefined> = signal(undefined);
  /** The next runs are traced, whatever the server's sampler says. */
  readonly forceTracing = signal(false);
  /** Rounds of the explain tab. */
  readonly explained = signal(0);
  readonly #app: App;
  readonly #changed: () => void;
  readonly #aborts: Partial<Record<RunKind, AbortController>> = {};
  /** Ranges before each zoom, to go back to. */
  readonly #zooms = signal<readonly Pick<PanelOptions, "range" | "end">[]>([]);

  constructor(app: App, id: number, options: PanelOptions, changed: () => void) {
    this.#app = app;
    this.id = id;
    this.options = signal(options);
    this.draft = signal(options.expr);
    this.#changed = changed;
  }

  /** The run of the tab that shows one. */
  get run(): Run | undefined {
    const { tab } = this.options.value;
    return tab === "explain" ? undefined : this.runs[tab].value;
  }

  /** Changes options; whatever changes the answer asks again. */
  set(change: Partial<PanelOptions>): void {
    const before = this.options.value;
    const after = { ...before, ...change };
    this.options.value = after;
    this.#changed();
    const asks = (Object.keys(change) as (keyof PanelOptions)[])
      .some((key) => before[key] !== after[key] && key !== "display" && key !== "fromZero");
    if (asks) this.execute();
  }

  /** Takes the editor's text and asks. */
  submit(): void {
    this.#app.preferences.remember(this.draft.value);
    const expr = this.draft.value.trim();
    if (expr !== this.options.value.expr) {
      this.options.value = { ...this.options.value, expr };
      this.#changed();
    }
    this.execute(true);
  }

  /** Asks for what the open tab shows, unless it has that already. */
  execute(again = false): void {
    const { tab, expr } = this.options.value;
    if (expr === "") return;
    if (tab === "explain") {
      this.explained.value++;
      return;
    }
    const asked = queryRequest(
      this.options.value,
      tab,
      Date.now(),
      queryDefaults(this.#app.flags.value),
    );
    const request = this.forceTracing.value
      ? { ...asked, headers: { ...asked.headers, [FORCE_TRACING]: "true" } }
      : asked;
    const current = this.runs[tab].value;
    // A tab that was left and entered again has its answer still.
    if (
      !again && current !== undefined && current.error === undefined &&
      sameQuestion(current.request, request)
    ) return;
    const { api } = this.#app;
    const { path, form } = request;
    if (tab === "table") {
      this.#start(tab, this.runs.table, request, (o) => api.post<QueryData>(path, form, o));
    } else this.#start(tab, this.runs.graph, request, (o) => api.postRange(path, form, o));
  }

  async #start<Data>(
    kind: RunKind,
    state: Signal<Run<Data> | undefined>,
    request: QueryRequest,
    ask: (options: CallOptions) => Promise<Answer<Data>>,
  ): Promise<void> {
    this.#aborts[kind]?.abort();
    const abort = new AbortController();
    this.#aborts[kind] = abort;
    const began = performance.now();
    const before = state.value;
    const base: Run<Data> = {
      request,
      answer: before?.answer,
      answered: before?.answered,
      error: undefined,
      loading: true,
      began,
      exemplars: before?.exemplars ?? [],
    };
    state.value = base;
    const options = { signal: abort.signal, headers: request.headers };
    try {
      const answer = await ask(options);
      const exemplars = kind === "graph" && this.options.value.exemplars
        ? await this.#exemplars(request, options)
        : [];
      if (this.#aborts[kind] !== abort) return;
      const warnings = answer.warnings.filter((text) => !NOT_ANALYZABLE.test(text));
      state.value = {
        ...base,
        answer: { ...answer, warnings },
        answered: request,
        loading: false,
        exemplars,
      };
    } catch (error) {
      if (this.#aborts[kind] !== abort) return;
      state.value = isCanceled(error)
        ? { ...base, loading: false, error }
        : { ...base, answer: undefined, answered: undefined, loading: false, error, exemplars: [] };
    }
  }

  async #exemplars(
    request: QueryRequest,
    options: { signal: AbortSignal; headers: Readonly<Record<string, string>> },
  ): Promise<readonly ExemplarsJson[]> {
    const of = (name: string) => request.form.find(([key]) => key === name)![1];
    const form: Form = [["query", of("query")], ["start", of("start")], ["end", of("end")]];
    try {
      return (await this.#app.api.post<readonly ExemplarsJson[] | null>(
        "/query_exemplars",
        form,
        options,
      )).data ?? [];
    } catch (error) {
      if (isCanceled(error)) throw error;
      this.#app.say("Exemplars could not be loaded", true);
      return [];
    }
  }

  /** Gives the running request up; the server stops working on it. */
  cancel(): void {
    for (const abort of Object.values(this.#aborts)) abort.abort();
  }

  /** Shows a stretch of the graph. Units: ms. */
  zoom(from: number, to: number): void {
    const { range, end } = this.options.value;
    this.#zooms.value = [...this.#zooms.value, { range, end }];
    const unit = to - from > 30 * DAY ? 3_600_000 : to - from > DAY ? 60_000 : 1000;
    const rounded = (ms: number) => Math.round(ms / unit) * unit;
    this.set({ range: Math.max(unit, rounded(to - from)), end: rounded(to) });
  }

  /** True when there is a range to go back to. */
  get zoomed(): boolean {
    return this.#zooms.value.length > 0;
  }

  /** Back to the range before the last zoom. */
  zoomOut(): void {
    const last = this.#zooms.value.at(-1);
    if (last === undefined) return;
    this.#zooms.value = this.#zooms.value.slice(0, -1);
    this.set(last);
  }

  dispose(): void {
    this.cancel();
  }
}

/** Same parameters but for the time, which moves on by itself. */
function sameQuestion(a: QueryRequest, b: QueryRequest): boolean {
  const rest = (r: QueryRequest) =>
    JSON.stringify([
      r.path,
      r.form.filter(([name]) => !/^(?:time|start|end)$/.test(name)),
      r.headers,
    ]);
  return rest(a) === rest(b) && Math.abs(a.end - b.end) < 60_000 &&
    a.end - a.start === b.end - b.start;
}

/** All panels and the address that describes them. */
export class GraphState {
  readonly panels: Signal<readonly Panel[]>;
  readonly link: ReadonlySignal<string>;
  readonly #app: App;
  #nextId = 1;
  #written = "";

  constructor(app: App) {
    this.#app = app;
    this.panels = signal([]);
    this.#adopt(app.router.route.value.search);
    this.link = computed(() => `/graph?${writePermalink(this.#options())}`);
  }

  #options(): PanelOptions[] {
    return this.panels.value.map(({ options }) => options.value);
  }

  /** Panels of an address we did not write ourselves: a link, or the back button. */
  follow(search: string): void {
    if (search === this.#written) return;
    for (const panel of this.panels.value) panel.dispose();
    this.#adopt(search);
    for (const panel of this.panels.value) panel.execute(true);
  }

  #adopt(search: string): void {
    this.#written = search;
    const found = readPermalink(search);
    this.panels.value = (found.length === 0 ? [NEW_PANEL] : found).map((o) => this.#panel(o));
  }

  #panel(options: PanelOptions): Panel {
    return new Panel(this.#app, this.#nextId++, options, () => this.#write());
  }

  #write(): void {
    const query = writePermalink(this.#options());
    this.#written = `?${query}`;
    this.#app.router.push(`/graph?${query}`);
  }

  /** A new panel at the end, or a copy after the one it is made of. */
  add(copyOf?: Panel): void {
    const panel = this.#panel(copyOf === undefined ? NEW_PANEL : { ...copyOf.options.value });
    const at = copyOf === undefined
      ? this.panels.value.length
      : this.panels.value.indexOf(copyOf) + 1;
    this.panels.value = this.panels.value.toSpliced(at, 0, panel);
    this.#write();
    panel.execute(true);
  }

  remove(panel: Panel): void {
    panel.dispose();
    const rest = this.panels.value.filter((p) => p !== panel);
    this.panels.value = rest.length === 0 ? [this.#panel(NEW_PANEL)] : rest;
    this.#write();
  }

  /** The link with the end of each range written down, so that it shows the same data later. */
  fixedLink(): string {
    return `/graph?${writePermalink(this.#options(), Math.floor(Date.now() / 1000) * 1000)}`;
  }

  refresh(): void {
    for (const panel of this.panels.value) {
      if (panel.options.value.end === undefined && panel.run?.loading !== true) panel.execute(true);
    }
  }

  dispose(): void {
    for (const panel of this.panels.value) panel.dispose();
  }
}

/** The analysis of an answer, if it has one. */
export function analysisOf(run: Run | undefined): AnalysisNode | undefined {
  return run?.answer?.data.analysis ?? undefined;
}
