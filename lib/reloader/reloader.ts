/**
 * Reloader: keeps Prometheus' configuration and rules current. Watches files, writes the expanded
 * configuration, and asks Prometheus to reload when something changed.
 */
import { type Clock, errorMessage, throwIfAborted } from "../base/mod.ts";
import { expandConfig, hashInputs, readInput, replaceFile } from "./inputs.ts";
import type { ReloadTrigger } from "./trigger.ts";

/** What is watched. */
export interface ReloaderSettings {
  /** "" = none. */
  readonly configFile: string;
  /** Where the expanded configuration goes; "" = nowhere. */
  readonly outputFile: string;
  readonly ruleFolders: readonly string[];
  /** Period of looking again without file events, ms. */
  readonly watchInterval: number;
  /** Pause between attempts of a failed reload, ms. */
  readonly retryInterval: number;
}

/** A number that only grows. */
export interface Counting {
  inc(by?: number): void;
}
/** A number that is set. */
export interface Measure {
  set(value: number): void;
}

/** Metrics of a reloader, under the names operators know. */
export interface ReloaderMetrics {
  readonly reloads: Counting;
  readonly reloadsFailed: Counting;
  readonly lastReloadSuccessful: Measure;
  readonly lastReloadSuccessTime: Measure;
  readonly applies: Counting;
  readonly appliesFailed: Counting;
  readonly expansionErrors: Measure;
  readonly watches: Measure;
  readonly watchEvents: Counting;
  readonly watchErrors: Counting;
}

/** Told of what happens. */
export type ReloaderLog = (
  level: "info" | "warn" | "error",
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** Parts of a reloader; all injected. */
export interface ReloaderParts {
  readonly trigger: ReloadTrigger;
  readonly env: (name: string) => string | undefined;
  /** Calls back on changes below the paths; returns how to stop. Throws when it cannot watch. */
  readonly watch: (paths: readonly string[], onChange: () => void) => () => void;
  readonly clock: Clock;
  readonly metrics: ReloaderMetrics;
  readonly log: ReloaderLog;
}

/** Runs until its signal aborts. */
export class Reloader {
  readonly #settings: ReloaderSettings;
  readonly #parts: ReloaderParts;
  /** Hash of what Prometheus has loaded; "" before the first reload. */
  #loaded = "";

  constructor(settings: ReloaderSettings, parts: ReloaderParts) {
    this.#settings = settings;
    this.#parts = parts;
  }

  /** True when there is something to watch. */
  get enabled(): boolean {
    return this.#settings.configFile !== "" || this.#settings.ruleFolders.length > 0;
  }

  /**
   * One pass: expands, compares, reloads.
   *
   * Throws: what made an input unreadable. A failed reload is retried inside the pass until the
   * watch interval is over, then at the next pass.
   */
  async apply(signal: AbortSignal): Promise<void> {
    const { configFile, outputFile, ruleFolders } = this.#settings;
    const { metrics } = this.#parts;
    if (configFile !== "" && outputFile !== "") {
      const input = readInput(configFile);
      try {
        replaceFile(outputFile, await expandConfig(input, this.#parts.env));
        metrics.expansionErrors.set(0);
      } catch (error) {
        metrics.expansionErrors.set(1);
        throw error;
      }
    }
    const hash = hashInputs(configFile === "" ? [] : [configFile], ruleFolders);
    if (hash === this.#loaded) return;
    if (await this.#reload(signal)) this.#loaded = hash;
  }

  async #reload(signal: AbortSignal): Promise<boolean> {
    const { clock, metrics, log, trigger } = this.#parts;
    const end = clock.now() + this.#settings.watchInterval;
    for (;;) {
      throwIfAborted(signal);
      metrics.reloads.inc();
      try {
        await trigger(signal);
        metrics.lastReloadSuccessful.set(1);
        metrics.lastReloadSuccessTime.set(clock.now() / 1000);
        log("info", "Reload triggered", { cfg_in: this.#settings.configFile });
        return true;
      } catch (error) {
        throwIfAborted(signal);
        metrics.reloadsFailed.inc();
        metrics.lastReloadSuccessful.set(0);
        log("error", "Failed to trigger reload. Retrying.", { err: errorMessage(error) });
      }
      if (clock.now() + this.#settings.retryInterval > end) return false;
      await clock.sleep(this.#settings.retryInterval, signal);
    }
  }

  /** First pass (whose errors are thrown), then watches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, metrics, clock } = this.#parts;
    if (!this.enabled) {
      log("info", "nothing to be watched");
      return;
    }
    await this.apply(signal);
    const { configFile, ruleFolders, watchInterval } = this.#settings;
    const paths = [...(configFile === "" ? [] : [parentOf(configFile)]), ...ruleFolders];
    let wake: (() => void) | undefined;
    let changed = false;
    let stopWatching: (() => void) | undefined;
    try {
      stopWatching = this.#parts.watch(paths, () => {
        metrics.watchEvents.inc();
        changed = true;
        wake?.();
      });
      metrics.watches.set(paths.length);
    } catch (error) {
      metrics.watchErrors.inc();
      log("warn", "cannot watch for file events; looking again periodically", {
        err: errorMessage(error),
      });
    }
    log("info", "started watching config file and directories for changes", {
      cfg: configFile,
      out: this.#settings.outputFile,
      dirs: ruleFolders.join(","),
    });
    try {
      while (!signal.aborted) {
        if (!changed) {
          const pause = new AbortController();
          wake = () => pause.abort();
          await clock.sleep(watchInterval, AbortSignal.any([signal, pause.signal])).catch(() =>
            undefined
          );
          wake = undefined;
          if (signal.aborted) return;
        }
        changed = false;
        metrics.applies.inc();
        try {
          await this.apply(signal);
        } catch (error) {
          if (signal.aborted) return;
          metrics.appliesFailed.inc();
          log("error", "apply error", { err: errorMessage(error) });
        }
      }
    } finally {
      stopWatching?.();
    }
  }
}

/** Folder of a path: Kubernetes swaps a link beside the file, which only the folder sees. */
function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at < 0 ? "." : at === 0 ? "/" : path.slice(0, at);
}
