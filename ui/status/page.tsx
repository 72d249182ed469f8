/** What runs here: process, build, flags, configuration. */
import { useState } from "preact/hooks";
import { useApp } from "../app/context.ts";
import { ago } from "../model/times.ts";
import { SearchField } from "../parts/controls.tsx";
import { type Fetched, useFetched } from "../parts/fetched.tsx";
import { Empty, ErrorMessage, Loading } from "../parts/messages.tsx";
import { Plain } from "../parts/plain.tsx";

type Facts = Readonly<Record<string, unknown>>;

const NAMES: Readonly<Record<string, string>> = {
  startTime: "Started",
  CWD: "Working folder",
  GOMAXPROCS: "CPU cores",
  version: "Version",
  revision: "Revision",
  branch: "Branch",
  buildUser: "Built by",
  buildDate: "Built",
  goVersion: "Runtime",
};

export function StatusPage() {
  const runtime = useFetched<Facts>("/status/runtimeinfo");
  const build = useFetched<Facts>("/status/buildinfo");
  return (
    <div class="page">
      <div class="page-head">
        <h1>Status</h1>
      </div>
      <div class="tables two">
        <FactTable title="Process" facts={runtime} />
        <FactTable title="Build" facts={build} />
      </div>
      <Flags />
      <Configuration />
    </div>
  );
}

function FactTable({ title, facts }: { title: string; facts: Fetched<Facts> }) {
  const { clock } = useApp();
  const text = (name: string, value: unknown) => {
    const time = name === "startTime" ? Date.parse(String(value)) : NaN;
    return Number.isNaN(time)
      ? String(value)
      : `${clock.value.format(time)} (${ago(time, Date.now())})`;
  };
  return (
    <section class="card">
      <h2 class="card-title">{title}</h2>
      {facts.error !== undefined && <ErrorMessage error={facts.error} retry={facts.reload} />}
      {facts.answer === undefined && facts.error === undefined && <Loading />}
      {facts.answer !== undefined && (
        <table class="grid">
          <tbody>
            {Object.entries(facts.answer.data)
              .filter(([, value]) => value !== "" && value !== 0 && typeof value !== "object")
              .map(([name, value]) => (
                <tr key={name}>
                  <th scope="row">{Object.hasOwn(NAMES, name) ? NAMES[name] : name}</th>
                  <td class="mono">
                    <Plain text={text(name, value)} />
                  </td>
                </tr>
              ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Flags() {
  const { answer, error, reload } = useFetched<Readonly<Record<string, string>>>("/status/flags");
  const [search, setSearch] = useState("");
  const words = search.toLowerCase();
  const all = Object.entries(answer?.data ?? {}).sort(([a], [b]) => a < b ? -1 : 1);
  const shown = all.filter(([name, value]) => `${name} ${value}`.toLowerCase().includes(words));
  return (
    <section class="card" id="flags">
      <div class="card-head">
        <h2>Flags</h2>
        <span class="dim">
          {shown.length === all.length ? all.length : `${shown.length} of ${all.length}`}
        </span>
        <span class="space" />
        <SearchField label="Search flags" value={search} onInput={setSearch} />
      </div>
      {error !== undefined && <ErrorMessage error={error} retry={reload} />}
      {answer !== undefined && shown.length === 0 && <Empty title="No flag matches" />}
      <div class="scroll">
        <table class="grid">
          <tbody>
            {shown.map(([name, value]) => (
              <tr key={name}>
                <th scope="row" class="mono">{`--${name}`}</th>
                <td class="mono">
                  {value === ""
                    ? <span class="dim">empty</span>
                    : <Plain class="flag-value" text={value} />}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** No component has a configuration besides its flags; the path is in people's links. */
function Configuration() {
  return (
    <section class="card" id="config">
      <h2 class="card-title">Configuration</h2>
      <p class="dim pad">This component is configured by its flags alone.</p>
    </section>
  );
}
