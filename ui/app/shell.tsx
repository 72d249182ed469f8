/** The frame of all pages: menu, preferences, shortcuts, and the page itself. */
import { type ComponentType } from "preact";
import { useEffect, useErrorBoundary, useState } from "preact/hooks";
import { AlertsPage } from "../status/alerts.tsx";
import { BlocksPage } from "../blocks/page.tsx";
import { CardinalityPage } from "../cardinality/page.tsx";
import { GraphPage } from "../graph/page.tsx";
import { Button } from "../parts/controls.tsx";
import { Icon } from "../parts/icon.tsx";
import { Empty, ErrorMessage } from "../parts/messages.tsx";
import { PageLink } from "../parts/page_link.tsx";
import { QueriesPage } from "../status/queries.tsx";
import { RulesPage } from "../status/rules.tsx";
import { StatusPage } from "../status/page.tsx";
import { StoresPage } from "../stores/page.tsx";
import { TargetsPage } from "../status/targets.tsx";
import { useApp } from "./context.ts";
import { menuOf, pageOf } from "./menu.ts";
import { Palette } from "./palette.tsx";
import { ThemeButton, ZoneButton } from "./preference_buttons.tsx";
import { ShortcutSheet } from "./shortcut_sheet.tsx";

const PAGES: Readonly<Record<string, ComponentType>> = {
  "/graph": GraphPage,
  "/stores": StoresPage,
  "/blocks": () => <BlocksPage key="global" view="global" />,
  "/loaded": () => <BlocksPage key="loaded" view="loaded" />,
  "/cardinality": CardinalityPage,
  "/alerts": AlertsPage,
  "/rules": RulesPage,
  "/targets": TargetsPage,
  "/queries": QueriesPage,
  "/status": StatusPage,
};

/** The whole. */
export function Shell() {
  const app = useApp();
  const { config, router } = app;
  const menu = menuOf(config.component);
  const path = pageOf(router.route.value.path === "/" ? menu[0]!.path : router.route.value.path);
  const [overlay, setOverlay] = useState<"palette" | "shortcuts">();
  useShortcuts(setOverlay);
  const title = menu.find((item) => item.path === path)?.text ?? "Mneme";
  useEffect(() => {
    document.title = `${title} · Mneme ${config.component}`;
  }, [title, config.component]);
  const Page = PAGES[path];
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header class="top">
        <PageLink to={menu[0]!.path} class="brand">
          <Mark />
          <span>Mneme</span>
          <span class="component">{config.component}</span>
        </PageLink>
        <nav aria-label="Pages">
          {menu.map((item) => (
            <PageLink key={item.path} to={item.path} current={item.path === path}>
              {item.text}
            </PageLink>
          ))}
        </nav>
        <div class="top-end">
          <Button
            kind="quiet"
            icon="search"
            label="Go to… (Ctrl K)"
            onClick={() => setOverlay("palette")}
          />
          <ZoneButton />
          <ThemeButton />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <Guard key={path}>
          {Page === undefined
            ? (
              <Empty title="There is no such page">
                The menu above has all pages of this component.
              </Empty>
            )
            : <Page />}
        </Guard>
      </main>
      <div class="notices" role="status" aria-live="polite">
        {app.notice.value !== undefined && (
          <div class={`notice ${app.notice.value.bad ? "bad" : ""}`}>
            <Icon name={app.notice.value.bad ? "warning" : "check"} />
            {app.notice.value.text}
          </div>
        )}
      </div>
      {overlay === "palette" && <Palette menu={menu} onClose={() => setOverlay(undefined)} />}
      {overlay === "shortcuts" && (
        <ShortcutSheet
          menu={menu}
          onClose={() => setOverlay(undefined)}
        />
      )}
    </>
  );
}

/** A page that breaks leaves the menu usable and says what happened. */
function Guard({ children }: { children: preact.ComponentChildren }) {
  const [error, reset] = useErrorBoundary((thrown) => console.error(thrown));
  if (error !== undefined) {
    return (
      <div class="page">
        <ErrorMessage error={error} retry={reset} />
      </div>
    );
  }
  return <>{children}</>;
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path d="M7 23V10.500c0-1.400 1.700-2.100 2.700-1.100L16 15.700l6.300-6.300c1-1 2.700-.3 2.700 1.100V23" />
      <circle cx="16" cy="23" r="2" />
    </svg>
  );
}

/** `?` shows the sheet, Ctrl K the palette, `g` and a letter go to a page. */
function useShortcuts(show: (overlay: "palette" | "shortcuts") => void): void {
  const { config, router } = useApp();
  useEffect(() => {
    let waiting = 0;
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        show("palette");
        return;
      }
      const target = event.target as HTMLElement;
      const typing = target.closest(
        "input:not([type=checkbox]), textarea, select, [contenteditable=true], dialog",
      );
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "?") show("shortcuts");
      else if (performance.now() - waiting < 1500) {
        waiting = 0;
        const item = menuOf(config.component).find(({ key }) => key === event.key);
        if (item !== undefined) router.go(item.path);
      } else if (event.key === "g") waiting = performance.now();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
