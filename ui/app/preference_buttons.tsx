/** Theme and time zone. */
import { useState } from "preact/hooks";
import { Button, Popover, SearchField } from "../parts/controls.tsx";
import { isZone } from "../model/times.ts";
import { useApp } from "./context.ts";
import type { Theme } from "./preferences.ts";

const THEMES: readonly {
  readonly theme: Theme;
  readonly icon: "auto" | "sun" | "moon";
  readonly text: string;
}[] = [
  { theme: "auto", icon: "auto", text: "Colours as the system has them" },
  { theme: "light", icon: "sun", text: "Light colours" },
  { theme: "dark", icon: "moon", text: "Dark colours" },
];

/** Goes round through automatic, light and dark. */
export function ThemeButton() {
  const { theme } = useApp().preferences;
  const at = THEMES.findIndex((t) => t.theme === theme.value);
  const next = THEMES[(at + 1) % THEMES.length]!;
  return (
    <Button
      kind="quiet"
      icon={THEMES[at]!.icon}
      label={`${THEMES[at]!.text}; change to: ${next.text.toLowerCase()}`}
      onClick={() => theme.value = next.theme}
    />
  );
}

/** Most time zones of a list. */
const SHOWN = 40;

/** Chooses the zone of all times on the pages. */
export function ZoneButton() {
  const { preferences, clock } = useApp();
  const [search, setSearch] = useState("");
  return (
    <Popover
      text={clock.value.name}
      label={`Time zone: ${clock.value.name}`}
      quiet
      align="right"
    >
      {(close) => {
        // Only now: the list takes longer to make than the rest of the page.
        const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
        const words = search.toLowerCase().replaceAll(" ", "_");
        const known = Intl.supportedValuesOf("timeZone")
          .filter((z) => z.toLowerCase().includes(words));
        const zones = search !== "" && isZone(search) && !known.includes(search)
          ? [search, ...known]
          : known;
        const choose = (zone: string) => {
          preferences.zone.value = zone;
          close();
        };
        const entry = (zone: string, text: string) => (
          <button
            type="button"
            key={zone}
            class="menu-item"
            aria-pressed={preferences.zone.value === zone}
            onClick={() => choose(zone)}
          >
            {text}
          </button>
        );
        return (
          <div class="zone-box">
            {entry("utc", "UTC")}
            {entry("local", `This browser (${local})`)}
            <SearchField label="Search time zones" value={search} onInput={setSearch} />
            <div class="menu-list">
              {zones.slice(0, SHOWN).map((zone) => entry(zone, zone))}
              {zones.length === 0 && <p class="dim">No zone of that name.</p>}
            </div>
          </div>
        );
      }}
    </Popover>
  );
}
