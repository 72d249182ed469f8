/** The list of stores a panel may ask. */
import { useState } from "preact/hooks";
import type { StoresJson } from "../api/types.ts";
import { Button, Popover, SearchField } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { ErrorMessage } from "../parts/messages.tsx";
import { Plain } from "../parts/plain.tsx";
import { streamTitle } from "../model/blocks.ts";
import type { Panel } from "./state.ts";

/** None chosen means all. */
export function StoreFilter({ panel }: { panel: Panel }) {
  const { stores } = panel.options.value;
  return (
    <Popover
      label="Stores to ask"
      icon="list"
      text={stores.length === 0
        ? "All stores"
        : stores.length === 1
        ? stores[0]!
        : `${stores.length} stores`}
    >
      {() => <StoreList panel={panel} />}
    </Popover>
  );
}

function StoreList({ panel }: { panel: Panel }) {
  const { answer, error, reload } = useFetched<StoresJson>("/stores");
  const [search, setSearch] = useState("");
  const { stores } = panel.options.value;
  if (error !== undefined) return <ErrorMessage error={error} retry={reload} />;
  const known = Object.entries(answer?.data ?? {}).flatMap(([type, list]) =>
    list.map(({ name, labelSets }) => ({ type, name, labelSets: labelSets ?? [] }))
  );
  // A link may name stores that are gone: they stay visible, or nobody could take them out.
  const gone = stores.filter((name) => !known.some((store) => store.name === name))
    .map((name) => ({ type: "not known now", name, labelSets: [] }));
  const words = search.toLowerCase();
  const shown = [...known, ...gone].filter((store) =>
    JSON.stringify(store).toLowerCase().includes(words)
  );
  const toggle = (name: string, on: boolean) =>
    panel.set({ stores: on ? [...stores, name] : stores.filter((other) => other !== name) });
  return (
    <div class="store-list">
      <SearchField label="Search stores" value={search} onInput={setSearch} />
      <ul>
        {shown.map(({ type, name, labelSets }) => (
          <li key={name}>
            <label>
              <input
                type="checkbox"
                checked={stores.includes(name)}
                onChange={(event) => toggle(name, event.currentTarget.checked)}
              />
              <span>
                <span class="mono">{name}</span>
                <span class="dim">
                  {` ${type}`}
                  {labelSets.slice(0, 3).map((set, i) => (
                    <Plain key={i} text={` {${streamTitle(set)}}`} />
                  ))}
                </span>
              </span>
            </label>
          </li>
        ))}
        {shown.length === 0 && <li class="dim">No store of that name or label.</li>}
      </ul>
      <Button kind="quiet" disabled={stores.length === 0} onClick={() => panel.set({ stores: [] })}>
        Ask all stores
      </Button>
    </div>
  );
}
