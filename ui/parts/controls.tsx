/** Buttons, fields and switches. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icon.tsx";

interface ButtonProps {
  readonly children?: ComponentChildren;
  readonly icon?: IconName;
  /** Name for those who do not see the icon; also its tooltip. */
  readonly label?: string;
  readonly kind?: "plain" | "primary" | "quiet" | "danger";
  readonly disabled?: boolean;
  readonly pressed?: boolean;
  readonly small?: boolean;
  readonly onClick: (event: MouseEvent) => void;
}

/** A button with a text, an icon, or both. */
export function Button(props: ButtonProps) {
  const { children, icon, label, kind = "plain", disabled, pressed, small, onClick } = props;
  return (
    <button
      type="button"
      class={`button ${kind}${small ? " small" : ""}${children === undefined ? " bare" : ""}`}
      disabled={disabled ?? false}
      onClick={onClick}
      {...(label === undefined ? {} : { "aria-label": label, title: label })}
      {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
    >
      {icon !== undefined && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** A row of choices of which one holds. */
export function Segmented<T extends string>(props: {
  readonly label: string;
  readonly value: T;
  readonly options: readonly {
    readonly value: T;
    readonly text: string;
    readonly title?: string;
  }[];
  readonly onChange: (value: T) => void;
}) {
  return (
    <div class="segmented" role="group" aria-label={props.label}>
      {props.options.map(({ value, text, title }) => (
        <button
          type="button"
          key={value}
          aria-pressed={value === props.value}
          title={title ?? text}
          onClick={() => props.onChange(value)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

/** A drop-down list of the browser's own. */
export function Select<T extends string>(props: {
  readonly label: string;
  readonly value: T;
  readonly options: readonly { readonly value: T; readonly text: string }[];
  readonly onChange: (value: T) => void;
  /** Show the label beside it. */
  readonly named?: boolean;
}) {
  const id = useId();
  return (
    <span class="field">
      <label for={id} class={props.named ? "" : "unseen"}>{props.label}</label>
      <select
        id={id}
        value={props.value}
        onChange={(event) => props.onChange(event.currentTarget.value as T)}
      >
        {props.options.map(({ value, text }) => (
          <option key={value} value={value} selected={value === props.value}>{text}</option>
        ))}
      </select>
    </span>
  );
}

/** A switch with its text. */
export function Switch(props: {
  readonly text: string;
  readonly title?: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}) {
  return (
    <label class="switch" {...(props.title === undefined ? {} : { title: props.title })}>
      <input
        type="checkbox"
        role="switch"
        checked={props.checked}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <span class="track" aria-hidden="true" />
      <span>{props.text}</span>
    </label>
  );
}

/** A text field that tells its value on Enter or when it is left. */
export function TextField(props: {
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  readonly width?: number;
  readonly named?: boolean;
  /** Tells why a text cannot be taken; undefined = it can. */
  readonly check?: (text: string) => string | undefined;
  readonly onChange: (text: string) => void;
}) {
  const id = useId();
  const [text, setText] = useState(props.value);
  const [problem, setProblem] = useState<string>();
  useEffect(() => {
    setText(props.value);
    setProblem(undefined);
  }, [props.value]);
  const commit = () => {
    const why = props.check?.(text);
    setProblem(why);
    if (why === undefined && text !== props.value) props.onChange(text);
  };
  return (
    <span class="field">
      <label for={id} class={props.named ? "" : "unseen"}>{props.label}</label>
      <input
        id={id}
        type="text"
        value={text}
        spellcheck={false}
        autocomplete="off"
        placeholder={props.placeholder ?? ""}
        {...(props.width === undefined ? {} : { size: props.width })}
        aria-invalid={problem !== undefined}
        title={problem ?? props.label}
        onInput={(event) => setText(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === "Enter" && commit()}
      />
      {problem !== undefined && <span class="field-problem" role="alert">{problem}</span>}
    </span>
  );
}

/** A search field that tells each change. */
export function SearchField(props: {
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  readonly onInput: (text: string) => void;
}) {
  return (
    <span class="search-field">
      <Icon name="search" />
      <input
        type="search"
        aria-label={props.label}
        placeholder={props.placeholder ?? props.label}
        value={props.value}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => props.onInput(event.currentTarget.value)}
      />
    </span>
  );
}

/** A button that opens a box below it; Escape and clicks elsewhere close it. */
export function Popover(props: {
  readonly text: ComponentChildren;
  readonly label: string;
  readonly icon?: IconName;
  readonly quiet?: boolean;
  readonly align?: "left" | "right";
  readonly children: (close: () => void) => ComponentChildren;
}) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      const target = event.target as Node;
      // A click on plain text inside gives the focus to what the box stands in: not a way out.
      if (event.type === "focusin" && target.contains(box.current)) return;
      if (!box.current!.contains(target)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector("button")?.focus();
  };
  return (
    <div
      class="popover"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        close();
      }}
    >
      <button
        type="button"
        class={`button ${props.quiet ? "quiet" : "plain"}`}
        aria-expanded={open}
        aria-controls={id}
        aria-label={props.label}
        title={props.label}
        onClick={() => setOpen(!open)}
      >
        {props.icon !== undefined && <Icon name={props.icon} />}
        {props.text}
        {props.text !== undefined && <Icon name="down" size={12} />}
      </button>
      {open && (
        <div
          id={id}
          class={`popover-box ${props.align ?? "left"}`}
          role="group"
          aria-label={props.label}
        >
          {props.children(close)}
        </div>
      )}
    </div>
  );
}

/** A modal box over the page; Escape closes it. */
export function Dialog(props: {
  readonly title: string;
  readonly wide?: boolean;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current!.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class={props.wide ? "wide" : ""}
      aria-labelledby={id}
      onClose={props.onClose}
      onClick={(event) => event.target === dialog.current && dialog.current!.close()}
    >
      <div class="dialog-body">
        <header>
          <h2 id={id}>{props.title}</h2>
          <Button kind="quiet" icon="close" label="Close" onClick={() => dialog.current!.close()} />
        </header>
        {props.children}
      </div>
    </dialog>
  );
}
