/** Alerting rules by state, with their active alerts. */
import { useMemo, useState } from "preact/hooks";
import type { RuleGroupJson, RuleJson } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { parseSample } from "../model/numbers.ts";
import { ago } from "../model/times.ts";
import { Button, SearchField, Switch } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { Badges } from "../parts/labels.tsx";
import { Empty, ErrorMessage, Loading, Warnings } from "../parts/messages.tsx";
import { isSet, LastError, NoRules, RuleText } from "./rule_parts.tsx";
import { Plain } from "../parts/plain.tsx";

const STATES = ["firing", "pending", "inactive"] as const;
const REFRESH = 15_000;
/** Alerts of one rule that are listed at first. */
const SHOWN = 50;

export function AlertsPage() {
  const { answer, error, reload } = useFetched<{ groups: readonly RuleGroupJson[] | null }>(
    "/rules",
    [["type", "alert"]],
    REFRESH,
  );
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [search, setSearch] = useState("");
  const [annotations, setAnnotations] = useState(false);
  const groups = answer?.data.groups ?? [];
  const rules = groups.flatMap((group) => (group.rules ?? []).map((rule) => ({ group, rule })));
  const words = search.toLowerCase();
  const shown = useMemo(
    () =>
      rules.filter(({ rule }) =>
        !hidden.has(rule.state ?? "") &&
        JSON.stringify([rule.name, rule.query, rule.labels, rule.alerts]).toLowerCase().includes(
          words,
        )
      ),
    [answer, hidden, words],
  );
  if (answer === undefined) {
    return (
      <div class="page">
        {error === undefined ? <Loading /> : <ErrorMessage error={error} retry={reload} />}
      </div>
    );
  }
  return (
    <div class="page">
      <div class="page-head">
        <h1>Alerts</h1>
        {STATES.map((state) => {
          const count = rules.filter(({ rule }) => rule.state === state).length;
          return (
            <button
              type="button"
              key={state}
              class={`pill chip ${state}`}
              aria-pressed={!hidden.has(state)}
              title={`Show or hide ${state} alerts`}
              onClick={() => {
                const next = new Set(hidden);
                if (!next.delete(state)) next.add(state);
                setHidden(next);
              }}
            >
              {`${state} ${count}`}
            </button>
          );
        })}
        <span class="space" />
        <Switch text="Annotations" checked={annotations} onChange={setAnnotations} />
        <SearchField label="Search alerts and labels" value={search} onInput={setSearch} />
      </div>
      {error !== undefined && <ErrorMessage error={error} retry={reload} />}
      <Warnings texts={answer.warnings} />
      {rules.length === 0 && <NoRules title="No alerting rules" />}
      {rules.length > 0 && shown.length === 0 && (
        <Empty title="No rule matches">Clear the search, or show more states.</Empty>
      )}
      {shown.map(({ group, rule }, i) => (
        <AlertRule
          key={`${group.file} ${group.name} ${rule.name} ${i}`}
          group={group}
          rule={rule}
          annotations={annotations}
        />
      ))}
    </div>
  );
}

function AlertRule(
  props: { readonly group: RuleGroupJson; readonly rule: RuleJson; readonly annotations: boolean },
) {
  const { clock } = useApp();
  const { group, rule } = props;
  const alerts = rule.alerts ?? [];
  const [all, setAll] = useState(false);
  return (
    <details class="card" open={rule.state === "firing"}>
      <summary>
        <span class={`pill ${rule.state}`}>{rule.state}</span>
        <h2>
          <Plain text={rule.name} />
        </h2>
        {alerts.length > 0 && <span class="dim">{`${alerts.length} active`}</span>}
        <span class="space" />
        <span class="dim">
          <Plain text={`${group.name} in ${group.file}`} />
        </span>
      </summary>
      <RuleText rule={rule} />
      <LastError rule={rule} class="pad" />
      {alerts.length > 0 && (
        <div class="scroll">
          <table class="grid">
            <thead>
              <tr>
                <th>Labels</th>
                <th>State</th>
                <th>Active since</th>
                <th class="number">Value</th>
              </tr>
            </thead>
            <tbody>
              {alerts.slice(0, all ? undefined : SHOWN).map((alert, i) => (
                <tr key={i}>
                  <td>
                    <Badges labels={alert.labels} />
                    {props.annotations &&
                      Object.entries(alert.annotations).map(([name, value]) => (
                        <div key={name} class="dim">
                          <Plain text={`${name}: ${value}`} />
                        </div>
                      ))}
                  </td>
                  <td>
                    <span class={`pill ${alert.state}`}>{alert.state}</span>
                  </td>
                  <td class="nowrap">
                    {alert.activeAt !== undefined && isSet(alert.activeAt) && (
                      <span title={clock.value.format(Date.parse(alert.activeAt))}>
                        {ago(Date.parse(alert.activeAt), Date.now())}
                      </span>
                    )}
                  </td>
                  <td class="number">{String(parseSample(String(alert.value)))}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {!all && alerts.length > SHOWN && (
            <Button kind="quiet" small onClick={() => setAll(true)}>
              {`Show all ${alerts.length}`}
            </Button>
          )}
        </div>
      )}
    </details>
  );
}
