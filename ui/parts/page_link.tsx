/** Links between pages that keep the application running. */
import type { ComponentChildren } from "preact";
import { useApp } from "../app/context.ts";

/** A link to a page below the prefix. */
export function PageLink(props: {
  readonly to: string;
  readonly class?: string;
  readonly current?: boolean;
  readonly title?: string;
  readonly children: ComponentChildren;
}) {
  const { router } = useApp();
  return (
    <a
      href={router.href(props.to)}
      class={props.class ?? ""}
      {...(props.title === undefined ? {} : { title: props.title })}
      {...(props.current ? { "aria-current": "page" as const } : {})}
      onClick={(event) => {
        if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        router.go(props.to);
      }}
    >
      {props.children}
    </a>
  );
}

/** One expression in the graph: of this server, or of the one that `--alert.query-url` names. */
export function ExpressionLink(props: {
  readonly expr: string;
  readonly children: ComponentChildren;
}) {
  const url = useApp().flags.value["alert.query-url"] ?? "";
  const to = graphLink(props.expr);
  const rest = { class: "mono", title: "Open in the graph", children: props.children };
  return /^https?:/i.test(url)
    ? <a href={url.replace(/\/+$/, "") + to} {...rest} />
    : <PageLink to={to} {...rest} />;
}

/** The graph page with one expression. */
export function graphLink(expr: string, tab: "0" | "1" = "1"): string {
  return `/graph?g0.expr=${encodeURIComponent(expr)}&g0.tab=${tab}`;
}
