/** An instant's answer as a table: filtered, sorted, and with rows that exist only when seen. */
import { useMemo, useState } from "preact/hooks";
import type { HistogramJson, QueryData, VectorSeries } from "../api/types.ts";
import { differingLabels, formatSeries } from "../model/labels.ts";
import { counted, parseSample } from "../model/numbers.ts";
import { Button, SearchField, Select } from "../parts/controls.tsx";
import { SeriesName } from "../parts/labels.tsx";
import { Empty } from "../parts/messages.tsx";
import { VirtualRows } from "../parts/virtual_rows.tsx";
import { HistogramBars } from "./histogram_bars.tsx";
import { Plain } from "../parts/plain.tsx";

/** Rows up to which a table is laid out whole, with lines as high as they need. */
const WHOLE = 100;
const ROW = 28;

type Order = "none" | "value-down" | "value-up" | "name";

interface Row {
  readonly labels: Readonly<Record<string, string>>;
  readonly text: string;
  readonly value: string;
  readonly histogram: HistogramJson | undefined;
}

function rowsOf(data: QueryData): Row[] {
  if (data.resultType === "vector") return data.result.map(vectorRow);
  if (data.resultType === "matrix") {
    return data.result.map(({ metric, values = [], histograms = [] }) => ({
      labels: metric,
      text: formatSeries(metric),
      value: values.length > 0
        ? values.map(([time, value]) => `${value} @${time}`).join("\n")
        : `${histograms.length} histograms`,
      histogram: histograms.at(-1)?.[1],
    }));
  }
  const [, value] = data.result;
  return [{ labels: {}, text: data.resultType, value, histogram: undefined }];
}

function vectorRow({ metric, value, histogram }: VectorSeries): Row {
  return {
    labels: metric,
    text: formatSeries(metric),
    value: value?.[1] ?? "",
    histogram: histogram?.[1],
  };
}

/** The table tab. */
export function ResultTable({ data }: { data: QueryData }) {
  const [filter, setFilter] = useState("");
  const [order, setOrder] = useState<Order>("none");
  const [columns, setColumns] = useState(false);
  const rows = useMemo(() => rowsOf(data), [data]);
  const shown = useMemo(() => sortRows(filterRows(rows, filter), order), [rows, filter, order]);
  const names = useMemo(() => columns ? differingLabels(rows.map((r) => r.labels)) : [], [
    columns,
    rows,
  ]);
  if (rows.length === 0) {
    return (
      <Empty title="No series at this time">
        Nothing matches. Is the metric's name right, and did it exist at the chosen time? The graph
        shows a whole range; with store filtering or a tenant, less may be visible.
      </Empty>
    );
  }
  const single = data.resultType === "scalar" || data.resultType === "string";
  return (
    <div class="result">
      {rows.length > 1 && (
        <div class="result-tools">
          <SearchField label="Filter rows" value={filter} onInput={setFilter} />
          <Select<Order>
            label="Order"
            value={order}
            onChange={setOrder}
            options={[
              { value: "none", text: "As answered" },
              { value: "value-down", text: "Largest first" },
              { value: "value-up", text: "Smallest first" },
              { value: "name", text: "By labels" },
            ]}
          />
          {data.resultType === "vector" && (
            <Button
              kind="quiet"
              pressed={columns}
              onClick={() => setColumns(!columns)}
            >
              Columns
            </Button>
          )}
          <span class="dim">
            {shown.length === rows.length
              ? counted(rows.length, "row")
              : `${shown.length} of ${counted(rows.length, "row")}`}
          </span>
        </div>
      )}
      {shown.length === 0 && <Empty title="No row matches the filter" />}
      {shown.length > 0 && columns && <ColumnTable rows={shown} names={names} />}
      {shown.length > 0 && !columns && shown.length <= WHOLE && (
        <table class="grid values">
          <thead class="unseen">
            <tr>
              <th>Series</th>
              <th>Value</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((row, i) => (
              <tr key={i}>
                <td>
                  {single
                    ? <span class="dim">{row.text}</span>
                    : <SeriesName labels={row.labels} />}
                </td>
                <td class="number">
                  <Value row={row} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {shown.length > WHOLE && !columns && (
        <VirtualRows
          class="values"
          label="Series and values"
          rows={shown}
          rowHeight={ROW}
          maxHeight={ROW * 20}
          row={(row, i) => (
            <div key={i} role="row" class="virtual-row" title={row.text}>
              <div role="cell" class="cut">
                <SeriesName labels={row.labels} />
              </div>
              <div role="cell" class="number">
                {row.histogram === undefined ? row.value : `count ${row.histogram.count}`}
              </div>
            </div>
          )}
        />
      )}
    </div>
  );
}

/** A column for each label that differs. */
function ColumnTable({ rows, names }: { rows: readonly Row[]; names: readonly string[] }) {
  const template = {
    gridTemplateColumns: `repeat(${names.length}, minmax(90px, 1fr)) minmax(120px, auto)`,
  };
  return (
    <VirtualRows
      class="values columns"
      label="Values by label"
      rows={rows}
      rowHeight={ROW}
      maxHeight={ROW * 20}
      head={
        <div role="row" class="virtual-row head" style={template}>
          {names.map((name) => <div key={name} role="columnheader">{name}</div>)}
          <div role="columnheader" class="number">Value</div>
        </div>
      }
      row={(row, i) => (
        <div key={i} role="row" class="virtual-row" style={template}>
          {names.map((name) => (
            <div key={name} role="cell" class="cut">
              <Plain text={row.labels[name] ?? ""} />
            </div>
          ))}
          <div role="cell" class="number">
            {row.histogram === undefined ? row.value : `count ${row.histogram.count}`}
          </div>
        </div>
      )}
    />
  );
}

function Value({ row }: { row: Row }) {
  return row.histogram === undefined
    ? <span class="value">{row.value}</span>
    : <HistogramBars histogram={row.histogram} />;
}

function filterRows(rows: readonly Row[], filter: string): readonly Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return rows;
  return rows.filter(({ text, value }) => {
    const all = `${text} ${value}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

function sortRows(rows: readonly Row[], order: Order): readonly Row[] {
  if (order === "none") return rows;
  if (order === "name") return rows.toSorted((a, b) => a.text < b.text ? -1 : 1);
  const value = ({ histogram, value }: Row) => parseSample(histogram?.count ?? value);
  const sign = order === "value-up" ? 1 : -1;
  // NaN last, whichever way round.
  return rows.toSorted((a, b) => {
    const x = value(a);
    const y = value(b);
    if (Number.isNaN(x) || Number.isNaN(y)) {
      return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    }
    return sign * (x - y) || 0;
  });
}
