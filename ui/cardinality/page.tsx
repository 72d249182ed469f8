/** Where the series are: in the heads of the Prometheus servers, or anywhere on a chosen day. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { StatCount, TsdbStatsJson } from "../api/types.ts";
import { type Answer, type Api, isCanceled } from "../api/client.ts";
import { useApp } from "../app/context.ts";
import {
  type Cardinality,
  compareCounts,
  type Count,
  countSeries,
  countsOfBlocks,
} from "../model/cardinality.ts";
import { formatName, type LabelRecord, quote } from "../model/labels.ts";
import { bytes, counted, grouped } from "../model/numbers.ts";
import { isOpen } from "../model/times.ts";
import { Button, Segmented, TextField } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { Empty, ErrorMessage, Loading, Message, Warnings } from "../parts/messages.tsx";
import { graphLink, PageLink } from "../parts/page_link.tsx";
import { Plain } from "../parts/plain.tsx";

/** Rows of one table, and series of one day that are counted. */
const ROWS = 20;
const MAX_SERIES = 100_000;
/** Rows of statistics that are asked for: two days are compared among them. */
const MAX_ROWS = 1000;
const DAY = 86_400_000;
const EXAMPLE = `{cluster="eu1"}`;

export function CardinalityPage() {
  const [where, setWhere] = useState<"heads" | "blocks" | "day">("heads");
  return (
    <div class="page">
      <div class="page-head">
        <h1>Cardinality</h1>
        <span class="space" />
        <Segmented
          label="Where to count"
          value={where}
          onChange={setWhere}
          options={[
            {
              value: "heads",
              text: "Heads now",
              title: "What the Prometheus servers hold in memory",
            },
            {
              value: "blocks",
              text: "Blocks of a day",
              title: "What the buckets' blocks of a day hold, from their indexes",
            },
            {
              value: "day",
              text: "On a day",
              title: "All series of a day, from heads and blocks alike",
            },
          ]}
        />
      </div>
      {where === "heads" ? <Heads /> : <OnADay key={where} blocks={where === "blocks"} />}
    </div>
  );
}

function Heads() {
  const { clock } = useApp();
  const [match, setMatch] = useState("");
  const form = [
    ["limit", String(ROWS)] as const,
    ...(match === "" ? [] : [["match[]", match] as const]),
  ];
  const { answer, error, reload } = useFetched<readonly TsdbStatsJson[] | TsdbStatsJson | null>(
    "/status/tsdb",
    form,
  );
  // Prometheus itself answers with one object, a querier with one per tenant.
  const all = answer?.data === undefined || answer.data === null
    ? []
    : Array.isArray(answer.data)
    ? answer.data as TsdbStatsJson[]
    : [answer.data as TsdbStatsJson];
  return (
    <>
      <div class="toolbar">
        <TextField
          label="External labels"
          named
          width={36}
          placeholder={EXAMPLE}
          value={match}
          onChange={setMatch}
        />
        <Button kind="quiet" icon="refresh" label="Count again" onClick={reload} />
      </div>
      {error !== undefined && <ErrorMessage error={error} retry={reload} />}
      {answer === undefined && error === undefined && <Loading />}
      {answer !== undefined && <Warnings texts={answer.warnings} />}
      {answer !== undefined && all.length === 0 && (
        <Empty title="No head told its numbers">
          Store gateways have no head: count what blocks hold under “On a day”.
        </Empty>
      )}
      {all.map((stats, i) => {
        const { numSeries = 0, numLabelPairs = 0, chunkCount = 0, minTime, maxTime } =
          stats.headStats;
        return (
          <section key={stats.tenant ?? i}>
            {all.length > 1 && <h2>{stats.tenant}</h2>}
            <dl class="figures">
              <Figure name="Series" value={grouped(numSeries)} />
              <Figure name="Label pairs" value={grouped(numLabelPairs)} />
              <Figure name="Chunks" value={grouped(chunkCount)} />
              {minTime !== undefined && !isOpen(minTime) && (
                <Figure name="Since" value={clock.value.format(minTime - minTime % 1000)} />
              )}
              {maxTime !== undefined && !isOpen(maxTime) && (
                <Figure name="Until" value={clock.value.format(maxTime - maxTime % 1000)} />
              )}
            </dl>
            <div class="tables">
              <CountTable
                title="Series by metric"
                counts={stats.seriesCountByMetricName ?? []}
                total={numSeries}
                link={metricLink}
              />
              <CountTable
                title="Series by label pair"
                counts={stats.seriesCountByLabelValuePair ?? []}
                total={numSeries}
                link={pairLink}
              />
              <CountTable
                title="Values by label"
                counts={stats.labelValueCountByLabelName ?? []}
                link={labelLink}
              />
              <CountTable
                title="Memory by label"
                counts={stats.memoryInBytesByLabelName ?? []}
                print={bytes}
                link={labelLink}
              />
            </div>
          </section>
        );
      })}
    </>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

interface DayCount {
  readonly day: string;
  readonly counts: Cardinality;
  readonly warnings: readonly string[];
  readonly truncated: boolean;
}

/** Statistics of the blocks whose times meet a day; the stores count them from their indexes. */
async function countBlocks(
  api: Api,
  start: number,
  signal: AbortSignal,
): Promise<Answer<readonly TsdbStatsJson[] | null>> {
  return await api.get("/status/tsdb", [
    ["start", String(start / 1000)],
    ["end", String((start + DAY) / 1000 - 0.001)],
    ["limit", String(MAX_ROWS)],
  ], { signal });
}

function OnADay({ blocks }: { blocks: boolean }) {
  const app = useApp();
  const utc = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const [day, setDay] = useState(utc(Date.now()));
  const [other, setOther] = useState("");
  const [match, setMatch] = useState('{__name__=~".+"}');
  const [found, setFound] = useState<readonly DayCount[]>();
  const [error, setError] = useState<unknown>();
  const [abort, setAbort] = useState<AbortController>();
  useEffect(() => () => abort?.abort(), [abort]);
  const count = async () => {
    const controller = new AbortController();
    setAbort(controller);
    setError(undefined);
    try {
      const days: DayCount[] = [];
      for (const date of other === "" ? [day] : [day, other]) {
        const start = Date.parse(`${date}T00:00:00Z`);
        if (blocks) {
          const { data, warnings } = await countBlocks(app.api, start, controller.signal);
          const counts = countsOfBlocks(data ?? []);
          days.push({ day: date, counts, warnings, truncated: false });
          continue;
        }
        const answer: Answer<readonly LabelRecord[]> = await app.api.post("/series", [
          ["match[]", match],
          ["start", String(start / 1000)],
          ["end", String((start + DAY) / 1000 - 0.001)],
          ["limit", String(MAX_SERIES)],
          ["dedup", "false"],
        ], { signal: controller.signal });
        days.push({
          day: date,
          counts: countSeries(answer.data),
          warnings: answer.warnings,
          truncated: answer.data.length >= MAX_SERIES,
        });
      }
      setFound(days);
    } catch (failure) {
      if (!isCanceled(failure)) setError(failure);
    } finally {
      setAbort(undefined);
    }
  };
  const checkDay = (text: string) =>
    text === "" ||
      Number.isFinite(Date.parse(`${text}T00:00:00Z`)) && /^\d{4}-\d\d-\d\d$/.test(text)
      ? undefined
      : "Write a day like 2026-09-12";
  return (
    <>
      <div class="toolbar">
        {!blocks && <TextField label="Series" named width={36} value={match} onChange={setMatch} />}
        <TextField
          label="Day (UTC)"
          named
          width={10}
          value={day}
          check={(t) => t === "" ? "Write a day" : checkDay(t)}
          onChange={setDay}
        />
        <TextField
          label="Compare with"
          named
          width={10}
          placeholder="no other day"
          value={other}
          check={checkDay}
          onChange={setOther}
        />
        {abort === undefined
          ? <Button kind="primary" icon="play" onClick={count}>Count</Button>
          : <Button icon="stop" onClick={() => abort.abort()}>Cancel</Button>}
        {abort !== undefined && <Loading text="Counting" />}
      </div>
      {error !== undefined && <ErrorMessage error={error} retry={count} />}
      {found === undefined && error === undefined && (
        <Empty title="Nothing counted yet">
          {blocks
            ? "Counts the series of the blocks whose times meet a UTC day, by metric, label and pair; a long block counts whole. "
            : "Counts the series of a UTC day by metric, label and pair, over heads and blocks alike. "}
          With a second day, what changed most comes first.
        </Empty>
      )}
      {found !== undefined && <DayTables found={found} />}
    </>
  );
}

function DayTables({ found }: { found: readonly DayCount[] }) {
  const [now, before] = [found[0]!, found[1]];
  const compared = useMemo(() => {
    const join = (of: (c: Cardinality) => readonly Count[]) =>
      before === undefined ? of(now.counts) : compareCounts(of(now.counts), of(before.counts));
    return {
      metrics: join((c) => c.metrics),
      pairs: join((c) => c.pairs),
      labels: join((c) => c.labels),
    };
  }, [found]);
  return (
    <section>
      <Warnings texts={found.flatMap(({ warnings }) => warnings)} />
      {found.some(({ truncated }) => truncated) && (
        <Message kind="warning" title="Not all series were counted">
          {`Counting stops at ${
            grouped(MAX_SERIES)
          } series of a day. Narrow the selector, for example to one job.`}
        </Message>
      )}
      <dl class="figures">
        {found.map(({ day, counts }) => (
          <Figure key={day} name={`Series on ${day}`} value={grouped(counts.series)} />
        ))}
        {before !== undefined && (
          <Figure name="Change" value={signed(now.counts.series - before.counts.series)} />
        )}
      </dl>
      {now.counts.series === 0 && before === undefined
        ? (
          <Empty title="No series on that day">
            The Stores page shows which days the stores have.
          </Empty>
        )
        : (
          <div class="tables">
            <CountTable
              title="Series by metric"
              counts={compared.metrics}
              total={now.counts.series}
              link={metricLink}
            />
            <CountTable
              title="Series by label pair"
              counts={compared.pairs}
              total={now.counts.series}
              link={pairLink}
            />
            <CountTable title="Values by label" counts={compared.labels} link={labelLink} />
          </div>
        )}
    </section>
  );
}

const metricLink = (name: string) => graphLink(`count({__name__=${quote(name)}})`);
const labelLink = (name: string) =>
  graphLink(`topk(20, count by (${formatName(name)}) ({${formatName(name)}!=""}))`);
function pairLink(pair: string): string {
  const at = pair.indexOf("=");
  return graphLink(
    `topk(20, count by (__name__) ({${formatName(pair.slice(0, at))}=${
      quote(pair.slice(at + 1))
    }}))`,
  );
}

function signed(value: number): string {
  return `${value > 0 ? "+" : value < 0 ? "−" : "±"}${grouped(Math.abs(value))}`;
}

function CountTable(props: {
  readonly title: string;
  readonly counts: readonly (Count | StatCount)[];
  readonly total?: number;
  readonly print?: (value: number) => string;
  readonly link: (name: string) => string;
}) {
  const [rows, setRows] = useState(ROWS);
  const { counts, total, print = grouped } = props;
  const largest = counts.reduce((m, { value }) => Math.max(m, value), 1);
  const compared = counts.some((count) => "before" in count);
  return (
    <div class="card">
      <h2 class="card-title">{props.title}</h2>
      {counts.length === 0 ? <p class="dim pad">Nothing to count.</p> : (
        <div class="scroll">
          <table class="grid">
            <thead>
              <tr>
                <th>Name</th>
                <th class="number">Count</th>
                {compared && <th class="number">Change</th>}
                <th class="share-column">
                  {total === undefined
                    ? <span class="unseen">Compared to the largest</span>
                    : "Share"}
                </th>
              </tr>
            </thead>
            <tbody>
              {counts.slice(0, rows).map((count) => (
                <tr key={count.name}>
                  <td class="name">
                    <PageLink to={props.link(count.name)}>
                      <Plain text={count.name} />
                    </PageLink>
                  </td>
                  <td class="number">{print(count.value)}</td>
                  {compared && (
                    <td
                      class={`number ${
                        (count as Count).value > ((count as Count).before ?? 0) ? "bad-text" : ""
                      }`}
                    >
                      {signed(count.value - ((count as Count).before ?? 0))}
                    </td>
                  )}
                  <td class="share-column">
                    <span class="share-bar" aria-hidden="true">
                      <i style={{ width: `${count.value / (total || largest) * 100}%` }} />
                    </span>
                    {total !== undefined && total > 0 && (
                      <span class="dim">{`${(count.value / total * 100).toFixed(1)} %`}</span>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {counts.length > rows && (
        <Button kind="quiet" small onClick={() => setRows(rows + 100)}>
          {`Show more of ${counted(counts.length, "row")}`}
        </Button>
      )}
    </div>
  );
}
