/** The request logging document. */
import assert from "node:assert/strict";
import { readRequestLogging } from "./mod.ts";

const read = (document: string) => readRequestLogging(document, "--request.logging-config");

Deno.test("readRequestLogging() lets options of a protocol replace the common ones", () => {
  assert.deepEqual(read(""), { http: undefined, grpc: undefined });
  assert.deepEqual(read("options: {level: DEBUG}"), { http: undefined, grpc: undefined });
  assert.deepEqual(
    read(`options: {level: DEBUG, decision: {log_start: true, log_end: true}}
http:
  options: {level: INFO, decision: {log_end: true}}
  config: [{path: /api/v1/query, port: 10902}]
grpc:
  config: [{service: thanos.Store, method: Series}]
`),
    {
      http: { start: false, end: true, targets: new Set(["/api/v1/query:10902"]) },
      grpc: { start: true, end: true, targets: new Set(["/thanos.Store/Series"]) },
    },
  );
});

const WRONG: readonly [string, RegExp][] = [
  ["options: {decision: {log_end: true}}", /--request\.logging-config: level field is empty/],
  ["options: {level: LOUD, decision: {log_end: true}}", /level 'LOUD' is not one of DEBUG, INFO/],
  ["options: {level: INFO, decision: {log_start: true}}", /log_start without log_end/],
  ["optoins: {}", /optoins: unknown key, did you mean 'options'/],
];
for (const [document, message] of WRONG) {
  Deno.test(`readRequestLogging() refuses ${document}`, () => {
    assert.throws(() => read(document), { message });
  });
}
