/** Below an answer: which stores gave what, and which resolution served which time. */
import { useApp } from "../app/context.ts";
import { roughDuration } from "../model/durations.ts";
import {
  coverageOf,
  resolutionName,
  ribbonOf,
  type RibbonPart,
  type StorePart,
  storeParts,
} from "../model/fanout.ts";
import { bytes, counted, grouped } from "../model/numbers.ts";
import type { ZoneClock } from "../model/times.ts";
import { Button } from "../parts/controls.tsx";
import type { PlotArea } from "./chart.tsx";
import { analysisOf, type Panel, type Run } from "./state.ts";
import { Plain } from "../parts/plain.tsx";

/** The ribbon: colours per resolution, hatched where there is nothing. */
export function Ribbon(props: { readonly run: Run; readonly area: PlotArea | undefined }) {
  const { clock } = useApp();
  const coverage = coverageOf(analysisOf(props.run));
  const request = props.run.answered;
  if (coverage.length === 0 || request === undefined || request.end <= request.start) return null;
  const parts = ribbonOf(coverage, request.start, request.end, request.step * 1000);
  const span = request.end - request.start;
  const { area } = props;
  return (
    <div
      class="ribbon-box"
      style={area === undefined ? {} : { marginLeft: `${area.left}px`, width: `${area.width}px` }}
    >
      <div class="ribbon" role="img" aria-label={ribbonText(parts, clock.value)}>
        {parts.map((part) => (
          <span
            key={part.from}
            class={`ribbon-part ${ribbonClass(part.resolution)}`}
            style={{ width: `${(part.to - part.from) / span * 100}%` }}
            title={`${resolutionName(part.resolution)}: ${
              clock.value.format(Math.round(part.from))
            } to ${clock.value.format(Math.round(part.to))}`}
          />
        ))}
      </div>
      <div class="ribbon-key">
        {[...new Set(parts.map(({ resolution }) => resolution))].map((resolution) => (
          <span key={resolution}>
            <i class={`ribbon-part ${ribbonClass(resolution)}`} />
            {resolutionName(resolution)}
          </span>
        ))}
      </div>
    </div>
  );
}

function ribbonClass(resolution: number): string {
  return resolution < 0
    ? "none"
    : resolution === 0
    ? "raw"
    : resolution < 3_600_000
    ? "fine"
    : "coarse";
}

function ribbonText(parts: readonly RibbonPart[], clock: ZoneClock): string {
  return parts.map(({ resolution, from, to }) =>
    `${resolutionName(resolution)} from ${clock.format(Math.round(from))} to ${
      clock.format(Math.round(to))
    }`
  ).join(", ");
}

/** One line that opens to the table of stores. */
export function Answered(props: { readonly panel: Panel; readonly run: Run }) {
  const analysis = analysisOf(props.run);
  const parts = storeParts(analysis);
  if (parts.length === 0) return null;
  const failed = parts.filter(({ error }) => error !== undefined);
  const longest = Math.max(1, ...parts.map(({ duration }) => duration ?? 0));
  const sum = (of: (part: StorePart) => number) => parts.reduce((n, part) => n + of(part), 0);
  const { stores } = props.panel.options.value;
  return (
    <details class="answered">
      <summary>
        <span class="answered-title">What answered</span>
        <span>{counted(parts.length, "store")}</span>
        {failed.length > 0 && <span class="bad-text">{`${failed.length} failed`}</span>}
        <span>{counted(sum((p) => p.series), "series", "series")}</span>
        <span>{counted(sum((p) => p.chunks), "chunk")}</span>
        {sum((p) => p.bytes) > 0 && <span>{bytes(sum((p) => p.bytes))}</span>}
        <span>{`slowest ${roughDuration(longest)}`}</span>
      </summary>
      <div class="scroll">
        <table class="grid">
          <thead>
            <tr>
              <th>Store</th>
              <th class="wide">Waiting and reading</th>
              <th class="number">First byte</th>
              <th class="number">Total</th>
              <th class="number">Series</th>
              <th class="number">Chunks</th>
              <th class="number">Samples</th>
              <th class="number">Bytes</th>
              <th class="number">Frames</th>
              <th>
                <span class="unseen">Filter</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {parts.map((part) => (
              <tr key={part.address} class={part.error === undefined ? "" : "failed"}>
                <td>
                  <span class="mono">{part.address}</span>
                  {part.error !== undefined && (
                    <div class="bad-text">
                      <Plain text={part.error} />
                    </div>
                  )}
                </td>
                <td class="wide">
                  <Waterfall part={part} longest={longest} />
                </td>
                <td class="number">
                  {part.firstByte === undefined ? "none" : roughDuration(part.firstByte)}
                </td>
                <td class="number">
                  {part.duration === undefined ? "unknown" : roughDuration(part.duration)}
                </td>
                <td class="number">{grouped(part.series)}</td>
                <td class="number">{grouped(part.chunks)}</td>
                <td class="number">{grouped(part.samples)}</td>
                <td class="number">{bytes(part.bytes)}</td>
                <td class="number">{grouped(part.responses)}</td>
                <td>
                  {parts.length > 1 && (
                    <Button
                      kind="quiet"
                      small
                      label={`Leave out ${part.address} and ask again`}
                      onClick={() => {
                        const base = stores.length > 0
                          ? stores
                          : parts.map(({ address }) => address);
                        props.panel.set({ stores: base.filter((name) => name !== part.address) });
                      }}
                    >
                      Leave out
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Waterfall({ part, longest }: { part: StorePart; longest: number }) {
  const total = part.duration ?? 0;
  const first = Math.min(part.firstByte ?? total, total);
  return (
    <span class="waterfall" aria-hidden="true">
      <span class="waiting" style={{ width: `${first / longest * 100}%` }} />
      <span class="reading" style={{ width: `${(total - first) / longest * 100}%` }} />
    </span>
  );
}
