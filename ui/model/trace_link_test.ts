import assert from "node:assert/strict";
import { templateProblem, traceLink } from "./trace_link.ts";

const TEMPLATE = "https://traces.example.com/trace/{trace_id}?from=mneme";

Deno.test("traceLink() puts the ID where the template wants it, whatever the label's spelling", () => {
  for (const name of ["trace_id", "traceID", "TraceId", "traceid"]) {
    assert.equal(
      traceLink(TEMPLATE, { [name]: "abc1", span_id: "9" }),
      "https://traces.example.com/trace/abc1?from=mneme",
    );
  }
  assert.equal(
    traceLink("http://t:16686/x?trace={trace_id}&span={span_id}", { traceID: "a", spanID: "b" }),
    "http://t:16686/x?trace=a&span=b",
  );
  assert.equal(traceLink(TEMPLATE, { span_id: "9" }), undefined);
  assert.equal(traceLink(TEMPLATE, { trace_id: "" }), undefined);
  assert.equal(traceLink("", { trace_id: "a" }), undefined);
});

Deno.test("traceLink() leads nowhere but to the template's host and path", () => {
  const hostile = [
    "javascript:alert(1)",
    "../../admin",
    "..",
    "//evil.example.com/",
    "a@evil.example.com",
    "a?x=1#y",
    "\\evil",
    "a\r\nb",
  ];
  for (const id of hostile) {
    const link = new URL(traceLink(TEMPLATE, { trace_id: id })!);
    assert.equal(link.origin, "https://traces.example.com", id);
    assert.ok(link.pathname.startsWith("/trace/"), `${id}: ${link.pathname}`);
    assert.equal(link.search, "?from=mneme", id);
    assert.equal(link.hash, "", id);
  }
});

Deno.test("templateProblem() refuses whatever is no web address with a place for the ID", () => {
  for (const good of ["", TEMPLATE, "http://localhost:3200/{trace_id}"]) {
    assert.equal(templateProblem(good), undefined, good);
  }
  for (
    const bad of [
      "javascript:alert('{trace_id}')",
      "data:text/html,{trace_id}",
      "traces.example.com/{trace_id}",
      "https://traces.example.com/",
      "https://{trace_id}/",
      "https://x.{trace_id}.example.com/",
      "https://user:pass@host/{trace_id}",
      "https://",
    ]
  ) {
    assert.notEqual(templateProblem(bad), undefined, bad);
    assert.equal(traceLink(bad, { trace_id: "a" }), undefined, bad);
  }
});
