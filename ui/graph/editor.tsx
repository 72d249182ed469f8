/** The field for the expression: a plain one at first, the editor as soon as it is loaded. */
import { effect, type Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { useApp } from "../app/context.ts";
import type { Editor } from "./editor_view.ts";

/** Both kinds behave alike: Enter runs, Shift Enter makes a line. */
export function ExpressionField(props: {
  readonly label: string;
  readonly draft: Signal<string>;
  /** Text that is to go where the cursor is; taken and cleared. */
  readonly inserted: Signal<string | undefined>;
  readonly onRun: () => void;
}) {
  const app = useApp();
  const { autocomplete, highlighting, linter } = app.preferences;
  const host = useRef<HTMLDivElement>(null);
  const plain = useRef<HTMLTextAreaElement>(null);
  const editor = useRef<Editor | undefined>(undefined);
  const [loaded, setLoaded] = useState(false);
  const latest = useRef(props);
  latest.current = props;
  const features = {
    autocomplete: autocomplete.value,
    highlighting: highlighting.value,
    linter: linter.value,
  };
  useEffect(() => {
    let gone = false;
    import("./editor_view.ts").then(({ createEditor }) => {
      if (gone) return;
      const hadFocus = document.activeElement === plain.current;
      editor.current = createEditor({
        parent: host.current!,
        text: props.draft.peek(),
        label: latest.current.label,
        api: app.api.base,
        features,
        history: () => app.preferences.history.value,
        onChange: (text) => props.draft.value = text,
        onRun: () => latest.current.onRun(),
        onEscape: () => (document.activeElement as HTMLElement | null)?.blur(),
      });
      setLoaded(true);
      if (hadFocus) editor.current.focus();
    }, () => {
      // Without the editor, the plain field stays: queries can be written in it.
    });
    return () => {
      gone = true;
      editor.current?.destroy();
      editor.current = undefined;
    };
  }, []);
  // At once, not after the next frame: by then more may have been typed.
  useEffect(() =>
    effect(() => {
      const { value } = props.draft;
      editor.current?.setText(value);
    }), [props.draft]);
  useEffect(() =>
    effect(() => {
      const text = props.inserted.value;
      if (text === undefined) return;
      props.inserted.value = undefined;
      if (editor.current === undefined) props.draft.value = props.draft.peek() + text;
      else editor.current.insert(text);
      (editor.current ?? plain.current)?.focus();
    }), [props.inserted]);
  useEffect(() => editor.current?.setFeatures(features), [
    features.autocomplete,
    features.highlighting,
    features.linter,
  ]);
  return (
    <div class="expression">
      <div ref={host} class="expression-editor" />
      {!loaded && (
        <textarea
          ref={plain}
          class="expression-plain"
          aria-label={props.label}
          rows={Math.max(1, props.draft.value.split("\n").length)}
          spellcheck={false}
          placeholder="Expression, for example rate(http_requests_total[5m])"
          value={props.draft.value}
          onInput={(event) => props.draft.value = event.currentTarget.value}
          onKeyDown={(event) => {
            if (event.key === "Escape") event.currentTarget.blur();
            if (event.key !== "Enter" || event.shiftKey) return;
            event.preventDefault();
            props.onRun();
          }}
        />
      )}
    </div>
  );
}
