/** What alerts and rules have in common. */
import type { RuleJson } from "../api/types.ts";
import { formatDuration } from "../model/durations.ts";
import { ExpressionLink } from "../parts/page_link.tsx";
import { Badges } from "../parts/labels.tsx";
import { Empty } from "../parts/messages.tsx";
import { Plain } from "../parts/plain.tsx";

/** A time the server never set is the year one. */
export function isSet(time: string): boolean {
  return Date.parse(time) > 0;
}

/** The definition of a rule: expression, wait, labels, annotations. */
export function RuleText({ rule }: { rule: RuleJson }) {
  return (
    <dl class="facts rule-text">
      <div>
        <dt>expr</dt>
        <dd>
          <ExpressionLink expr={rule.query}>
            <Plain text={rule.query} />
          </ExpressionLink>
        </dd>
      </div>
      {(rule.duration ?? 0) > 0 && (
        <div>
          <dt>for</dt>
          <dd>{formatDuration(rule.duration! * 1000)}</dd>
        </div>
      )}
      {(rule.keepFiringFor ?? 0) > 0 && (
        <div>
          <dt>keep firing for</dt>
          <dd>{formatDuration(rule.keepFiringFor! * 1000)}</dd>
        </div>
      )}
      {Object.keys(rule.labels ?? {}).length > 0 && (
        <div>
          <dt>labels</dt>
          <dd>
            <Badges labels={rule.labels!} />
          </dd>
        </div>
      )}
      {Object.entries(rule.annotations ?? {}).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <Plain text={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** What went wrong at the last evaluation, if anything did. */
export function LastError(props: { readonly rule: RuleJson; readonly class?: string }) {
  const { lastError = "" } = props.rule;
  return lastError === "" ? null : (
    <div class={`bad-text ${props.class ?? ""}`}>
      <Plain text={lastError} />
    </div>
  );
}

/** Why a page has no rules. */
export function NoRules({ title }: { title: string }) {
  return (
    <Empty title={title}>
      No sidecar or ruler told one. Rules are written in the configuration of Prometheus
      (rule_files), or of a ruler.
    </Empty>
  );
}
