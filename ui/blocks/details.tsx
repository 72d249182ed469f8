/** The side panel: everything meta.json says about a block, and what one may do to it. */
import { useState } from "preact/hooks";
import { messageOf } from "../api/client.ts";
import { useApp } from "../app/context.ts";
import type { Block } from "../model/blocks.ts";
import { roughDuration } from "../model/durations.ts";
import { resolutionName } from "../model/fanout.ts";
import { bytes, grouped } from "../model/numbers.ts";
import { Button, Dialog } from "../parts/controls.tsx";
import { Badges } from "../parts/labels.tsx";
import { Message } from "../parts/messages.tsx";

const DAY = 86_400_000;

/** Opens beside the timeline. */
export function BlockDetails(props: {
  readonly block: Block;
  readonly waiting: string | undefined;
  readonly onClose: () => void;
  readonly onMarked: () => void;
}) {
  const app = useApp();
  const { block } = props;
  const { clock } = app;
  const [marking, setMarking] = useState<MarkKind>();
  const { stats = {}, compaction = {}, thanos = {} } = block.json;
  const files = thanos.files ?? [];
  const sizeOf = (pattern: RegExp) =>
    files.filter(({ rel_path }) => pattern.test(rel_path)).reduce(
      (n, f) => n + (f.size_bytes ?? 0),
      0,
    );
  const chunks = sizeOf(/^chunks\//);
  const index = sizeOf(/^index$/);
  const share = (part: number) => block.size ? ` (${(part / block.size * 100).toFixed(1)} %)` : "";
  const days = (block.maxTime - block.minTime) / DAY;
  const adminOff = app.flags.value["disable-admin-operations"] === "true";
  const rows: (readonly [string, preact.ComponentChildren])[] = [
    ["Start", clock.value.format(block.minTime)],
    ["End", clock.value.format(block.maxTime)],
    ["Duration", roughDuration(block.maxTime - block.minTime)],
    ["Series", grouped(stats.numSeries ?? 0)],
    ["Samples", grouped(stats.numSamples ?? 0)],
    ["Chunks", grouped(stats.numChunks ?? 0)],
    ["Resolution", resolutionName(block.resolution)],
    ["Level", String(block.level)],
    ["Source", thanos.source ?? "unknown"],
    ...(block.size === undefined ? [["Size", "meta.json lists no files"] as const] : [
      ["Total size", bytes(block.size)] as const,
      ["Chunks", `${bytes(chunks)}${share(chunks)}`] as const,
      ["Index", `${bytes(index)}${share(index)}`] as const,
      ["Per day", days > 0 ? bytes(block.size / days) : "unknown"] as const,
    ]),
    [
      "Labels",
      Object.keys(block.labels).length === 0
        ? "none"
        : <Badges key="labels" labels={block.labels} />,
    ],
    ["Compacted from", sourcesText(compaction.sources ?? [], block.ulid)],
  ];
  return (
    <aside class="details" aria-label={`Block ${block.ulid}`}>
      <header>
        <h2 class="mono">{block.ulid}</h2>
        <Button
          kind="quiet"
          icon="copy"
          label="Copy the ULID"
          onClick={() => app.copy(block.ulid, "ULID")}
        />
        <Button kind="quiet" icon="close" label="Close the details" onClick={props.onClose} />
      </header>
      {block.marks.map((mark, i) => (
        <Message key={i} kind="warning" title={markTitle(mark.file)}>
          {[mark.reason, mark.details].filter((t) => t).join(": ")}
          {mark.time && ` since ${clock.value.format(Date.parse(mark.time))}`}
          {mark.readable === false && " The mark cannot be read."}
        </Message>
      ))}
      {props.waiting !== undefined && (
        <Message kind="info" title="Compactor">{props.waiting}</Message>
      )}
      <dl class="facts">
        {rows.map(([name, value]) => (
          <div key={name + String(value)}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div class="details-actions">
        <Button
          icon="download"
          onClick={() =>
            app.save(
              `${block.ulid}-meta.json`,
              "application/json",
              JSON.stringify(block.json, undefined, "\t"),
            )}
        >
          Download meta.json
        </Button>
        {!adminOff && (
          <>
            <Button onClick={() => setMarking("NO_COMPACTION")}>Mark no compaction</Button>
            <Button kind="danger" onClick={() => setMarking("DELETION")}>Mark deletion</Button>
          </>
        )}
        {adminOff && <p class="dim">Marks are switched off here by --disable-admin-operations.</p>}
      </div>
      {marking !== undefined && (
        <MarkDialog
          block={block}
          kind={marking}
          onClose={() => setMarking(undefined)}
          onMarked={() => {
            setMarking(undefined);
            props.onMarked();
          }}
        />
      )}
    </aside>
  );
}

type MarkKind = "DELETION" | "NO_COMPACTION";

function sourcesText(sources: readonly string[], ulid: string): preact.ComponentChildren {
  if (sources.length === 0 || sources.length === 1 && sources[0] === ulid) {
    return "nothing, an original block";
  }
  return (
    <details>
      <summary>{`${sources.length} blocks`}</summary>
      <ul class="mono plain-list">{sources.slice(0, 500).map((id) => <li key={id}>{id}</li>)}</ul>
    </details>
  );
}

function markTitle(kind: string): string {
  if (/delet/i.test(kind)) return "Marked for deletion";
  if (/no.?downsample/i.test(kind)) return "Marked: no downsampling";
  if (/no.?compact/i.test(kind)) return "Marked: no compaction";
  return `Marked: ${kind}`;
}

function MarkDialog(props: {
  readonly block: Block;
  readonly kind: MarkKind;
  readonly onClose: () => void;
  readonly onMarked: () => void;
}) {
  const app = useApp();
  const [reason, setReason] = useState("");
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const deletion = props.kind === "DELETION";
  const mark = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await app.api.post("/blocks/mark", [["id", props.block.ulid], ["action", props.kind], [
        "detail",
        reason,
      ]]);
      app.say(deletion ? "Marked for deletion" : "Marked: no compaction");
      props.onMarked();
    } catch (failure) {
      setError(messageOf(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog title={deletion ? "Mark for deletion" : "Mark: no compaction"} onClose={props.onClose}>
      <p>
        {deletion
          ? "The compactor deletes the block after its delay, and store gateways stop serving it before. Until then the mark can be removed from the bucket."
          : "The compactor leaves the block as it is from its next run on. The mark can be removed from the bucket."}
      </p>
      <p class="mono">{props.block.ulid}</p>
      <label class="stacked-field">
        <span>Reason, kept in the mark</span>
        <input
          type="text"
          value={reason}
          maxLength={1000}
          onInput={(event) =>
            setReason(event.currentTarget.value)}
        />
      </label>
      {error !== undefined && <Message kind="error" title="Not marked">{error}</Message>}
      <div class="dialog-actions">
        <Button onClick={props.onClose}>Keep as it is</Button>
        <Button kind={deletion ? "danger" : "primary"} disabled={busy} onClick={mark}>
          {deletion ? "Mark for deletion" : "Mark no compaction"}
        </Button>
      </div>
    </Dialog>
  );
}
