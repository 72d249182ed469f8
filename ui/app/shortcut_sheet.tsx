/** The keys that do something. */
import { Dialog } from "../parts/controls.tsx";
import type { MenuItem } from "./menu.ts";

/** Opened by `?`. */
export function ShortcutSheet(
  props: { readonly menu: readonly MenuItem[]; readonly onClose: () => void },
) {
  const rows: (readonly [string, string])[] = [
    ["Ctrl K", "Go to a page or a recent query"],
    ["?", "This list"],
    ...props.menu.map(({ key, text }) => [`g ${key}`, text] as const),
    ["Enter", "Run the query (in the editor)"],
    ["Shift Enter", "New line (in the editor)"],
    ["Ctrl Space", "Complete (in the editor)"],
    ["Ctrl ↑ ↓", "Earlier and later queries (in the editor)"],
    ["Esc", "Leave the editor, close a box"],
    ["Drag", "Zoom into a graph or timeline"],
    ["Double click", "Zoom back out"],
  ];
  return (
    <Dialog title="Keys" onClose={props.onClose}>
      <dl class="keys">
        {rows.map(([keys, text]) => (
          <div key={keys}>
            <dt>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
