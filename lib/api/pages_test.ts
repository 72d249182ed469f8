import assert from "node:assert/strict";
import { Hono } from "hono";
import { Metrics, Probe, silentLogger } from "../telemetry/mod.ts";
import { createApp } from "./app.ts";
import { addPageRoutes, cleanPrefix, PAGE_PATHS, type PageParts, type PageSet } from "./pages.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const SET: PageSet = {
  index: '<a href="{{ prefix }}/x"></a><s nonce="{{ nonce }}"></s><j>{{ config }}</j>{{ other }}',
  files: new Map([
    ["static/main-ABC.js", {
      type: "text/javascript; charset=utf-8",
      plain: bytes("plain"),
      br: bytes("br"),
      gzip: bytes("gz"),
    }],
    ["static/icon-X.svg", { type: "image/svg+xml", plain: bytes("<svg/>") }],
  ]),
};

function app(parts: Partial<PageParts> = {}): Hono {
  const made = new Hono();
  addPageRoutes(made, {
    load: () => Promise.resolve(SET),
    component: "query",
    version: "1.0.0",
    routePrefix: "",
    externalPrefix: "",
    prefixHeader: "",
    ...parts,
  });
  return made;
}

Deno.test("every page's path answers the index with its nonce in the policy", async () => {
  for (const path of PAGE_PATHS) {
    const answer = await app().request(path);
    const html = await answer.text();
    assert.equal(answer.status, 200, path);
    assert.equal(answer.headers.get("cache-control"), "no-cache");
    const policy = answer.headers.get("content-security-policy")!;
    const [, nonce] = /nonce="(\w+)"/.exec(html)!;
    assert.ok(policy.includes(`script-src 'self' 'nonce-${nonce}'`), policy);
    assert.ok(!policy.includes("unsafe"), policy);
    assert.ok(
      html.includes('<j>{"prefix":"","component":"query","version":"1.0.0"}</j>{{ other }}'),
      html,
    );
  }
  const [a, b] = await Promise.all([1, 2].map(async () => await (await app().request("/")).text()));
  assert.notEqual(a, b, "a nonce is used once");
});

Deno.test("links follow the external prefix, else the header, else the route prefix", async () => {
  const link = async (parts: Partial<PageParts>, headers: Record<string, string> = {}) => {
    const html = await (await app(parts).request("/graph", { headers })).text();
    return /href="([^"]*)\/x"/.exec(html)![1];
  };
  const header = { "x-forwarded-prefix": "/from/header/" };
  assert.equal(await link({}), "");
  assert.equal(await link({ routePrefix: "/route" }), "/route");
  assert.equal(await link({ externalPrefix: "https://h/ext/", routePrefix: "/route" }), "/ext");
  assert.equal(await link({ prefixHeader: "X-Forwarded-Prefix" }, header), "/from/header");
  assert.equal(
    await link({ prefixHeader: "X-Forwarded-Prefix", externalPrefix: "/e" }, header),
    "/e",
  );
  assert.equal(await link({}, header), "", "a header nobody asked for");
});

Deno.test("cleanPrefix() keeps a path and nothing else", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["/foo/", "/foo"],
    ["foo", "/foo"],
    ["/foo/../bar", "/bar"],
    ["http://evil/x", "/x"],
    ["//evil", ""],
    ["\\\\evil/x", "/x"],
    ["/../../a//b/./c", "/a/b/c"],
    ["/a?b#c", "/a"],
    ['/"><script>alert(1)</script>', "/%22%3E%3Cscript%3Ealert(1)%3C/script%3E"],
    ["javascript:alert(1)", "/javascript:alert(1)"],
    ["", ""],
  ];
  for (const [text, expected] of rows) assert.equal(cleanPrefix(text), expected, text);
});

Deno.test("below a route prefix the pages answer with and without the last slash", async () => {
  const metrics = new Metrics();
  const probe = new Probe("query", { metrics, logger: silentLogger });
  const options = { component: "query", probe, metrics, logger: silentLogger };
  const base = createApp({ ...options, routePrefix: "/p" }, (api) => {
    addPageRoutes(api, {
      load: () => Promise.resolve(SET),
      component: "query",
      version: "1",
      routePrefix: "/p",
      externalPrefix: "",
      prefixHeader: "",
    });
  });
  for (const path of ["/p", "/p/", "/p/?a=1", "/p/graph"]) {
    const answer = await base.request(path);
    assert.equal(answer.status, 200, path);
    assert.ok((await answer.text()).includes('href="/p/x"'), path);
  }
  assert.equal((await base.request("/")).headers.get("location"), "/p/");
});

Deno.test("what a header holds cannot leave the attribute or the script it stands in", async () => {
  const hostile = "/</script><script>alert(1)</script>'\"&";
  const answer = await app({ prefixHeader: "x-p" }).request("/", { headers: { "x-p": hostile } });
  const html = await answer.text();
  assert.ok(!html.includes("<script>"), html);
  assert.equal(html.match(/</g)!.length, 6, html);
});

Deno.test("files come in the encoding that was accepted, and stay in caches", async () => {
  const rows: readonly (readonly [string, string, string | null])[] = [
    ["", "plain", null],
    ["gzip", "gz", "gzip"],
    ["gzip, br", "br", "br"],
    ["br;q=0, gzip", "gz", "gzip"],
    ["identity", "plain", null],
  ];
  for (const [accepted, body, encoding] of rows) {
    const answer = await app().request("/static/main-ABC.js", {
      headers: { "accept-encoding": accepted },
    });
    assert.equal(answer.headers.get("content-encoding"), encoding, accepted);
    assert.equal(answer.headers.get("content-type"), "text/javascript; charset=utf-8");
    assert.match(answer.headers.get("cache-control")!, /immutable/);
    assert.equal(await answer.text(), body);
  }
  const icon = await app().request("/favicon.ico");
  assert.equal(icon.headers.get("content-type"), "image/svg+xml");
  assert.equal((await app().request("/static/none.js")).status, 404);
  assert.equal((await app().request("/static/../secret")).status, 404);
  assert.equal((await app().request("/graph", { method: "POST" })).status, 405);
  assert.equal((await app().request("/graph", { method: "HEAD" })).status, 405);
});

Deno.test("pages that could not be built are a sentence, not a blank page", async () => {
  const load = () => Promise.resolve({ problem: 'run "deno task ui" & <wait>' });
  const answer = await app({ load }).request("/graph");
  assert.equal(answer.status, 503);
  assert.ok((await answer.text()).includes("run &quot;deno task ui&quot; &amp; &lt;wait&gt;"));
  assert.equal((await app({ load }).request("/static/main-ABC.js")).status, 404);
});
