/** Light, dark, or as the system has it. */
import { effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { Preferences } from "./preferences.ts";

/** Keeps the document in the chosen theme. */
export function applyTheme({ theme }: Preferences): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = theme.value;
    const bySystem = system.matches ? "dark" : "light";
    document.documentElement.dataset.theme = chosen === "auto" ? bySystem : chosen;
  };
  effect(apply);
  system.addEventListener("change", apply);
}

/** Calls back when the colours on the page change, whoever changed them. */
export function onColorsChanged(run: () => void): () => void {
  const observer = new MutationObserver(run);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => observer.disconnect();
}

/** Colours of the page for drawing on a canvas. */
export interface Colors {
  readonly text: string;
  readonly dim: string;
  readonly line: string;
  readonly surface: string;
  readonly accent: string;
  readonly warn: string;
  readonly bad: string;
  readonly dark: boolean;
}

/** The colours as they are now. */
export function currentColors(): Colors {
  const style = getComputedStyle(document.documentElement);
  const get = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: get("text"),
    dim: get("text-3"),
    line: get("line"),
    surface: get("surface"),
    accent: get("accent"),
    warn: get("warn"),
    bad: get("bad"),
    dark: get("dark") === "1",
  };
}

/** True while the page is dark; whoever uses it is rendered again when that changes. */
export function useDark(): boolean {
  const [dark, setDark] = useState(() => currentColors().dark);
  useEffect(() => {
    const look = () => setDark(currentColors().dark);
    look();
    return onColorsChanged(look);
  }, []);
  return dark;
}
