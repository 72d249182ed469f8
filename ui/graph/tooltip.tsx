/** The box beside the pointer: time, value and every label. */
import type { LabelRecord } from "../model/labels.ts";
import type { ZoneClock } from "../model/times.ts";
import { Plain } from "../parts/plain.tsx";

/** What it shows and where, px of the graph. */
export interface TooltipState {
  readonly x: number;
  readonly y: number;
  readonly time: number;
  readonly value: string;
  readonly color: string;
  readonly labels: LabelRecord;
  readonly title?: string;
  /** More about the value. */
  readonly note?: string;
  /** Series of an exemplar. */
  readonly of?: LabelRecord;
}

/** Turns to the other side near the right edge. */
export function Tooltip(props: { state: TooltipState; clock: ZoneClock; width: number }) {
  const { state, clock, width } = props;
  const { __name__: name, ...rest } = state.labels;
  const right = state.x > width / 2;
  return (
    <div
      class="tooltip"
      style={{
        top: `${Math.max(0, state.y - 20)}px`,
        ...(right ? { right: `${width - state.x + 14}px` } : { left: `${state.x + 14}px` }),
      }}
    >
      <div class="tooltip-time">{clock.format(Math.round(state.time))} {clock.name}</div>
      <div class="tooltip-value">
        <span class="swatch" style={{ background: state.color }} />
        <Plain text={state.title ?? name ?? "value"} />
        <strong>{state.value}</strong>
      </div>
      {state.note !== undefined && <div class="tooltip-time">{state.note}</div>}
      <Rows labels={rest} />
      {state.of !== undefined && <Rows labels={state.of} />}
    </div>
  );
}

function Rows({ labels }: { labels: LabelRecord }) {
  return (
    <dl>
      {Object.entries(labels).slice(0, 40).map(([name, value]) => (
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
