/** The blocks of a bucket, or those a component has loaded. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { BlocksJson, PlannedJson, SetAsideJson } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { useDark } from "../app/theme.ts";
import { visible } from "../model/labels.ts";
import { type Block, readBlock, type Stream, streamTitle, toStreams } from "../model/blocks.ts";
import { roughDuration } from "../model/durations.ts";
import { resolutionName } from "../model/fanout.ts";
import { bytes, counted, grouped } from "../model/numbers.ts";
import { ago } from "../model/times.ts";
import { Button, SearchField, Select, Switch } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { Empty, ErrorMessage, Loading, Message } from "../parts/messages.tsx";
import { PageLink } from "../parts/page_link.tsx";
import { VirtualRows } from "../parts/virtual_rows.tsx";
import { BlockDetails } from "./details.tsx";
import { blockColor, type Span } from "./timeline.ts";
import { TimelineView } from "./timeline_view.tsx";
import { Plain } from "../parts/plain.tsx";

const REFRESH = 60_000;

export function BlocksPage({ view }: { view: "global" | "loaded" }) {
  const app = useApp();
  const { clock, router } = app;
  const { answer, error, reload } = useFetched<BlocksJson>("/blocks", [["view", view]], REFRESH);
  const params = useMemo(() => new URLSearchParams(router.route.peek().search), []);
  const [search, setSearch] = useState(params.get("ulid") ?? "");
  const [overlapsOnly, setOverlapsOnly] = useState(params.get("find-overlapping") === "true");
  const [level, setLevel] = useState(
    params.get("filter-compaction") === "true" ? Number(params.get("compaction-level")) || 0 : 0,
  );
  const given = readSpan(params);
  const [span, setSpan] = useState<Span | undefined>(given);
  const [selected, setSelected] = useState<Block>();
  const data = answer?.data;
  const blocks = useMemo(
    () => (data?.blocks ?? []).map((json) => readBlock(json, data?.markers?.[json.ulid])),
    [data],
  );
  const filter = { search, level, overlapsOnly };
  const streams = useMemo(() => toStreams(blocks, data?.label ?? "", filter), [
    blocks,
    search,
    level,
    overlapsOnly,
  ]);
  const whole = useMemo(() => wholeOf(blocks), [blocks]);
  const plan = data?.plan ?? [];
  const planned = useMemo(() => new Set(plan.flatMap(({ blocks }) => blocks)), [data]);
  useEffect(() => {
    const query = new URLSearchParams();
    if (span !== undefined) {
      query.set("min-time", String(Math.round(span.from)));
      query.set("max-time", String(Math.round(span.to)));
    }
    if (search !== "") query.set("ulid", search);
    if (overlapsOnly) query.set("find-overlapping", "true");
    if (level > 0) {
      query.set("filter-compaction", "true");
      query.set("compaction-level", String(level));
    }
    const text = query.toString();
    // The wheel changes the span many times a second: the address may follow later.
    const timer = setTimeout(
      () =>
        router.replace(
          `${view === "global" ? "/blocks" : "/loaded"}${text === "" ? "" : `?${text}`}`,
        ),
      250,
    );
    return () => clearTimeout(timer);
  }, [span, search, overlapsOnly, level]);
  if (answer === undefined) {
    return (
      <div class="page">
        {error === undefined ? <Loading /> : <ErrorMessage error={error} retry={reload} />}
      </div>
    );
  }
  const levels = [...new Set(blocks.map((b) => b.level))].sort((a, b) => a - b);
  const refreshed = Date.parse(answer.data.refreshedAt);
  const current = selected === undefined
    ? undefined
    : blocks.find((b) => b.ulid === selected.ulid) ?? selected;
  return (
    <div class="page">
      <div class="page-head">
        <h1>{view === "global" ? "Blocks of the bucket" : "Loaded blocks"}</h1>
        <span class="dim">
          {[
            counted(blocks.length, "block"),
            ...(blocks.some(({ size }) => size !== undefined)
              ? [bytes(blocks.reduce((n, b) => n + (b.size ?? 0), 0))]
              : []),
            `${grouped(blocks.reduce((n, b) => n + (b.json.stats?.numSamples ?? 0), 0))} samples`,
          ].join(", ")}
        </span>
        <span class="space" />
        {refreshed > 0 && (
          <span class="dim" title={clock.value.format(refreshed)}>
            {`read ${ago(refreshed, Date.now())}`}
          </span>
        )}
        <Button kind="quiet" icon="refresh" label="Read again" onClick={reload} />
      </div>
      {error !== undefined && <ErrorMessage error={error} retry={reload} />}
      {answer.data.err !== null && answer.data.err !== undefined && (
        <Message kind="error" title="The last look into the bucket failed">
          {`${errText(answer.data.err)} What is shown is from the time before.`}
        </Message>
      )}
      {blocks.length === 0
        ? (
          <Empty title="No blocks here">
            {view === "global"
              ? (
                <>
                  The bucket holds no complete block, or this component has not looked into it yet.
                  {" "}
                  <PageLink to="/loaded">Loaded blocks</PageLink>{" "}
                  are those that are served or compacted.
                </>
              )
              : "Nothing is loaded: the bucket may be empty, the blocks too fresh, or filtered out by times or labels."}
          </Empty>
        )
        : (
          <>
            <div class="toolbar">
              <SearchField label="Search ULIDs and labels" value={search} onInput={setSearch} />
              <Select
                label="Level"
                named
                value={String(level)}
                onChange={(text) => setLevel(Number(text))}
                options={[
                  { value: "0", text: "all" },
                  ...levels.map((l) => ({ value: String(l), text: String(l) })),
                ]}
              />
              <Switch text="Only overlapping" checked={overlapsOnly} onChange={setOverlapsOnly} />
              <span class="space" />
              <Legend />
              <Button disabled={span === undefined} onClick={() => setSpan(undefined)}>
                Show all
              </Button>
            </div>
            <div class={`blocks-body ${current === undefined ? "" : "with-details"}`}>
              <div class="blocks-main">
                {streams.length === 0
                  ? <Empty title="No block matches">Clear the filters to see all of them.</Empty>
                  : (
                    <TimelineView
                      streams={streams}
                      span={span ?? whole}
                      whole={whole}
                      selected={current?.ulid}
                      planned={planned}
                      onSpan={setSpan}
                      onPick={setSelected}
                    />
                  )}
                <Findings streams={streams} onShow={(s) => setSpan(around(s))} />
                <SetAside groups={answer.data.setAside ?? []} />
                <Plan entries={plan} blocks={blocks} onShow={(s) => setSpan(around(s))} />
                <BlockList streams={streams} selected={current?.ulid} onPick={setSelected} />
              </div>
              {current !== undefined && (
                <BlockDetails
                  block={current}
                  waiting={answer.data.waits?.[current.ulid]}
                  onClose={() => setSelected(undefined)}
                  onMarked={reload}
                />
              )}
            </div>
          </>
        )}
    </div>
  );
}

function errText(err: unknown): string {
  return typeof err === "string" ? err : "The server's log tells why.";
}

function readSpan(params: URLSearchParams): Span | undefined {
  const from = Number(params.get("min-time") ?? NaN);
  const to = Number(params.get("max-time") ?? NaN);
  return Number.isFinite(from) && Number.isFinite(to) && to > from && Math.abs(to) < 8e15
    ? { from, to }
    : undefined;
}

function wholeOf(blocks: readonly Block[]): Span {
  let from = Infinity;
  let to = -Infinity;
  for (const { minTime, maxTime } of blocks) {
    if (minTime < from) from = minTime;
    if (maxTime > to) to = maxTime;
  }
  if (!(to > from)) return { from: Date.now() - 86_400_000, to: Date.now() };
  const margin = (to - from) * 0.01;
  return { from: from - margin, to: to + margin };
}

function around({ from, to }: Span): Span {
  const margin = Math.max((to - from) * 0.5, 600_000);
  return { from: from - margin, to: to + margin };
}

function Legend() {
  const dark = useDark();
  return (
    <span class="key">
      {[0, 300_000, 3_600_000].map((resolution) => (
        <span key={resolution}>
          <i class="swatch" style={{ background: blockColor({ resolution, level: 2 }, dark) }} />
          {resolutionName(resolution)}
        </span>
      ))}
      <span>
        <i class="swatch hatched" />marked
      </span>
    </span>
  );
}

/** Most findings of one kind that are listed. */
const LISTED = 50;

/** Overlaps and gaps in words; a click shows the place. */
function Findings(
  { streams, onShow }: { streams: readonly Stream[]; onShow: (span: Span) => void },
) {
  const { clock } = useApp();
  const overlaps = streams.flatMap(({ overlaps }) => overlaps);
  const gaps = streams.flatMap(({ title, gaps }) => gaps.map((gap) => ({ title, ...gap })));
  if (overlaps.length === 0 && gaps.length === 0) return null;
  const list = (text: string, rows: readonly { key: string; text: string; span: Span }[]) =>
    rows.length > 0 && (
      <details class="card">
        <summary>
          <h2>{text}</h2>
          <span class="dim">{rows.length}</span>
        </summary>
        <ul class="findings">
          {rows.slice(0, LISTED).map(({ key, text, span }) => (
            <li key={key}>
              <Plain text={text} />
              <Button kind="quiet" small onClick={() => onShow(span)}>Show</Button>
            </li>
          ))}
          {rows.length > LISTED && <li class="dim">{`and ${rows.length - LISTED} more`}</li>}
        </ul>
      </details>
    );
  return (
    <>
      {list(
        "Overlaps",
        overlaps.map(([a, b]) => ({
          key: `${a.ulid}${b.ulid}`,
          text: `${a.ulid} and ${b.ulid}, ${resolutionName(a.resolution)}, ${
            roughDuration(Math.min(a.maxTime, b.maxTime) - b.minTime)
          } from ${clock.value.format(b.minTime)} in ${streamTitle(a.labels)}`,
          span: { from: b.minTime, to: Math.min(a.maxTime, b.maxTime) },
        })),
      )}
      {list(
        "Gaps",
        gaps.map(({ title, minTime, maxTime }) => ({
          key: `${title}${minTime}`,
          text: `${roughDuration(maxTime - minTime)} from ${
            clock.value.format(minTime)
          } in ${title}`,
          span: { from: minTime, to: maxTime },
        })),
      )}
    </>
  );
}

/** Groups that wait for a person. */
function SetAside({ groups }: { groups: readonly SetAsideJson[] }) {
  return groups.map((group) => (
    <Message
      key={group.key}
      kind="warning"
      title={`Set aside: ${group.labels || "no external labels"}, ${
        resolutionName(group.resolution)
      }`}
    >
      <span>
        {`${group.message}. ${counted(group.waitingBlocks, "block")} of ${
          bytes(group.waitingBytes)
        } wait, tried ${counted(group.tries, "time")}. Every other group goes on.`}
      </span>
      {group.blocks.length > 0 && <span class="mono">{group.blocks.slice(0, 20).join(" ")}</span>}
    </Message>
  ));
}

/** Compactions in the order in which they come. */
function Plan(
  props: {
    readonly entries: readonly PlannedJson[];
    readonly blocks: readonly Block[];
    readonly onShow: (span: Span) => void;
  },
) {
  const { clock } = useApp();
  const { entries } = props;
  if (entries.length === 0) return null;
  // People know their groups by the labels; the key tells them nothing.
  const groupOf = ({ group, blocks }: PlannedJson) => {
    const block = props.blocks.find(({ ulid }) => ulid === blocks[0]);
    return block === undefined
      ? visible(group)
      : `${streamTitle(block.labels)}, ${resolutionName(block.resolution)}`;
  };
  return (
    <details class="card" open>
      <summary>
        <h2>What the compactor does next</h2>
        <span class="dim">{entries.length}</span>
      </summary>
      <ul class="findings">
        {entries.slice(0, LISTED).map((entry, i) => (
          <li key={i}>
            <bdi>
              {`${entry.kind}: ${counted(entry.blocks.length, "block")} to level ${entry.level}, `}
              {`${clock.value.format(entry.minTime)} to ${clock.value.format(entry.maxTime)}, ${
                bytes(entry.bytes)
              } `}
              <span class="dim">
                <Plain text={groupOf(entry)} />
              </span>
            </bdi>
            <Button
              kind="quiet"
              small
              onClick={() => props.onShow({ from: entry.minTime, to: entry.maxTime })}
            >
              Show
            </Button>
          </li>
        ))}
        {entries.length > LISTED && <li class="dim">{`and ${entries.length - LISTED} more`}</li>}
      </ul>
    </details>
  );
}

/** Every block as a row: for the keyboard, and for those who look for one by its facts. */
function BlockList(props: {
  readonly streams: readonly Stream[];
  readonly selected: string | undefined;
  readonly onPick: (block: Block) => void;
}) {
  const { clock } = useApp();
  const rows = useMemo(
    () => props.streams.flatMap(({ blocks }) => blocks).toSorted((a, b) => b.maxTime - a.maxTime),
    [props.streams],
  );
  return (
    <details class="card" open={rows.length <= 200}>
      <summary>
        <h2>List</h2>
        <span class="dim">{rows.length}</span>
      </summary>
      <VirtualRows
        class="block-list"
        label="Blocks"
        rows={rows}
        rowHeight={28}
        maxHeight={336}
        head={
          <div role="row" class="virtual-row head">
            {["ULID", "Start", "Duration", "Level", "Resolution", "Size", "Labels"].map((text) => (
              <div key={text} role="columnheader">{text}</div>
            ))}
          </div>
        }
        row={(block) => (
          <div
            role="row"
            key={block.ulid}
            class={`virtual-row ${block.ulid === props.selected ? "selected" : ""}`}
          >
            <div role="cell">
              <button type="button" class="link mono" onClick={() => props.onPick(block)}>
                {block.ulid}
              </button>
            </div>
            <div role="cell">{clock.value.format(block.minTime)}</div>
            <div role="cell">{roughDuration(block.maxTime - block.minTime)}</div>
            <div role="cell">{block.level}</div>
            <div role="cell">{resolutionName(block.resolution)}</div>
            <div role="cell">{block.size === undefined ? "unknown" : bytes(block.size)}</div>
            <div role="cell" class="cut">
              <Plain text={streamTitle(block.labels)} />
            </div>
          </div>
        )}
      />
    </details>
  );
}
