/** What the Prometheus servers scrape, by pool. */
import { useMemo, useState } from "preact/hooks";
import type { TargetJson } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { roughDuration } from "../model/durations.ts";
import { ago } from "../model/times.ts";
import { Button, SearchField, Switch } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { Badges } from "../parts/labels.tsx";
import { Empty, ErrorMessage, Loading, Warnings } from "../parts/messages.tsx";
import { isSet } from "./rule_parts.tsx";
import { Plain } from "../parts/plain.tsx";

const REFRESH = 15_000;
/** Targets of a pool that are listed at first. */
const SHOWN = 100;

export function TargetsPage() {
  const { answer, error, reload } = useFetched<{ activeTargets: readonly TargetJson[] | null }>(
    "/targets",
    [["state", "active"]],
    REFRESH,
  );
  const [search, setSearch] = useState("");
  const [unhealthy, setUnhealthy] = useState(false);
  const all = answer?.data.activeTargets ?? [];
  const words = search.toLowerCase();
  const pools = useMemo(() => {
    const found = new Map<string, TargetJson[]>();
    for (const target of all) {
      if (unhealthy && target.health === "up") continue;
      if (
        words !== "" &&
        !JSON.stringify([target.labels, target.scrapeUrl, target.scrapePool, target.lastError])
          .toLowerCase().includes(words)
      ) continue;
      const pool = found.get(target.scrapePool);
      if (pool === undefined) found.set(target.scrapePool, [target]);
      else pool.push(target);
    }
    return [...found].sort(([a], [b]) => a < b ? -1 : 1);
  }, [answer, words, unhealthy]);
  if (answer === undefined) {
    return (
      <div class="page">
        {error === undefined ? <Loading /> : <ErrorMessage error={error} retry={reload} />}
      </div>
    );
  }
  const down = all.filter(({ health }) => health !== "up").length;
  return (
    <div class="page">
      <div class="page-head">
        <h1>Targets</h1>
        <span class="dim">{`${all.length - down} of ${all.length} up`}</span>
        <Switch text="Only unhealthy" checked={unhealthy} onChange={setUnhealthy} />
        <span class="space" />
        <SearchField label="Search targets and labels" value={search} onInput={setSearch} />
      </div>
      {error !== undefined && <ErrorMessage error={error} retry={reload} />}
      <Warnings texts={answer.warnings} />
      {all.length === 0 && (
        <Empty title="No targets">
          Targets are told by sidecars: connect one to this querier with --endpoint.
        </Empty>
      )}
      {all.length > 0 && pools.length === 0 && (
        <Empty title="No target matches">Clear the search to see all of them.</Empty>
      )}
      {pools.map(([name, targets]) => (
        <Pool
          key={name}
          name={name}
          targets={targets}
          all={all.filter((t) => t.scrapePool === name)}
        />
      ))}
    </div>
  );
}

function Pool(
  props: {
    readonly name: string;
    readonly targets: readonly TargetJson[];
    readonly all: readonly TargetJson[];
  },
) {
  const { clock } = useApp();
  const { name, targets, all } = props;
  const [count, setCount] = useState(SHOWN);
  const up = all.filter(({ health }) => health === "up").length;
  return (
    <details class="card" open>
      <summary>
        <h2>
          <Plain text={name} />
        </h2>
        <span class={up === all.length ? "dim" : "bad-text"}>{`${up} of ${all.length} up`}</span>
      </summary>
      <div class="scroll">
        <table class="grid targets">
          <thead>
            <tr>
              <th>Endpoint</th>
              <th>State</th>
              <th>Labels</th>
              <th>Last scrape</th>
              <th class="number">Took</th>
            </tr>
          </thead>
          <tbody>
            {targets.slice(0, count).map((target, i) => (
              <tr key={i}>
                <td>
                  <SafeLink href={target.scrapeUrl} />
                </td>
                <td>
                  <span
                    class={`pill ${
                      target.health === "up" ? "ok" : target.health === "down" ? "bad" : ""
                    }`}
                  >
                    {target.health.toUpperCase()}
                  </span>
                </td>
                <td>
                  <Badges labels={target.labels} />
                  {target.lastError !== "" && (
                    <div class="bad-text">
                      <Plain text={target.lastError} />
                    </div>
                  )}
                  <details class="discovered">
                    <summary>
                      {`${Object.keys(target.discoveredLabels).length} discovered labels`}
                    </summary>
                    <Badges labels={target.discoveredLabels} />
                  </details>
                </td>
                <td class="nowrap">
                  {isSet(target.lastScrape)
                    ? (
                      <span title={clock.value.format(Date.parse(target.lastScrape))}>
                        {ago(Date.parse(target.lastScrape), Date.now())}
                      </span>
                    )
                    : <span class="dim">never</span>}
                </td>
                <td class="number">{roughDuration(target.lastScrapeDuration * 1000)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {targets.length > count && (
          <Button
            kind="quiet"
            small
            onClick={() => setCount(count + SHOWN)}
          >
            {`Show more of ${targets.length}`}
          </Button>
        )}
      </div>
    </details>
  );
}

/** A link only where the address is one of the web: labels may hold anything. */
function SafeLink({ href }: { href: string }) {
  return /^https?:\/\//i.test(href)
    ? (
      <a href={href} rel="noopener noreferrer" class="mono">
        <Plain text={href} />
      </a>
    )
    : <Plain class="mono" text={href} />;
}
