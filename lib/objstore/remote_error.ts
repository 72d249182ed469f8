/** What went wrong between a bucket and its server, and whether trying again may help. */
import {
  type Clock,
  type ErrorAttrs,
  type ErrorKind,
  MnemeError,
  throwIfAborted,
} from "../base/mod.ts";

/** A failed request; its message holds the reason only, the bucket says what it was for. */
export class RemoteError extends MnemeError {
  /** The same request may succeed when sent again. */
  readonly retryable: boolean;
  /** Pause the server asked for, ms. */
  readonly retryAfter: number | undefined;

  constructor(
    kind: ErrorKind,
    reason: string,
    options: {
      readonly retryable?: boolean;
      readonly retryAfter?: number | undefined;
      readonly cause?: unknown;
      /** What the server told: status, code. */
      readonly attrs?: ErrorAttrs;
    } = {},
  ) {
    super(kind, reason, options);
    this.name = "RemoteError";
    this.retryable = options.retryable ?? kind === "unavailable";
    this.retryAfter = options.retryAfter;
  }
}

/** HTTP statuses after which the same request may succeed. */
const RETRYABLE_STATUS: ReadonlySet<number> = new Set([
  408,
  425,
  429,
  499,
  500,
  502,
  503,
  504,
  520,
]);

/** True for statuses that tell of trouble on the server's side or on the way. */
export function isRetryableStatus(status: number): boolean {
  return RETRYABLE_STATUS.has(status);
}

/** What an HTTP status says when the provider told nothing better. */
export function statusKind(status: number): ErrorKind {
  if (status === 404) return "not_found";
  if (status === 401 || status === 403) return "permission";
  if (status === 409 || status === 412) return "conflict";
  return status >= 300 && status < 500 && !isRetryableStatus(status) ? "bad_data" : "unavailable";
}

/** Reads a Retry-After header, ms; dates and nonsense are ignored. */
export function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

/** How often and how long to try. */
export interface RetryPolicy {
  /** Requests at most, the first one included. */
  readonly attempts: number;
  /** First pause at most, ms; doubles. */
  readonly base: number;
  /** Longest pause, also when the server asks for more, ms. */
  readonly max: number;
}

/** Five tries with pauses of up to 50 ms, 100 ms, 200 ms …, as a fleet behind one bucket needs. */
export const DEFAULT_RETRIES: RetryPolicy = { attempts: 5, base: 100, max: 5_000 };

/**
 * Calls `work` until it succeeds or fails for good; pauses are fully random below their ceiling, so
 * that clients that failed together do not come back together.
 */
export async function withRetries<T>(
  work: () => Promise<T>,
  policy: RetryPolicy,
  env: {
    readonly clock: Clock;
    readonly random: () => number;
    readonly signal?: AbortSignal | undefined;
    readonly retried?: (error: RemoteError) => void;
  },
): Promise<T> {
  for (let attempt = 1;; attempt++) {
    throwIfAborted(env.signal);
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RemoteError) || !error.retryable || attempt >= policy.attempts) {
        throw error;
      }
      throwIfAborted(env.signal);
      env.retried?.(error);
      const ceiling = Math.min(policy.max, policy.base * 2 ** (attempt - 1));
      const pause = error.retryAfter === undefined
        ? ceiling * env.random()
        : Math.min(policy.max, error.retryAfter) + ceiling * env.random();
      await env.clock.sleep(pause, env.signal);
    }
  }
}
