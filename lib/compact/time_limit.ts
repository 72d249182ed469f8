/** Work with a limit of time on an injected clock. */
import { type Clock, MnemeError } from "../base/mod.ts";

/**
 * Runs `work` with a signal that aborts with `signal`, or after `ms` (0 = never).
 *
 * Throws: what the work throws; `timeout` when the limit was the reason.
 */
export async function withTimeout<T>(
  clock: Clock,
  ms: number,
  what: string,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (ms <= 0) return await work(signal);
  const limit = new AbortController();
  const done = new AbortController();
  const expired = new MnemeError("timeout", `${what} took longer than ${ms / 1000} s`);
  clock.sleep(ms, done.signal).then(() => limit.abort(expired), () => {});
  try {
    return await work(
      signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]),
    );
  } finally {
    done.abort();
  }
}
