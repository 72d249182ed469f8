import assert from "node:assert/strict";
import { metricEntries, searchMetrics } from "./metric_search.ts";

const METADATA = {
  http_requests_total: [{ type: "counter", help: "Requests served.", unit: "" }],
  latency_seconds: [{ type: "histogram", help: "Time per request.", unit: "seconds" }],
  constructor: [{ type: "unknown", help: "odd" }],
};
const ALL = metricEntries(
  ["constructor", "go_goroutines", "http_requests_total", "latency_seconds_bucket", "toString"],
  METADATA,
);

Deno.test("metricEntries() finds metadata of a metric's series, and none where none is", () => {
  assert.deepEqual(ALL.map(({ name, type, help }) => [name, type, help]), [
    ["constructor", "", "odd"],
    ["go_goroutines", "", ""],
    ["http_requests_total", "counter", "Requests served."],
    ["latency_seconds_bucket", "histogram", "Time per request."],
    ["toString", "", ""],
  ]);
});

Deno.test("searchMetrics() wants every word, and puts names before descriptions", () => {
  const names = (text: string) => searchMetrics(ALL, text).map(({ name }) => name);
  assert.deepEqual(names("request"), ["http_requests_total", "latency_seconds_bucket"]);
  assert.deepEqual(names("HISTOGRAM time"), ["latency_seconds_bucket"]);
  assert.deepEqual(
    names("t"),
    [
      "toString",
      "constructor",
      "go_goroutines",
      "http_requests_total",
      "latency_seconds_bucket",
    ].filter((name) => name.toLowerCase().includes("t")),
  );
  assert.deepEqual(names("requests latency"), []);
  assert.equal(names("  ").length, ALL.length);
});
