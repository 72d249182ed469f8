/** Data of a page: loaded when shown, again on demand or from time to time. */
import { useCallback, useEffect, useState } from "preact/hooks";
import { type Answer, type Form, isCanceled } from "../api/client.ts";
import { useApp } from "../app/context.ts";

/** The state of one request. */
export interface Fetched<T> {
  readonly answer: Answer<T> | undefined;
  readonly error: unknown;
  readonly loading: boolean;
  readonly reload: () => void;
}

/** GETs a path; keeps the last answer while the next one is on its way. */
export function useFetched<T>(path: string, form: Form = [], everyMs = 0): Fetched<T> {
  const { api } = useApp();
  const [answer, setAnswer] = useState<Answer<T>>();
  const [error, setError] = useState<unknown>();
  const [loading, setLoading] = useState(true);
  const [round, setRound] = useState(0);
  const key = JSON.stringify(form);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    setLoading(true);
    api.get<T>(path, form, { signal: abort.signal }).then((found) => {
      setAnswer(found);
      setError(undefined);
    }, (failure: unknown) => {
      if (!isCanceled(failure)) setError(failure);
    }).finally(() => {
      if (abort.signal.aborted) return;
      setLoading(false);
      if (everyMs > 0) timer = setTimeout(() => setRound((n) => n + 1), everyMs);
    });
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [api, path, key, round, everyMs]);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  return { answer, error, loading, reload };
}
