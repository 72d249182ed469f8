/** The query editor itself: loaded after the page, since it is larger than all the rest. */
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  completionStatus,
  startCompletion,
} from "@codemirror/autocomplete";
import {
  defaultKeymap,
  history,
  historyKeymap,
  insertNewlineAndIndent,
} from "@codemirror/commands";
import { bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap } from "@codemirror/lint";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, placeholder, tooltips } from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";
import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { newCompleteStrategy } from "@prometheus-io/codemirror-promql/dist/esm/complete/index.js";

/** What the editor needs. */
export interface EditorOptions {
  readonly parent: HTMLElement;
  readonly text: string;
  readonly label: string;
  /** Prefix of the API, such as `/x/api/v1`. */
  readonly api: string;
  readonly features: EditorFeatures;
  /** Earlier queries, the latest first. */
  readonly history: () => readonly string[];
  readonly onChange: (text: string) => void;
  readonly onRun: () => void;
  readonly onEscape: () => void;
}

/** What can be switched off. */
export interface EditorFeatures {
  readonly autocomplete: boolean;
  readonly highlighting: boolean;
  readonly linter: boolean;
}

/** A running editor. */
export interface Editor {
  setText(text: string): void;
  /** Puts text in place of the selection, and the cursor behind it. */
  insert(text: string): void;
  setFeatures(features: EditorFeatures): void;
  focus(): void;
  destroy(): void;
}

type Strategy = ReturnType<typeof newCompleteStrategy>;
type Context = Parameters<Strategy["promQL"]>[0];
type Found = Awaited<ReturnType<Strategy["promQL"]>>;

/** Past queries beside what the language offers, at the start of an expression. */
class WithHistory implements Strategy {
  readonly #inner: Strategy;
  readonly #history: () => readonly string[];
  constructor(inner: Strategy, history: () => readonly string[]) {
    this.#inner = inner;
    this.#history = history;
  }

  async promQL(context: Context): Promise<Found> {
    const found = await this.#inner.promQL(context);
    const before = context.state.sliceDoc(0, context.pos);
    const queries = this.#history().filter((query) =>
      query.startsWith(before.trimStart()) || before.trim() === ""
    );
    if (queries.length === 0 || (before.trim() === "" && !context.explicit)) return found;
    if (found !== null && found.from > 0) return found;
    return {
      ...found,
      from: 0,
      options: [
        ...found?.options ?? [],
        ...queries.map((label) => ({ label, detail: "past query", type: "text", boost: -50 })),
      ],
    };
  }
}

/** Makes the editor in its parent. */
export function createEditor(options: EditorOptions): Editor {
  const features = new Compartment();
  const promql = new PromQLExtension();
  const complete = new WithHistory(
    newCompleteStrategy({
      remote: {
        url: location.origin,
        apiPrefix: options.api,
        httpMethod: "GET",
        fetchFn: (input, init) => fetch(input, init),
        // Completion is a help: without it the query can be written all the same.
        httpErrorHandler: () => {},
        cache: { maxAge: 60_000 },
      },
    }),
    options.history,
  );
  promql.setComplete({ completeStrategy: complete });
  const featureExtensions = (on: EditorFeatures) => {
    promql.activateCompletion(on.autocomplete);
    promql.activateLinter(on.linter);
    return [
      on.highlighting ? syntaxHighlighting(classHighlighter) : [],
      promql.asExtension(),
      on.linter ? lintGutter() : [],
    ];
  };
  let quiet = false;
  const view = new EditorView({
    parent: options.parent,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        EditorView.cspNonce.of(nonceOfPage()),
        EditorView.contentAttributes.of({ "aria-label": options.label, spellcheck: "false" }),
        EditorView.lineWrapping,
        placeholder("Expression, for example rate(http_requests_total[5m])"),
        tooltips({ position: "fixed" }),
        history(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false, activateOnTyping: true }),
        features.of(featureExtensions(options.features)),
        Prec.highest(keymap.of([
          { key: "Enter", run: () => (options.onRun(), true), shift: insertNewlineAndIndent },
          { key: "Escape", run: () => (options.onEscape(), true) },
          {
            key: "Ctrl-ArrowUp",
            mac: "Cmd-ArrowUp",
            run: (v: EditorView) => recall(v, options.history(), 1),
          },
          {
            key: "Ctrl-ArrowDown",
            mac: "Cmd-ArrowDown",
            run: (v: EditorView) => recall(v, options.history(), -1),
          },
          { key: "Mod-Space", run: startCompletion },
        ].map((binding) => guarded(binding)))),
        keymap.of([
          { key: "Tab", run: acceptCompletion },
          ...closeBracketsKeymap,
          ...defaultKeymap,
          ...historyKeymap,
          ...completionKeymap,
          ...lintKeymap,
        ]),
        EditorView.domEventHandlers({ beforeinput: replaceSelection }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !quiet) options.onChange(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    setText(text) {
      if (view.state.doc.toString() === text) return;
      quiet = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      quiet = false;
    },
    insert: (text) => {
      view.dispatch({ ...view.state.replaceSelection(text), userEvent: "input.paste" });
    },
    setFeatures: (on) => view.dispatch({ effects: features.reconfigure(featureExtensions(on)) }),
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

/**
 * Typing over a selection. Left to themselves, browsers keep the look of what was selected with an
 * inline style, which the page's policy refuses with an error.
 */
function replaceSelection(event: InputEvent, view: EditorView): boolean {
  const { data, inputType, isComposing } = event;
  const { main, ranges } = view.state.selection;
  if (inputType !== "insertText" || data === null || isComposing) return false;
  if (main.empty || ranges.length > 1) return false;
  const { from, to } = main;
  const insert = () =>
    view.state.update(view.state.replaceSelection(data), { userEvent: "input.type" });
  const handlers = view.state.facet(EditorView.inputHandler);
  if (!handlers.some((handle) => handle(view, from, to, data, insert))) view.dispatch(insert());
  event.preventDefault();
  return true;
}

interface Binding {
  readonly key: string;
  readonly run: (view: EditorView) => boolean;
}

/** While completions are shown, Enter takes one and Escape closes them: their own keys do that. */
function guarded<B extends Binding>(binding: B): B {
  if (binding.key !== "Enter" && binding.key !== "Escape") return binding;
  return {
    ...binding,
    run: (view: EditorView) =>
      completionStatus(view.state) === "active" ? false : binding.run(view),
  };
}

/** Puts an earlier (1) or later (-1) query into the editor. */
function recall(view: EditorView, queries: readonly string[], direction: 1 | -1): boolean {
  if (queries.length === 0) return false;
  const at = queries.indexOf(view.state.doc.toString().trim());
  const next = at + direction;
  if (next < 0 || next >= queries.length) return true;
  const insert = queries[next]!;
  view.dispatch({
    changes: { from: 0, to: view.state.doc.length, insert },
    selection: { anchor: insert.length },
  });
  return true;
}

function nonceOfPage(): string {
  return document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce ?? "";
}
