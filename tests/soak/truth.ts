/** Questions whose answers are known, and what came back: right, partial and said so, failed, wrong. */
import type { Random } from "../../lib/base/testing/random.ts";

/** A question to the querier. */
interface Question {
  readonly name: string;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  /** What of the answer must stay the same. */
  readonly essence: (data: unknown) => unknown;
}

/** How often each outcome was seen. */
export interface Tally {
  right: number;
  /** Incomplete, with a warning that says so. */
  partial: number;
  /** An error in place of an answer. */
  failed: number;
  /** Nobody answered: the connection was refused or broke. */
  unanswered: number;
  /** Descriptions of answers that are wrong, or incomplete without a word. */
  readonly wrong: string[];
}

/** A new tally. */
export function newTally(): Tally {
  return { right: 0, partial: 0, failed: 0, unanswered: 0, wrong: [] };
}

const END = Date.parse("2025-12-31T20:00:00Z") / 1000;
const DAY = 86_400;
interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}
const result = (data: unknown) => (data as { result: readonly Sample[] }).result;
/** Everything, for data that do not change. */
const everything = (data: unknown) => result(data);
/** Labels and values, for questions about now. */
const valuesOnly = (data: unknown) => result(data).map(({ metric, value }) => [metric, value?.[1]]);

const QUESTIONS: readonly Question[] = [
  {
    name: "series of the past",
    path: "query",
    params: {
      query: 'count by (__name__) ({__name__=~"continuous.*", cluster="past"})',
      time: String(END),
    },
    essence: everything,
  },
  {
    name: "a week of the past",
    path: "query_range",
    params: {
      query: "sum(continuous_app_metric0)",
      start: String(END - 7 * DAY),
      end: String(END),
      step: "1h",
    },
    essence: everything,
  },
  {
    name: "a day's maximum of the past",
    path: "query",
    params: { query: "max_over_time(continuous_app_metric1[1d])", time: String(END - 3 * DAY) },
    essence: everything,
  },
  {
    name: "names of the past",
    path: "label/__name__/values",
    params: {
      "match[]": '{__name__=~"continuous.*"}',
      start: String(END - 30 * DAY),
      end: String(END),
    },
    essence: (data) => data,
  },
  {
    name: "targets of now",
    path: "query",
    params: { query: 'count by (cluster) (up{cluster="live"})' },
    essence: valuesOnly,
  },
  {
    name: "targets of now, both replicas' names gone",
    path: "query",
    params: { query: 'count by (instance, replica) (up{cluster="live"})' },
    essence: valuesOnly,
  },
];

/** Asks the same questions again and again. */
export class Inquiry {
  readonly #url: string;
  readonly #known = new Map<string, string>();

  constructor(url: string) {
    this.#url = url;
  }

  /** Asks every question until it is answered in full, and keeps the answers as the truth. */
  async learn(timeoutMs: number): Promise<void> {
    for (const question of QUESTIONS) {
      const end = Date.now() + timeoutMs;
      for (;;) {
        const body = await this.#ask(question, false).then((a) => a.body, () => undefined);
        const data = body?.status === "success" && (body.warnings ?? []).length === 0
          ? question.essence(body.data)
          : undefined;
        if (Array.isArray(data) && data.length > 0 && isComplete(question, data)) {
          this.#known.set(question.name, JSON.stringify(data));
          break;
        }
        if (Date.now() > end) {
          throw new Error(`'${question.name}' has no answer: ${JSON.stringify(body)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
  }

  /** Asks one question, complete or nothing in half of the cases, and judges the answer. */
  async once(random: Random, tally: Tally): Promise<void> {
    const question = QUESTIONS[random.below(QUESTIONS.length)]!;
    const isPartialAllowed = random.float() < 0.5;
    await this.#judge(question, isPartialAllowed, tally);
  }

  /** Asks all of them once: true when every answer is right. */
  async all(tally: Tally): Promise<boolean> {
    const before = tally.right;
    for (const question of QUESTIONS) await this.#judge(question, false, tally);
    return tally.right - before === QUESTIONS.length;
  }

  async #judge(question: Question, isPartialAllowed: boolean, tally: Tally): Promise<void> {
    let answer: Answer;
    try {
      answer = await this.#ask(question, isPartialAllowed);
    } catch {
      tally.unanswered++;
      return;
    }
    const { status, body } = answer;
    if (body?.status !== "success") {
      if (status >= 500 || status === 422) tally.failed++;
      else tally.wrong.push(`${question.name}: status ${status}: ${JSON.stringify(body)}`);
      return;
    }
    const warnings = body.warnings ?? [];
    if (JSON.stringify(question.essence(body.data)) === this.#known.get(question.name)) {
      tally.right++;
    } else if (warnings.length > 0 && isPartialAllowed) tally.partial++;
    else {
      const got = JSON.stringify(question.essence(body.data)).slice(0, 500);
      const wanted = this.#known.get(question.name)!.slice(0, 500);
      tally.wrong.push(
        `${question.name} (partial_response=${isPartialAllowed}, warnings ${
          JSON.stringify(warnings)
        }): ${got} instead of ${wanted}`,
      );
    }
  }

  async #ask(question: Question, isPartialAllowed: boolean): Promise<Answer> {
    const params = new URLSearchParams({
      ...question.params,
      partial_response: String(isPartialAllowed),
    });
    const answer = await fetch(`${this.#url}/api/v1/${question.path}?${params}`, {
      signal: AbortSignal.timeout(20_000),
    });
    const text = await answer.text();
    try {
      return { status: answer.status, body: JSON.parse(text) };
    } catch {
      return { status: answer.status, body: undefined };
    }
  }
}

interface Answer {
  readonly status: number;
  readonly body: { status: string; data?: unknown; warnings?: string[] } | undefined;
}

/** Both targets must have been scraped before the answer counts as the truth. */
function isComplete(question: Question, data: readonly unknown[]): boolean {
  if (question.name === "targets of now") return JSON.stringify(data).includes('"2"');
  if (question.name.startsWith("targets of now,")) return data.length === 2;
  return true;
}
