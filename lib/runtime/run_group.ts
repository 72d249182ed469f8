/**
 * Actors that live and end together: servers, loops, watchers.
 *
 * All start in order; the first one to end (well or badly) stops all, last started first, so that
 * servers drain before the parts below them close.
 */

/** One long-running part of a process. */
export interface Actor {
  readonly name: string;
  /** Gets hold of what the actor needs, such as a port; a failure here is one of preparation. */
  start?(): Promise<void> | void;
  /** Works until `signal` aborts, then cleans up and resolves. */
  run(signal: AbortSignal): Promise<void>;
}

/** What a run group is told besides its actors. */
export interface RunGroupOptions {
  /** Aborts to stop the group from outside. */
  readonly signal?: AbortSignal;
  /** Called when every actor has started. */
  readonly onStarted?: () => void;
  /** Called once when stopping begins, before any actor is told. */
  readonly onStopping?: () => void;
}

interface Running {
  readonly actor: Actor;
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Runs actors until one ends or the signal aborts, and resolves when all have ended.
 *
 * Throws: the error of the first actor that failed; errors of later ones, which may only be
 * consequences, do not hide it.
 */
export async function runGroup(
  actors: readonly Actor[],
  options: RunGroupOptions = {},
): Promise<void> {
  const running: Running[] = [];
  let failure: { readonly error: unknown } | undefined;
  let firstEnd!: () => void;
  const someEnded = new Promise<void>((resolve) => firstEnd = resolve);
  const launch = (actor: Actor) => {
    const controller = new AbortController();
    const ended = (async () => {
      try {
        await actor.run(controller.signal);
      } catch (error) {
        failure ??= { error };
      }
      firstEnd();
    })();
    running.push({ actor, controller, ended });
  };
  try {
    for (const actor of actors) {
      if (options.signal?.aborted) break;
      await actor.start?.();
      launch(actor);
    }
    if (options.signal?.aborted !== true && failure === undefined) options.onStarted?.();
  } catch (error) {
    failure ??= { error };
    firstEnd();
  }
  if (options.signal?.aborted) firstEnd();
  options.signal?.addEventListener("abort", firstEnd, { once: true });
  await someEnded;
  options.signal?.removeEventListener("abort", firstEnd);
  options.onStopping?.();
  for (const { controller, ended } of running.reverse()) {
    controller.abort();
    await ended;
  }
  if (failure !== undefined) throw failure.error;
}

/** An actor that calls `work` at once and then `period` ms after each end, until it is stopped. */
export function every(
  name: string,
  periodMs: number,
  work: (signal: AbortSignal) => Promise<void>,
  sleep: (ms: number, signal: AbortSignal) => Promise<void>,
): Actor {
  return {
    name,
    async run(signal) {
      while (!signal.aborted) {
        await work(signal);
        try {
          await sleep(periodMs, signal);
        } catch (error) {
          // Woken by the end of the process, not by a failure.
          if (!signal.aborted) throw error;
        }
      }
    },
  };
}

/** An actor that only marks the moment when all actors before it have started. */
export function milestone(name: string, reached: () => void): Actor {
  return {
    name,
    start: reached,
    run: (signal) =>
      new Promise((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve(), { once: true });
      }),
  };
}
