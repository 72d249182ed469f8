import assert from "node:assert/strict";
import { makeMatcher } from "../model/mod.ts";
import { connectRpc, serveRpc } from "../rpc/mod.ts";
import { type Plain, ProtobufOracle } from "../rpc/testing/protobuf_oracle.ts";
import { catalogServices, RemoteCatalog } from "./catalog.ts";
import {
  type Catalog,
  compareTimestamps,
  formatTimestamp,
  parseTimestamp,
} from "./catalog_types.ts";
import {
  catalogFixture,
  exemplarsOf,
  groupOf,
  METADATA,
  STATISTICS,
  targetsOf,
} from "./testing/catalog_fixture.ts";
import {
  EXEMPLARS_RESPONSE,
  METADATA_REQUEST,
  METADATA_RESPONSE,
  RULES_REQUEST,
  RULES_RESPONSE,
  STATISTICS_REQUEST,
  STATISTICS_RESPONSE,
  TARGETS_RESPONSE,
} from "./wire_catalog.ts";

const oracle = await ProtobufOracle.load(
  "google/protobuf/timestamp.proto",
  "types.proto",
  "rules.proto",
  "targets.proto",
  "metadata.proto",
  "exemplars.proto",
  "status.proto",
);
const context = { signal: new AbortController().signal, tenant: "t" };

/** Our bytes are what the oracle reads and writes again, to the byte. */
function checkAgainstOracle(type: string, bytes: Uint8Array): Plain {
  const plain = oracle.decode(type, bytes);
  assert.deepEqual(oracle.encode(type, plain), new Uint8Array(bytes), type);
  return plain;
}

Deno.test("catalog messages are what the .proto texts say", () => {
  const value = <T>(x: T) => ({ value: x, warning: undefined });
  const rules = RULES_RESPONSE.encode(value(groupOf("0")));
  const group = checkAgainstOracle("thanos.RulesResponse", rules).group as Plain;
  assert.equal(group.name, "g");
  assert.equal(group.PartialResponseStrategy, 1);
  const alert = (group.rules as Plain[])[1]!.alert as Plain;
  assert.equal(alert.state, 3);
  assert.equal(alert.keep_firing_for_seconds, 60);
  assert.deepEqual(RULES_RESPONSE.decode(rules).value, groupOf("0"));

  const targets = TARGETS_RESPONSE.encode(value(targetsOf("0")));
  const discovery = checkAgainstOracle("thanos.TargetsResponse", targets).targets as Plain;
  assert.equal((discovery.activeTargets as Plain[])[0]!.health, 1);
  assert.deepEqual(TARGETS_RESPONSE.decode(targets).value, targetsOf("0"));

  const exemplars = EXEMPLARS_RESPONSE.encode(value(exemplarsOf("0")[0]!));
  checkAgainstOracle("thanos.ExemplarsResponse", exemplars);
  assert.deepEqual(EXEMPLARS_RESPONSE.decode(exemplars).value, exemplarsOf("0")[0]);

  const statistics = { statistics: new Map([["", STATISTICS], ["a", STATISTICS]]) };
  assert.deepEqual(
    STATISTICS_RESPONSE.decode(STATISTICS_RESPONSE.encode(value(statistics))).value,
    statistics,
  );
  const metadata = { metadata: new Map([...METADATA].map(([n, metas]) => [n, { metas }])) };
  assert.deepEqual(
    METADATA_RESPONSE.decode(METADATA_RESPONSE.encode(value(metadata))).value,
    metadata,
  );
  const warning = RULES_RESPONSE.encode({ value: undefined, warning: "" });
  assert.equal(checkAgainstOracle("thanos.RulesResponse", warning).warning, "");

  const request = RULES_REQUEST.encode({
    type: "record",
    partialResponse: "abort",
    matchers: ['{a="b"}', "x"],
    ruleNames: ["n"],
    ruleGroups: ["g"],
    files: ["f"],
  });
  const plain = checkAgainstOracle("thanos.RulesRequest", request);
  assert.deepEqual([plain.type, plain.partial_response_strategy], [2, 1]);
  checkAgainstOracle(
    "thanos.MetricMetadataRequest",
    METADATA_REQUEST.encode({ metric: "up", limit: -1, partialResponse: "warn" }),
  );
  checkAgainstOracle(
    "thanos.TSDBStatisticsRequest",
    STATISTICS_REQUEST.encode({
      tenant: "t",
      limit: 3,
      partialResponse: "warn",
      matchers: [makeMatcher("=~", "a", "b.*")],
    }),
  );
});

Deno.test("catalog messages survive hostile bytes", () => {
  const whole = RULES_RESPONSE.encode({ value: groupOf("0"), warning: undefined });
  for (let i = 0; i < whole.length; i++) {
    for (const bytes of [whole.slice(0, i), whole.with(i, whole[i]! ^ 0xff)]) {
      try {
        RULES_RESPONSE.decode(bytes);
      } catch (error) {
        assert.equal((error as Error).name, "CorruptionError", String(error));
      }
    }
  }
});

Deno.test({
  name: "a catalog over gRPC is the catalog",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const seen: unknown[] = [];
    const inner = catalogFixture("0", ["half of it"]);
    const noted = Object.fromEntries(
      Object.entries(inner).map(([name, ask]) => [name, (request: unknown, c: unknown) => {
        seen.push([name, request, (c as { tenant: string }).tenant]);
        return ask(request, c);
      }]),
    ) as unknown as Catalog;
    const server = await serveRpc({ address: "127.0.0.1:0", services: catalogServices(noted) });
    const client = connectRpc(server.address);
    const remote = new RemoteCatalog(client);
    try {
      const partialResponse = "warn";
      const rules = {
        type: "all",
        partialResponse,
        matchers: [],
        ruleNames: [],
        ruleGroups: [],
        files: [],
      } as const;
      const exemplars = { query: "m", start: -5, end: 9, partialResponse } as const;
      const statistics = {
        tenant: "",
        limit: 5,
        partialResponse,
        matchers: [],
        start: 0,
        end: 1_790_208_000_000,
      } as const;
      const warnings = ["half of it"];
      assert.deepEqual(await remote.rules(rules, context), { value: [groupOf("0")], warnings });
      const targets = { state: "dropped", partialResponse } as const;
      assert.deepEqual(await remote.targets(targets, context), {
        value: targetsOf("0"),
        warnings,
      });
      const metadata = { metric: "", limit: -1, partialResponse } as const;
      assert.deepEqual(await remote.metricMetadata(metadata, context), {
        value: METADATA,
        warnings,
      });
      assert.deepEqual(await remote.exemplars(exemplars, context), {
        value: exemplarsOf("0"),
        warnings,
      });
      assert.deepEqual(await remote.tsdbStatistics(statistics, context), {
        value: new Map([["", STATISTICS]]),
        warnings,
      });
      assert.deepEqual(seen, [
        ["rules", rules, "t"],
        ["targets", targets, "t"],
        ["metricMetadata", metadata, "t"],
        ["exemplars", exemplars, "t"],
        ["tsdbStatistics", statistics, "t"],
      ]);
    } finally {
      client.close();
      await server.stop(0);
    }
  },
});

Deno.test("timestamps keep nanoseconds and zones", () => {
  for (
    const [text, utc] of [
      ["2026-11-24T04:03:34.377215663Z", "2026-11-24T04:03:34.377215663Z"],
      ["2026-11-24T04:03:34.5+02:00", "2026-11-24T02:03:34.5Z"],
      ["2026-11-24T04:03:34Z", "2026-11-24T04:03:34Z"],
      ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"],
      ["1969-12-31T23:59:59.000000001Z", "1969-12-31T23:59:59.000000001Z"],
    ] as const
  ) assert.equal(formatTimestamp(parseTimestamp(text)), utc);
  assert.equal(parseTimestamp("yesterday"), undefined);
  assert.equal(parseTimestamp("2026-99-24T04:03:34Z"), undefined);
  assert.equal(formatTimestamp(undefined), "0001-01-01T00:00:00Z");
  assert.equal(formatTimestamp({ seconds: 1e18, nanos: 0 }), "0001-01-01T00:00:00Z");
  assert.ok(compareTimestamps({ seconds: 1, nanos: 2 }, { seconds: 1, nanos: 3 }) < 0);
});
