/** The stores a querier knows: health, labels, and which times each has, on one axis. */
import { useMemo, useState } from "preact/hooks";
import type { StoreJson, StoresJson } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { ago, isOpen, timeTicks, type ZoneClock } from "../model/times.ts";
import { counted } from "../model/numbers.ts";
import { roughDuration } from "../model/durations.ts";
import { Button, SearchField } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { Badges } from "../parts/labels.tsx";
import { Empty, ErrorMessage, Loading, Warnings } from "../parts/messages.tsx";
import { Plain } from "../parts/plain.tsx";

/** How often the page asks again, ms. */
const REFRESH = 10_000;
/** Badges of one store before the rest folds. */
const LABEL_SETS = 5;

interface Axis {
  readonly from: number;
  readonly to: number;
}

export function StoresPage() {
  const { answer, error, reload } = useFetched<StoresJson>("/stores", [], REFRESH);
  const [search, setSearch] = useState("");
  const [downOnly, setDownOnly] = useState(false);
  const groups = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter((w) => w !== "");
    const fits = (type: string, store: StoreJson) => {
      const text = `${type} ${store.name} ${store.lastError ?? ""} ${
        (store.labelSets ?? []).flatMap((set) => Object.entries(set).map(([k, v]) => `${k}=${v}`))
          .join(" ")
      }`.toLowerCase();
      return words.every((word) => text.includes(word)) && (!downOnly || store.lastError !== null);
    };
    return Object.entries(answer?.data ?? {})
      .sort(([a], [b]) => a < b ? -1 : 1)
      .map(([type, stores]) => ({
        type,
        stores: stores.filter((store) => fits(type, store)),
        all: stores.length,
      }));
  }, [answer, search, downOnly]);
  if (error !== undefined && answer === undefined) {
    return (
      <div class="page">
        <ErrorMessage error={error} retry={reload} />
      </div>
    );
  }
  if (answer === undefined) {
    return (
      <div class="page">
        <Loading />
      </div>
    );
  }
  const all = Object.values(answer.data).flat();
  const down = all.filter(({ lastError }) => lastError !== null).length;
  const axis = axisOf(all);
  return (
    <div class="page">
      <div class="page-head">
        <h1>Stores</h1>
        <span class="dim">{counted(all.length, "endpoint")}</span>
        {down > 0 && (
          <Button kind="quiet" pressed={downOnly} onClick={() => setDownOnly(!downOnly)}>
            <span class="bad-text">{`${down} down`}</span>
          </Button>
        )}
        <span class="space" />
        <SearchField label="Search stores and labels" value={search} onInput={setSearch} />
      </div>
      {error !== undefined && <ErrorMessage error={error} retry={reload} />}
      <Warnings texts={answer.warnings} />
      {all.length === 0 && (
        <Empty title="No stores yet">
          The querier knows no endpoint that answered. Start it with --endpoint=host:port for each
          sidecar and store gateway, or look in its log for those that do not answer.
        </Empty>
      )}
      {groups.filter(({ stores }) => stores.length > 0).map(({ type, stores }) => (
        <StoreGroup key={type} type={type} stores={stores} axis={axis} onSearch={setSearch} />
      ))}
      {all.length > 0 && groups.every(({ stores }) => stores.length === 0) && (
        <Empty title="No store matches">Clear the search to see all of them.</Empty>
      )}
    </div>
  );
}

/** From the earliest to the latest bound that is one; open ends reach to now. */
function axisOf(stores: readonly StoreJson[]): Axis {
  const now = Date.now();
  const starts = stores.map(({ minTime }) => minTime).filter((t) => !isOpen(t));
  const ends = stores.map(({ maxTime }) => maxTime).filter((t) => !isOpen(t));
  const to = Math.max(
    ...ends,
    stores.some(({ maxTime }) => isOpen(maxTime)) ? now : -Infinity,
    ...starts,
  );
  const from = Math.min(...starts, to - 3_600_000);
  return Number.isFinite(from) && Number.isFinite(to)
    ? { from, to }
    : { from: now - 3_600_000, to: now };
}

function StoreGroup(props: {
  readonly type: string;
  readonly stores: readonly StoreJson[];
  readonly axis: Axis;
  readonly onSearch: (text: string) => void;
}) {
  const { clock } = useApp();
  const { type, stores, axis } = props;
  return (
    <details class="card" open>
      <summary>
        <h2>{type}</h2>
        <span class="dim">{stores.length}</span>
      </summary>
      <div class="scroll">
        <table class="grid stores">
          <thead>
            <tr>
              <th>Endpoint</th>
              <th>Status</th>
              <th>Announced labels</th>
              <th class="wide">
                <TimeAxis axis={axis} clock={clock.value} />
              </th>
              <th>Min time</th>
              <th>Max time</th>
              <th>Last check</th>
            </tr>
          </thead>
          <tbody>
            {stores.map((store) => (
              <StoreRow key={store.name} store={store} axis={axis} onSearch={props.onSearch} />
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function StoreRow(
  props: {
    readonly store: StoreJson;
    readonly axis: Axis;
    readonly onSearch: (text: string) => void;
  },
) {
  const { clock } = useApp();
  const { store, axis } = props;
  const [all, setAll] = useState(false);
  const sets = store.labelSets ?? [];
  const shown = all ? sets : sets.slice(0, LABEL_SETS);
  const bound = (ms: number, which: "minimum" | "maximum") =>
    isOpen(ms)
      ? <span class="dim" title={`This store has no ${which} time limit`}>no limit</span>
      : <time title={String(ms)}>{clock.value.format(ms)}</time>;
  const checked = Date.parse(store.lastCheck);
  const down = store.lastError !== null;
  return (
    <tr>
      <td class="mono">{store.name}</td>
      <td>
        <span class={`pill ${down ? "bad" : "ok"}`}>{down ? "DOWN" : "UP"}</span>
      </td>
      <td>
        {sets.length === 0 && <span class="dim">none</span>}
        {shown.map((set, i) => (
          <div key={i}>
            <Badges labels={set} onPick={(name, value) => props.onSearch(`${name}=${value}`)} />
          </div>
        ))}
        {sets.length > shown.length && (
          <Button kind="quiet" small onClick={() => setAll(true)}>
            {`${sets.length - shown.length} more`}
          </Button>
        )}
        {down && (
          <div class="bad-text">
            <Plain text={errorWords(store.lastError!)} />
          </div>
        )}
      </td>
      <td class="wide">
        <CoverageBar store={store} axis={axis} clock={clock.value} />
      </td>
      <td class="nowrap">{bound(store.minTime, "minimum")}</td>
      <td class="nowrap">{bound(store.maxTime, "maximum")}</td>
      <td class="nowrap">
        {checked > 0
          ? <span title={clock.value.format(checked)}>{ago(checked, Date.now())}</span>
          : <span class="dim">never</span>}
        {store.roundTrip !== undefined && (
          <span class="dim">{` ${roughDuration(store.roundTrip)}`}</span>
        )}
      </td>
    </tr>
  );
}

/** What a store said last, with a hint for the usual causes. */
function errorWords(text: string): string {
  if (/connection refused|ECONNREFUSED/i.test(text)) {
    return `${text}. Nothing listens there: is the process running?`;
  }
  if (/deadline|timed? ?out/i.test(text)) {
    return `${text}. It did not answer in time: is it overloaded or behind a firewall?`;
  }
  if (/no such host|getaddrinfo|not resolve/i.test(text)) {
    return `${text}. The name has no address.`;
  }
  return text;
}

function CoverageBar({ store, axis, clock }: { store: StoreJson; axis: Axis; clock: ZoneClock }) {
  // An empty store turns its bounds round.
  if (store.minTime > store.maxTime) return <span class="dim">empty</span>;
  const span = axis.to - axis.from;
  const from = isOpen(store.minTime) ? axis.from : Math.max(axis.from, store.minTime);
  const to = isOpen(store.maxTime) ? axis.to : Math.min(axis.to, store.maxTime);
  const name = (ms: number, none: string) => isOpen(ms) ? none : clock.format(ms);
  return (
    <span
      class="coverage"
      role="img"
      aria-label={`${name(store.minTime, "the beginning")} to ${name(store.maxTime, "now")}`}
      title={`${name(store.minTime, "the beginning")} to ${name(store.maxTime, "now")}`}
    >
      <span
        style={{
          left: `${(from - axis.from) / span * 100}%`,
          width: `max(3px, ${Math.max(0, to - from) / span * 100}%)`,
        }}
      />
    </span>
  );
}

function TimeAxis({ axis, clock }: { axis: Axis; clock: ZoneClock }) {
  const span = axis.to - axis.from;
  const { times, spacing } = timeTicks(axis.from, axis.to - span * 0.12, 4, clock);
  return (
    <span class="time-axis" aria-label="Times">
      {times.map((t) => (
        <span key={t} style={{ left: `${(t - axis.from) / span * 100}%` }}>
          {clock.tick(t, spacing)}
        </span>
      ))}
    </span>
  );
}
