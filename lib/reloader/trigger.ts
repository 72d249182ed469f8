/** Ways to make Prometheus read its configuration again. */
import { type Clock, errorMessage, MnemeError } from "../base/mod.ts";

/** Makes Prometheus reload; throws when it did not. */
export type ReloadTrigger = (signal: AbortSignal) => Promise<void>;

/** `POST /-/reload`; only 200 is a success. */
export function httpTrigger(
  post: (path: string, signal: AbortSignal) => Promise<{ status: number; statusText: string }>,
): ReloadTrigger {
  return async (signal) => {
    const answer = await post("/-/reload", signal);
    if (answer.status === 200) return;
    throw new MnemeError(
      "execution",
      `received non-200 response: ${answer.status} ${answer.statusText}; ` +
        "have you set `--web.enable-lifecycle` Prometheus flag?",
    );
  };
}

/** What the signal trigger needs to know of Prometheus and the machine. */
export interface SignalTriggerParts {
  readonly runtimeInfo: (
    signal: AbortSignal,
  ) => Promise<{ reloadConfigSuccess: boolean; lastConfigTime: number }>;
  /** Sends SIGHUP to the first process whose executable has this name. */
  readonly hangUp: (processName: string) => void;
  readonly processName: string;
  readonly clock: Clock;
  /** How long to wait for the outcome, ms. */
  readonly timeout: number;
}

/** SIGHUP, then asks Prometheus each second how the reload went. */
export function signalTrigger(parts: SignalTriggerParts): ReloadTrigger {
  return async (signal) => {
    const before = await parts.runtimeInfo(signal);
    // Prometheus tells whole seconds: two reloads within one could not be told apart.
    const age = parts.clock.now() - before.lastConfigTime;
    if (age >= 0 && age < 1000) await parts.clock.sleep(1000 - age, signal);
    parts.hangUp(parts.processName);
    const end = parts.clock.now() + parts.timeout;
    let last = "no answer yet";
    while (parts.clock.now() < end) {
      await parts.clock.sleep(1000, signal);
      try {
        const now = await parts.runtimeInfo(signal);
        if (now.reloadConfigSuccess && now.lastConfigTime > before.lastConfigTime) return;
        if (before.reloadConfigSuccess && !now.reloadConfigSuccess) {
          throw new MnemeError("execution", "Prometheus could not load its configuration");
        }
        last = "the configuration was not read again";
      } catch (error) {
        if (error instanceof MnemeError && error.kind === "execution") throw error;
        last = errorMessage(error);
      }
    }
    throw new MnemeError("timeout", `no reload within ${parts.timeout} ms: ${last}`);
  };
}
