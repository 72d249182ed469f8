/** The palette: every page and the recent queries, by a few letters. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Dialog } from "../parts/controls.tsx";
import { graphLink } from "../parts/page_link.tsx";
import { Plain } from "../parts/plain.tsx";
import { useApp } from "./context.ts";
import type { MenuItem } from "./menu.ts";

/** Opened by Ctrl K. */
export function Palette(
  props: { readonly menu: readonly MenuItem[]; readonly onClose: () => void },
) {
  const { router, preferences } = useApp();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const queries = props.menu.some(({ path }) => path === "/graph") ? preferences.history.value : [];
  const words = text.toLowerCase();
  const found = [
    ...props.menu.map(({ path, text }) => ({ to: path, text, kind: "page" })),
    ...queries.map((query) => ({ to: graphLink(query), text: query, kind: "query" })),
    ...(words !== "" && props.menu[0]!.path === "/graph"
      ? [{ to: graphLink(text), text: `Run ${text}`, kind: "new query" }]
      : []),
  ].filter((item) => item.text.toLowerCase().includes(words)).slice(0, 12);
  const go = (index: number) => {
    const item = found[index];
    if (item === undefined) return;
    props.onClose();
    router.go(item.to);
  };
  useEffect(() => list.current?.children[at]?.scrollIntoView({ block: "nearest" }), [at]);
  return (
    <Dialog title="Go to" onClose={props.onClose}>
      <input
        class="palette-input"
        type="text"
        role="combobox"
        aria-label="Page or query"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={`palette-${at}`}
        autofocus
        spellcheck={false}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") go(at);
          else if (event.key === "ArrowDown") setAt(Math.min(found.length - 1, at + 1));
          else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
          else return;
          event.preventDefault();
        }}
      />
      <ul class="palette-list" id="palette-list" role="listbox" aria-label="Found" ref={list}>
        {found.map((item, i) => (
          <li
            key={item.to}
            id={`palette-${i}`}
            role="option"
            aria-selected={i === at}
            onClick={() => go(i)}
            onPointerMove={() => setAt(i)}
          >
            <Plain class={item.kind === "page" ? "" : "mono"} text={item.text} />
            <span class="dim">{item.kind}</span>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
