/** What every page can reach: configuration, API, preferences, route, clock. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { Api } from "../api/client.ts";
import type { LabelRecord } from "../model/labels.ts";
import { ZoneClock } from "../model/times.ts";
import { traceLink } from "../model/trace_link.ts";
import { Preferences } from "./preferences.ts";
import { Router } from "./router.ts";

/** What the server puts into the page. */
export interface Config {
  readonly prefix: string;
  readonly component: string;
  readonly version: string;
}

/** A short word at the bottom of the page, such as "copied". */
export interface Notice {
  readonly text: string;
  readonly bad: boolean;
}

/** The parts of the application, made once. */
export class App {
  readonly config: Config;
  readonly api: Api;
  readonly preferences: Preferences;
  readonly router: Router;
  readonly clock: ReadonlySignal<ZoneClock>;
  /** Flags of the server by name; empty until they arrive. */
  readonly flags: Signal<Readonly<Record<string, string>>> = signal({});
  readonly notice: Signal<Notice | undefined> = signal(undefined);
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(config: Config) {
    this.config = config;
    this.api = new Api(config.prefix);
    this.preferences = new Preferences(localStorageOrNone());
    this.router = new Router(config.prefix);
    const { zone } = this.preferences;
    this.clock = computed(() => new ZoneClock(zone.value));
  }

  /** Asks for what the pages adapt to; failing only means that defaults hold. */
  async start(): Promise<void> {
    try {
      this.flags.value = (await this.api.get<Record<string, string>>("/status/flags")).data;
    } catch {
      // The flags page says what is wrong; here the defaults are good enough.
    }
  }

  /** Where the tracing system shows the trace that labels name; undefined without one. */
  traceLink(labels: LabelRecord): string | undefined {
    const own = this.preferences.traceUrl.value;
    return traceLink(own !== "" ? own : this.flags.value["web.trace-url"] ?? "", labels);
  }

  /** Says something for a few seconds. */
  say(text: string, bad = false): void {
    clearTimeout(this.#noticeTimer);
    this.notice.value = { text, bad };
    this.#noticeTimer = setTimeout(() => this.notice.value = undefined, 4000);
  }

  /** Puts text on the clipboard, also where the page is not served over TLS. */
  async copy(text: string, what: string): Promise<void> {
    try {
      if (navigator.clipboard === undefined) copyThroughSelection(text);
      else await navigator.clipboard.writeText(text);
      this.say(`${what} copied`);
    } catch {
      this.say(`The browser does not let this page copy: ${what} not copied`, true);
    }
  }

  /** Saves text as a file. */
  save(name: string, type: string, text: string): void {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = Object.assign(document.createElement("a"), { href: url, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}

function copyThroughSelection(text: string): void {
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copy was refused");
}

/** Some settings of a browser forbid the storage: asking for it throws then. */
function localStorageOrNone(): Storage | undefined {
  let storage: Storage | undefined;
  try {
    storage = globalThis.localStorage;
  } catch {
    // Preferences last for this page only.
  }
  return storage;
}

const Context = createContext<App | undefined>(undefined);

/** Gives the application to everything inside. */
export const AppProvider = Context.Provider;

/** The application. */
export function useApp(): App {
  const app = useContext(Context);
  if (app === undefined) throw new Error("a page outside of the application");
  return app;
}
