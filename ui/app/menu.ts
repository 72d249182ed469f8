/** Which pages a component has. */

/** An entry of the menu. */
export interface MenuItem {
  readonly path: string;
  readonly text: string;
  /** Second key after `g`. */
  readonly key: string;
}

const GRAPH: MenuItem = { path: "/graph", text: "Graph", key: "g" };
const STORES: MenuItem = { path: "/stores", text: "Stores", key: "s" };
const BLOCKS: MenuItem = { path: "/blocks", text: "Blocks", key: "b" };
const LOADED: MenuItem = { path: "/loaded", text: "Loaded blocks", key: "l" };
const CARDINALITY: MenuItem = { path: "/cardinality", text: "Cardinality", key: "c" };
const ALERTS: MenuItem = { path: "/alerts", text: "Alerts", key: "a" };
const RULES: MenuItem = { path: "/rules", text: "Rules", key: "r" };
const TARGETS: MenuItem = { path: "/targets", text: "Targets", key: "t" };
const QUERIES: MenuItem = { path: "/queries", text: "Running queries", key: "q" };
const STATUS: MenuItem = { path: "/status", text: "Status", key: "i" };

const QUERY = [GRAPH, STORES, CARDINALITY, ALERTS, RULES, TARGETS, QUERIES, STATUS];

const MENUS: Readonly<Record<string, readonly MenuItem[]>> = {
  query: QUERY,
  "query-frontend": QUERY,
  standalone: [GRAPH, STORES, BLOCKS, ...QUERY.slice(2)],
  store: [LOADED, STATUS],
  compact: [BLOCKS, LOADED, STATUS],
  "bucket-web": [BLOCKS, STATUS],
  rule: [ALERTS, RULES, STATUS],
};

/** The menu of a component; the first entry is its first page. */
export function menuOf(component: string): readonly MenuItem[] {
  return Object.hasOwn(MENUS, component) ? MENUS[component]! : [STATUS];
}

/** Other paths of the same pages, as the field's links have them. */
const ALIASES: Readonly<Record<string, string>> = {
  "/query": "/graph",
  "/global": "/blocks",
  "/tsdb-status": "/cardinality",
  "/flags": "/status",
  "/config": "/status",
  "/service-discovery": "/targets",
};

/** The page of a path. */
export function pageOf(path: string): string {
  return Object.hasOwn(ALIASES, path) ? ALIASES[path]! : path;
}
