/** What a person set in this browser; each a signal that is stored when it changes. */
import { effect, type Signal, signal } from "@preact/signals";
import { isZone } from "../model/times.ts";
import { templateProblem } from "../model/trace_link.ts";

export type Theme = "auto" | "light" | "dark";

/** Where texts are kept by key; `localStorage` has these two. */
export type TextStore = Pick<Storage, "getItem" | "setItem">;

/** Most queries that are remembered, and the longest of them. */
const HISTORY = 50;
const LONGEST = 4000;

/** The preferences of one browser. */
export class Preferences {
  readonly theme: Signal<Theme>;
  readonly zone: Signal<string>;
  readonly keepHistory: Signal<boolean>;
  readonly storeFiltering: Signal<boolean>;
  readonly autocomplete: Signal<boolean>;
  readonly highlighting: Signal<boolean>;
  readonly linter: Signal<boolean>;
  /** Minima and maxima around lines of downsampled data. */
  readonly bands: Signal<boolean>;
  /** Address of a trace with `{trace_id}`; "" = what the server says. */
  readonly traceUrl: Signal<string>;
  readonly history: Signal<readonly string[]>;
  readonly #store: TextStore | undefined;

  constructor(store: TextStore | undefined) {
    this.#store = store;
    this.theme = this.#kept("theme", "auto", (t) => t === "light" || t === "dark" ? t : "auto");
    this.zone = this.#kept("zone", "utc", (t) => typeof t === "string" && isZone(t) ? t : "utc");
    this.keepHistory = this.#switch("history.on", true);
    this.storeFiltering = this.#switch("store-filtering", false);
    this.autocomplete = this.#switch("autocomplete", true);
    this.highlighting = this.#switch("highlighting", true);
    this.linter = this.#switch("linter", true);
    this.bands = this.#switch("bands", true);
    this.traceUrl = this.#kept(
      "trace-url",
      "",
      (t) => typeof t === "string" && templateProblem(t) === undefined ? t : "",
    );
    this.history = this.#kept<readonly string[]>(
      "history",
      [],
      (list) =>
        Array.isArray(list) ? list.filter((x) => typeof x === "string").slice(0, HISTORY) : [],
    );
  }

  /** Puts a query at the front of the history; plain names are found by completion anyway. */
  remember(query: string): void {
    const text = query.trim();
    if (!this.keepHistory.value || text === "" || text.length > LONGEST) return;
    if (/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(text)) return;
    this.history.value = [text, ...this.history.value.filter((old) => old !== text)].slice(
      0,
      HISTORY,
    );
  }

  #switch(key: string, fallback: boolean): Signal<boolean> {
    return this.#kept(key, fallback, (value) => typeof value === "boolean" ? value : fallback);
  }

  #kept<T>(key: string, fallback: T, check: (value: unknown) => T): Signal<T> {
    const name = `mneme.${key}`;
    let initial = fallback;
    try {
      const text = this.#store?.getItem(name);
      // The theme is read as plain text by the page's first lines, so it is written as such.
      if (text !== null && text !== undefined) {
        initial = check(key === "theme" ? text : JSON.parse(text));
      }
    } catch {
      // Written by something else: the default holds.
    }
    const state = signal(initial);
    effect(() => {
      const { value } = state;
      try {
        this.#store?.setItem(name, key === "theme" ? String(value) : JSON.stringify(value));
      } catch {
        // Full or forbidden: it is kept for this page only.
      }
    });
    return state;
  }
}
