/** Errors and warnings of the API in words, with the next step a person can take. */
import { ApiError, messageOf } from "../api/client.ts";

/** A failure as a page shows it. */
export interface Explained {
  readonly title: string;
  readonly text: string;
  readonly next: string | undefined;
}

const ERRORS: readonly (readonly [RegExp, string])[] = [
  [/exceeded maximum resolution of 11,000 points/, "Choose a longer step or a shorter range."],
  [
    /found duplicate series|many-to-many matching|multiple matches for labels/,
    "Aggregate one side, or name the joining labels with on(…) and group_left or group_right.",
  ],
  [
    /query processing would load too many samples/,
    "Narrow the selector, shorten the range, or let the answer come from downsampled data (resolution Max 5m or Max 1h).",
  ],
  [/parse error/, "The text before the colon tells line and column of the mistake."],
  [
    /limit \d+ violated|limit .*exceeded/,
    "Narrow the selector with more labels, or ask the operator to raise the limit.",
  ],
  [/no stores? (?:APIs? )?available/i, "Start the querier with --endpoint for each store."],
  [/tenant name not valid/, "Check the tenant's name: it must not hold a slash."],
];

/** Words for a thrown value. */
export function explainError(error: unknown): Explained {
  const text = messageOf(error);
  if (!(error instanceof ApiError)) {
    return {
      title: "This page failed",
      text,
      next: "Load it again; if it stays, it is worth a report.",
    };
  }
  const next = ERRORS.find(([pattern]) => pattern.test(text))?.[1];
  switch (error.type) {
    case "unreachable":
      return {
        title: "No answer from the server",
        text,
        next: "Is it still running, and is this browser online?",
      };
    case "canceled":
      return { title: "Cancelled", text, next: undefined };
    case "bad_data":
      return { title: "The request was refused", text, next };
    case "timeout":
      return {
        title: "It took too long",
        text,
        next: "Shorten the range, choose a longer step or coarser data, or raise --query.timeout.",
      };
    case "not_found":
    case "no_json":
      return error.status === 404
        ? {
          title: "Not part of this component",
          text: "The server has no such API.",
          next:
            "Ask a component that has it: the querier answers queries, the store gateway and the compactor know the blocks.",
        }
        : {
          title: `HTTP status ${error.status}`,
          text,
          next: "A proxy in front of the server may have answered.",
        };
    case "execution":
      return { title: "The query failed", text, next: next ?? storeAdvice(text) };
    default:
      return { title: "The server failed", text, next };
  }
}

/** A store that is part of the answer failed: it can be left out on purpose. */
function storeAdvice(text: string): string | undefined {
  return /fetch series|receive series|failed to receive any data|store|proxy/i.test(text)
    ? "Switch partial response on to see what the other stores have, or leave the store out with store filtering."
    : undefined;
}

/** A warning in words. */
export interface ExplainedWarning {
  readonly kind: "warning" | "info";
  readonly text: string;
  readonly next: string | undefined;
}

const WARNINGS: readonly (readonly [RegExp, string])[] = [
  [/metric might not be a counter/, "Use delta() or deriv() for gauges."],
  [/quantile value should be between 0 and 1/, "Divide percentages by 100."],
  [/results truncated due to limit/, "Narrow the selector to see the rest."],
  [
    /fetch series for|receive series from|failed to receive|fetch label/,
    "The other stores answered; the Stores page tells what is wrong with this one.",
  ],
  [/bucket label "?le"? is missing|not monotonic/, "Keep the label le when you aggregate buckets."],
];

/** Words for a warning of an answer. */
export function explainWarning(warning: string): ExplainedWarning {
  const kind = /^PromQL info: /.test(warning) ? "info" : "warning";
  const text = warning.replace(/^PromQL (?:info|warning): /, "");
  return { kind, text, next: WARNINGS.find(([pattern]) => pattern.test(text))?.[1] };
}

/** The address of a store named in a warning or error, if any. */
export function storeIn(text: string): string | undefined {
  return /Addr: (\S+) /.exec(text)?.[1] ?? /from store (\S+?)[:\s]/.exec(text)?.[1];
}
