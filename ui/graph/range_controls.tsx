/** Range, end and step of a panel. */
import { useApp } from "../app/context.ts";
import { formatDuration, parseDuration } from "../model/durations.ts";
import type { PanelOptions } from "../model/permalink.ts";
import { autoStep, type Density, longerRange, shorterRange } from "../model/steps.ts";
import { Button, Segmented, Select, Switch, TextField } from "../parts/controls.tsx";
import { type Panel, queryDefaults } from "./state.ts";

/** The time of the table, or the end of the graph's range. */
export function EndField({ panel, label }: { panel: Panel; label: string }) {
  const { clock } = useApp();
  const { end, range } = panel.options.value;
  const zone = clock.value;
  const shift = (direction: 1 | -1) =>
    panel.set({ end: Math.round((end ?? Date.now()) + direction * range / 2) });
  return (
    <span class="group">
      <Button icon="left" label="Earlier" onClick={() => shift(-1)} />
      <TextField
        label={`${label} (${zone.name})`}
        placeholder={`${label}: now`}
        width={18}
        value={end === undefined ? "" : zone.format(end)}
        check={(text) =>
          text.trim() === "" || zone.parse(text) !== undefined
            ? undefined
            : "Write a time like 2026-09-12 08:30"}
        onChange={(text) => panel.set({ end: text.trim() === "" ? undefined : zone.parse(text) })}
      />
      <Button icon="right" label="Later" onClick={() => shift(1)} />
      {end !== undefined && (
        <Button kind="quiet" onClick={() => panel.set({ end: undefined })}>Now</Button>
      )}
    </span>
  );
}

/** Controls of the graph tab. */
export function RangeControls({ panel }: { panel: Panel }) {
  const { flags } = useApp();
  const options = panel.options.value;
  const { range, step, density, display } = options;
  const auto = autoStep(range, density, queryDefaults(flags.value).step);
  return (
    <div class="controls">
      <span class="group">
        <Button
          icon="minus"
          label="Shorter range"
          onClick={() => panel.set({ range: shorterRange(range) })}
        />
        <TextField
          label="Range"
          width={6}
          value={formatDuration(range)}
          check={(text) => parseDuration(text) ? undefined : "Write a duration like 6h or 1d"}
          onChange={(text) => panel.set({ range: parseDuration(text)! })}
        />
        <Button
          icon="plus"
          label="Longer range"
          onClick={() => panel.set({ range: longerRange(range) })}
        />
      </span>
      <EndField panel={panel} label="End" />
      <span class="group">
        <Select
          label="Step"
          named
          value={step === undefined ? `auto-${density}` : "fixed"}
          onChange={(value) =>
            value === "fixed"
              ? panel.set({ step: auto })
              : panel.set({ step: undefined, density: value.slice(5) as Density })}
          options={[
            ...(["low", "medium", "high"] as const).map((d) => ({
              value: `auto-${d}`,
              text: `${d} density, ${
                formatDuration(autoStep(range, d, queryDefaults(flags.value).step) * 1000)
              }`,
            })),
            { value: "fixed", text: "given step" },
          ]}
        />
        {step !== undefined && (
          <TextField
            label="Step, seconds or a duration"
            width={5}
            value={formatDuration(step * 1000)}
            check={(text) => (parseDuration(text) ?? 0) > 0 ? undefined : "Write a step like 30s"}
            onChange={(text) => panel.set({ step: parseDuration(text)! / 1000 })}
          />
        )}
      </span>
      <Segmented<PanelOptions["display"]>
        label="Display"
        value={display}
        onChange={(value) => panel.set({ display: value })}
        options={[
          { value: "lines", text: "Lines" },
          { value: "stacked", text: "Stacked" },
          {
            value: "heatmap",
            text: "Heat map",
            title: "Histograms: native ones, or buckets by le",
          },
        ]}
      />
      <Switch
        text="From zero"
        checked={options.fromZero}
        onChange={(fromZero) => panel.set({ fromZero })}
      />
      <Switch
        text="Exemplars"
        checked={options.exemplars}
        onChange={(exemplars) => panel.set({ exemplars })}
      />
    </div>
  );
}
