/** Words about what happened: errors with the next step, warnings, waiting, nothing there. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { explainError, explainWarning } from "../model/advice.ts";
import { Button } from "./controls.tsx";
import { Icon } from "./icon.tsx";

/** A box with a text of some weight. */
export function Message(props: {
  readonly kind: "error" | "warning" | "info";
  readonly title?: ComponentChildren;
  readonly children?: ComponentChildren;
  readonly actions?: ComponentChildren;
}) {
  return (
    <div class={`message ${props.kind}`} role={props.kind === "error" ? "alert" : "status"}>
      <Icon name={props.kind === "info" ? "info" : "warning"} />
      <div class="message-text">
        {props.title !== undefined && <strong>{props.title}</strong>}
        {props.children}
      </div>
      {props.actions}
    </div>
  );
}

/** An error of the API with what to do about it. */
export function ErrorMessage(props: { readonly error: unknown; readonly retry?: () => void }) {
  const { title, text, next } = explainError(props.error);
  return (
    <Message
      kind="error"
      title={title}
      actions={props.retry !== undefined && (
        <Button small onClick={props.retry} icon="refresh">Try again</Button>
      )}
    >
      <span class="message-cause">{text}</span>
      {next !== undefined && <span>{next}</span>}
    </Message>
  );
}

/** Warnings and notes that came with an answer; long lists fold. */
export function Warnings(
  props: { readonly texts: readonly string[]; readonly actions?: ComponentChildren },
) {
  const [all, setAll] = useState(false);
  const explained = props.texts.map(explainWarning);
  const shown = all ? explained : explained.slice(0, 3);
  if (explained.length === 0) return null;
  const info = explained.every(({ kind }) => kind === "info");
  return (
    <Message kind={info ? "info" : "warning"} actions={props.actions}>
      {shown.map(({ text, next }, i) => (
        <span key={i} class="message-line">
          {text}
          {next !== undefined && <span class="dim">{` ${next}`}</span>}
        </span>
      ))}
      {explained.length > shown.length && (
        <Button kind="quiet" small onClick={() => setAll(true)}>
          {`Show ${explained.length - shown.length} more`}
        </Button>
      )}
    </Message>
  );
}

/** A page or panel that has nothing to show, and why. */
export function Empty(props: { readonly title: string; readonly children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{props.title}</strong>
      {props.children !== undefined && <p>{props.children}</p>}
    </div>
  );
}

/** Shown while something loads; appears only when it takes a moment. */
export function Loading({ text = "Loading" }: { text?: string }) {
  return (
    <div class="loading" role="status">
      <span class="spinner" />
      {text}
    </div>
  );
}
