/**
 * Reloader: keeps Prometheus' configuration and rules current. Watches files, writes the expanded
 * configuration, and asks Prometheus to reload when something changed.
 */
import { type Clock, errorMessage, throwIfAborted } from "../base/mod.ts";
import { expandConfig, hashInputs, lookAtInputs, readInput, replaceFile } from "./inputs.ts";
import type { ReloadTrigger } from "./trigger.ts";

/** Pause after an event, so that a file that is being written is complete, ms. */
const SETTLE = 50;
/** How often the inputs are looked at without reading them, as events may get lost, ms. */
const LOOK = 2_000;

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
  readonly watch: (
    paths: readonly string[],
    onChange: () => void,
    onFailure: (cause: unknown) => void,
  ) => () => void;
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
  /** Something changed since the last pass began. */
  #changed = false;
  /** How the inputs looked when the last pass began. */
  #seen = "";
  /** Ends the pause that is under way. */
  #wake: (() => void) | undefined;

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
   * watch interval is over or an input changes, then at the next pass.
   */
  async apply(signal: AbortSignal): Promise<void> {
    const { configFile, ruleFolders } = this.#settings;
    this.#seen = this.#look();
    await this.#expand();
    const hash = hashInputs(configFile === "" ? [] : [configFile], ruleFolders);
    if (hash === this.#loaded) return;
    if (await this.#reload(signal)) this.#loaded = hash;
  }

  #look(): string {
    const { configFile, ruleFolders } = this.#settings;
    return lookAtInputs(configFile === "" ? [] : [configFile], ruleFolders);
  }

  async #expand(): Promise<void> {
    const { configFile, outputFile } = this.#settings;
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
      if (this.#changed || clock.now() + this.#settings.retryInterval > end) return false;
      await this.#pause(this.#settings.retryInterval, signal);
      if (this.#changed) return false;
    }
  }

  /** Sleeps until the time is over, an input changes or the signal aborts. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const end = clock.now() + ms;
    while (!this.#changed && !signal.aborted && clock.now() < end) {
      const pause = new AbortController();
      this.#wake = () => pause.abort();
      const either = AbortSignal.any([signal, pause.signal]);
      await clock.sleep(Math.min(LOOK, end - clock.now()), either).catch(() => undefined);
      this.#wake = undefined;
      if (this.#look() !== this.#seen) this.#changed = true;
    }
  }

  /**
   * First pass (whose errors are thrown), then watches until the signal aborts.
   *
   * A watch interval of 0 writes the expanded configuration once and returns: nothing is watched
   * and nothing reloaded.
   * Differs: Thanos' sidecar ends then; ours goes on with its other work.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { log, metrics, clock } = this.#parts;
    const { configFile, ruleFolders, watchInterval, outputFile } = this.#settings;
    if (!this.enabled) {
      log("info", "nothing to be watched");
      return;
    }
    if (watchInterval === 0) {
      await this.#expand();
      log("info", "the watch interval is 0: nothing will be watched", { cfg: configFile });
      return;
    }
    const paths = [...(configFile === "" ? [] : [parentOf(configFile)]), ...ruleFolders];
    const failed = (error: unknown) => {
      metrics.watchErrors.inc();
      metrics.watches.set(0);
      log("warn", "cannot watch for file events; looking again periodically", {
        err: errorMessage(error),
      });
    };
    let stopWatching: (() => void) | undefined;
    try {
      stopWatching = this.#parts.watch(paths, () => {
        metrics.watchEvents.inc();
        this.#changed = true;
        this.#wake?.();
      }, failed);
      metrics.watches.set(paths.length);
    } catch (error) {
      failed(error);
    }
    try {
      this.#changed = false;
      await this.apply(signal);
      log("info", "started watching config file and directories for changes", {
        cfg: configFile,
        out: outputFile,
        dirs: ruleFolders.join(","),
      });
      while (!signal.aborted) {
        await this.#pause(watchInterval, signal);
        if (this.#changed) await clock.sleep(SETTLE, signal).catch(() => undefined);
        if (signal.aborted) return;
        this.#changed = false;
        metrics.applies.inc();
        try {
          await this.apply(signal);
        } catch (error) {
          if (signal.aborted) return;
          metrics.appliesFailed.inc();
          log("error", "apply error", { err: errorMessage(error) });
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
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
