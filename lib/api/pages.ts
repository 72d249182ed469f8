/**
 * The web pages: one `index.html` at every path people know, and its hashed files under `/static`.
 *
 * The HTML is a template that the build makes; each answer gets the link prefix, a small JSON
 * configuration and a fresh nonce, which the Content-Security-Policy names.
 */
import type { Context, Hono } from "hono";

/** A file of the pages with its compressed twins. */
export interface PageFile {
  readonly type: string;
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly br?: Uint8Array<ArrayBuffer>;
  readonly gzip?: Uint8Array<ArrayBuffer>;
}

/** Everything the build made, or why it is not there. */
export type PageSet =
  | { readonly index: string; readonly files: ReadonlyMap<string, PageFile> }
  | { readonly problem: string };

/** What the routes need. */
export interface PageParts {
  /** Reads the built pages; asked at each page until it has them. */
  readonly load: () => Promise<PageSet>;
  /** Name of the command: decides menu and first page. */
  readonly component: string;
  readonly version: string;
  /** Path under which this server has its routes. */
  readonly routePrefix: string;
  /** Path or URL put before every link; wins over the header. */
  readonly externalPrefix: string;
  /** Name of a request header with the prefix of links, "" for none. */
  readonly prefixHeader: string;
}

/** Paths of the pages: Thanos' and Prometheus' own, and those only we have. */
export const PAGE_PATHS: readonly string[] = [
  "/",
  "/graph",
  "/query",
  "/stores",
  "/blocks",
  "/loaded",
  "/global",
  "/cardinality",
  "/tsdb-status",
  "/alerts",
  "/rules",
  "/targets",
  "/status",
  "/flags",
  "/config",
  "/queries",
  "/service-discovery",
];

const NO_CACHE = "no-cache";
const FOREVER = "public, max-age=31536000, immutable";

/** Adds the pages; before any route that would answer `/`. */
export function addPageRoutes(app: Hono, parts: PageParts): void {
  for (const path of PAGE_PATHS) get(app, path, (c) => page(c, parts));
  get(app, "/static/*", async (c) => {
    const name = c.req.path.slice(c.req.path.indexOf("/static/") + 1);
    return await file(c, parts, name, FOREVER);
  });
  get(app, "/favicon.ico", async (c) => {
    const set = await parts.load();
    const icon = "files" in set ? [...set.files.keys()].find((n) => n.endsWith(".svg")) : undefined;
    return icon === undefined ? c.notFound() : await file(c, parts, icon, NO_CACHE);
  });
  get(
    app,
    "/manifest.json",
    () =>
      Response.json({ name: "Mneme", short_name: "Mneme", start_url: "./", display: "standalone" }),
  );
}

function get(app: Hono, path: string, run: (c: Context) => Response | Promise<Response>): void {
  app.get(path, (c) => c.req.raw.method === "HEAD" ? refuse() : run(c));
  app.all(path, refuse);
}

function refuse(): Response {
  return new Response("Method Not Allowed\n", {
    status: 405,
    headers: { "content-type": "text/plain; charset=utf-8", allow: "GET" },
  });
}

async function page(c: Context, parts: PageParts): Promise<Response> {
  const set = await parts.load();
  const nonce = crypto.randomUUID().replaceAll("-", "");
  const html = "problem" in set ? problemPage(parts.component, set.problem) : fill(set.index, {
    prefix: escapeHtml(linkPrefix(c, parts)),
    nonce,
    // `<` would end the script element or open a comment inside it.
    config: JSON.stringify({
      prefix: linkPrefix(c, parts),
      component: parts.component,
      version: parts.version,
    }).replaceAll("<", "\\u003c"),
  });
  return new Response(html, {
    status: "problem" in set ? 503 : 200,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": NO_CACHE,
      "content-security-policy": contentSecurityPolicy(nonce),
      "x-content-type-options": "nosniff",
      "referrer-policy": "same-origin",
    },
  });
}

/** Nothing from elsewhere, no inline code or style but what carries the nonce. */
export function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'self' 'nonce-${nonce}'`,
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
  ].join("; ");
}

function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{\{ (\w+) \}\}/g, (all, name: string) => values[name] ?? all);
}

async function file(
  c: Context,
  parts: PageParts,
  name: string,
  caching: string,
): Promise<Response> {
  const set = await parts.load();
  const found = "files" in set ? set.files.get(name) : undefined;
  if (found === undefined) return c.notFound();
  const accepted = c.req.header("accept-encoding") ?? "";
  const br = found.br !== undefined && accepts(accepted, "br");
  const gzip = !br && found.gzip !== undefined && accepts(accepted, "gzip");
  const body = br ? found.br! : gzip ? found.gzip! : found.plain;
  return new Response(body, {
    headers: {
      "content-type": found.type,
      "content-length": String(body.length),
      "cache-control": caching,
      "x-content-type-options": "nosniff",
      ...(br || gzip ? { "content-encoding": br ? "br" : "gzip", vary: "Accept-Encoding" } : {}),
    },
  });
}

function accepts(header: string, encoding: string): boolean {
  return header.split(",").some((part) => {
    const [name, ...params] = part.trim().toLowerCase().split(/\s*;\s*/);
    return name === encoding && !params.some((p) => /^q=0(?:\.0*)?$/.test(p));
  });
}

/** The path before links: the external prefix, else the header's, else where the routes are. */
export function linkPrefix(c: Context, parts: PageParts): string {
  if (parts.externalPrefix !== "") return cleanPrefix(parts.externalPrefix);
  const header = parts.prefixHeader === "" ? undefined : c.req.header(parts.prefixHeader);
  if (header !== undefined && header !== "") return cleanPrefix(header);
  return cleanPrefix(parts.routePrefix);
}

/** The path of a prefix, cleaned: `/foo/` and `foo` are `/foo`, `http://evil/x` is `/x`. */
export function cleanPrefix(text: string): string {
  let path = text.trim();
  const scheme = /^[a-z][a-z0-9+.-]*:(?=\/\/)/i.exec(path);
  if (scheme !== null) path = path.slice(scheme[0].length);
  // What follows two slashes is a host, never part of a path of ours.
  if (/^[/\\]{2}/.test(path)) path = path.replace(/^[/\\]{2}[^/\\]*/, "");
  const kept: string[] = [];
  for (const part of path.split(/[?#]/)[0]!.split(/[/\\]+/)) {
    if (part === "..") kept.pop();
    else if (part !== "" && part !== ".") kept.push(encodeURI(safeDecode(part)));
  }
  return kept.length === 0 ? "" : `/${kept.join("/")}`;
}

function safeDecode(text: string): string {
  try {
    return decodeURI(text);
  } catch {
    return text;
  }
}

function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (c) => entities[c]!);
}

function problemPage(component: string, problem: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mneme ${
    escapeHtml(component)
  }</title></head><body><h1>Mneme ${escapeHtml(component)}</h1><p>${
    escapeHtml(problem)
  }</p><p>The HTTP API works without the pages.</p></body></html>\n`;
}
