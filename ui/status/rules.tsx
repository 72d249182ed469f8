/** Rule groups: what is evaluated, when, how long it takes, and what went wrong. */
import { useMemo, useState } from "preact/hooks";
import type { RuleGroupJson } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { formatDuration, roughDuration } from "../model/durations.ts";
import { counted } from "../model/numbers.ts";
import { ago } from "../model/times.ts";
import { Button, SearchField } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { Empty, ErrorMessage, Loading, Warnings } from "../parts/messages.tsx";
import { isSet, LastError, NoRules, RuleText } from "./rule_parts.tsx";
import { Plain } from "../parts/plain.tsx";

const REFRESH = 15_000;
/** Groups that are on the page at once. */
const PAGE = 50;

export function RulesPage() {
  const { clock } = useApp();
  const { answer, error, reload } = useFetched<{ groups: readonly RuleGroupJson[] | null }>(
    "/rules",
    [],
    REFRESH,
  );
  const [search, setSearch] = useState("");
  const [count, setCount] = useState(PAGE);
  const words = search.toLowerCase();
  const all = answer?.data.groups ?? [];
  const groups = useMemo(
    () =>
      all.map((group) => ({
        ...group,
        rules: (group.rules ?? []).filter((rule) =>
          words === "" ||
          JSON.stringify([group.name, rule.name, rule.query, rule.labels]).toLowerCase().includes(
            words,
          )
        ),
      })).filter(({ rules }) => words === "" || rules.length > 0),
    [answer, words],
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
        <h1>Rules</h1>
        <span class="dim">
          {`${counted(all.flatMap(({ rules }) => rules ?? []).length, "rule")} in ${
            counted(all.length, "group")
          }`}
        </span>
        <span class="space" />
        <SearchField label="Search rules" value={search} onInput={setSearch} />
      </div>
      {error !== undefined && <ErrorMessage error={error} retry={reload} />}
      <Warnings texts={answer.warnings} />
      {all.length === 0 && <NoRules title="No rules" />}
      {all.length > 0 && groups.length === 0 && (
        <Empty title="No rule matches">Clear the search to see all of them.</Empty>
      )}
      {groups.slice(0, count).map((group) => (
        <details key={`${group.file} ${group.name}`} class="card" open>
          <summary>
            <h2>
              <Plain text={group.name} />
            </h2>
            <span class="dim">
              <Plain text={group.file} />
            </span>
            <span class="space" />
            <span class="dim">
              {`every ${formatDuration(group.interval * 1000)}, took ${
                roughDuration(group.evaluationTime * 1000)
              }`}
              {isSet(group.lastEvaluation) &&
                `, ${ago(Date.parse(group.lastEvaluation), Date.now())}`}
              {group.partialResponseStrategy !== undefined &&
                `, ${group.partialResponseStrategy.toLowerCase()} on failing stores`}
            </span>
          </summary>
          <div class="scroll">
            <table class="grid">
              <thead>
                <tr>
                  <th>Rule</th>
                  <th>Health</th>
                  <th>Last evaluation</th>
                  <th class="number">Took</th>
                </tr>
              </thead>
              <tbody>
                {group.rules.map((rule, i) => (
                  <tr key={i}>
                    <td>
                      <strong>
                        <Plain text={rule.name} />
                      </strong>{" "}
                      <span class="dim">{rule.type === "alerting" ? "alert" : "record"}</span>
                      <RuleText rule={rule} />
                      <LastError rule={rule} />
                    </td>
                    <td>
                      <span
                        class={`pill ${
                          rule.health === "ok" ? "ok" : rule.health === "err" ? "bad" : ""
                        }`}
                      >
                        {rule.health}
                      </span>
                    </td>
                    <td class="nowrap">
                      {isSet(rule.lastEvaluation)
                        ? (
                          <span title={clock.value.format(Date.parse(rule.lastEvaluation))}>
                            {ago(Date.parse(rule.lastEvaluation), Date.now())}
                          </span>
                        )
                        : <span class="dim">never</span>}
                    </td>
                    <td class="number">{roughDuration(rule.evaluationTime * 1000)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      ))}
      {groups.length > count && (
        <Button onClick={() => setCount(count + PAGE)}>
          {`Show more of ${groups.length} groups`}
        </Button>
      )}
    </div>
  );
}
