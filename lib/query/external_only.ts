/**
 * Selectors of external labels alone, such as `{cluster="eu1"}`: a store gateway takes its external
 * labels away from a selector, and to one without matchers it answers nothing. The answer says so,
 * as nobody would look for the reason there.
 *
 * Source: Thanos' store gateway, whose Series call has no postings for such a selector.
 */
import { formatMatcher, type Matcher } from "../model/mod.ts";
import type { StoreReport } from "../storeapi/mod.ts";

/** Looks out for stores that a select could not reach by its matchers. */
export class ExternalOnly {
  #seen = false;

  /** To be told of every store of the select. */
  readonly report = ({ externalOnly }: StoreReport): void => {
    if (externalOnly === true) this.#seen = true;
  };

  /** What to tell the user of a select with these matchers. */
  infos(matchers: readonly Matcher[]): string[] {
    if (!this.#seen) return [];
    return [
      `{${matchers.map(formatMatcher).join(", ")}} selects by external labels alone, and store ` +
      `gateways have no answer to that: add a matcher on the series themselves, such as __name__=~".+"`,
    ];
  }
}
