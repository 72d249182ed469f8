/** SIGINT and SIGTERM as an AbortSignal, SIGHUP as an event. */
import type { Logger } from "../telemetry/mod.ts";

/** What the operating system asks of the process. */
export interface ProcessSignals {
  /** Aborts at the first SIGINT or SIGTERM. */
  readonly stop: AbortSignal;
  /** Calls `listener` at each SIGHUP; returns what ends it. */
  onReload(listener: () => void): () => void;
  /** Gives the signals back to the system. */
  dispose(): void;
}

/** The signals' names as the field's log lines have them, and the number that an exit code shows. */
const STOP_SIGNALS = [
  { signal: "SIGINT", word: "interrupt", number: 2 },
  { signal: "SIGTERM", word: "terminated", number: 15 },
] as const;

/**
 * One Ctrl-C can arrive several times: from the terminal, and passed on by npx, `deno task` or a
 * supervisor. Signals this close to the first (milliseconds) are the same request.
 */
const SAME_REQUEST_MS = 500;

/** Starts to listen; a second stop signal, not an echo of the first, ends the process at once. */
export function listenSignals(
  logger: Logger,
  exit: (code: number) => void = (code) => Deno.exit(code),
  now: () => number = () => performance.now(),
): ProcessSignals {
  const controller = new AbortController();
  let stoppedAt = 0;
  const listeners = new Set<() => void>();
  const undo: (() => void)[] = [];
  const listen = (signal: Deno.Signal, handler: () => void) => {
    Deno.addSignalListener(signal, handler);
    undo.push(() => Deno.removeSignalListener(signal, handler));
  };
  for (const { signal, word, number } of STOP_SIGNALS) {
    listen(signal, () => {
      if (controller.signal.aborted) {
        if (now() - stoppedAt < SAME_REQUEST_MS) return;
        logger.warn("caught second signal. Exiting at once.", { signal: word });
        exit(128 + number);
        return;
      }
      logger.info("caught signal. Exiting.", { signal: word });
      stoppedAt = now();
      controller.abort();
    });
  }
  listen("SIGHUP", () => {
    logger.info("caught signal. Reloading.", { signal: "hangup" });
    for (const listener of [...listeners]) listener();
  });
  return {
    stop: controller.signal,
    onReload(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    dispose() {
      for (const step of undo.splice(0)) step();
    },
  };
}
