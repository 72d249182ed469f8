/** Light, dark, or as the system has it. */
import { effect } from "@preact/signals";
import type { Preferences } from "./preferences.ts";

/** Keeps the document in the chosen theme. */
export function applyTheme({ theme }: Preferences): void {
  effect(() => {
    const { dataset } = document.documentElement;
    if (theme.value === "auto") delete dataset.theme;
    else dataset.theme = theme.value;
  });
}

/** Calls back when the colours on the page change, whoever changed them. */
export function onColorsChanged(run: () => void): () => void {
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", run);
  const observer = new MutationObserver(run);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => {
    media.removeEventListener("change", run);
    observer.disconnect();
  };
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
