import assert from "node:assert/strict";
import { encodeSeriesData, floatSeries } from "../storeapi/testing/fixtures.ts";
import { queryFixture, START } from "./testing/query_fixture.ts";

const series = ["tenant-01", "tenant-02", "default-tenant"].flatMap((tenant) => [
  encodeSeriesData(
    floatSeries({ __name__: "c", tenant_id: tenant, [`only_${tenant}`]: "x" }, START, 40),
  ),
]);

type Query = Record<string, string | string[]>;

function asTenant(tenants: Parameters<typeof queryFixture>[0] = {}) {
  const { ask } = queryFixture({ store: { series }, ...tenants });
  return async (path: string, params: Query, headers: Record<string, string> = {}) => {
    const answer = await ask(path, params, { headers });
    return { status: answer.status, body: await answer.json() };
  };
}

Deno.test("enforced tenancy answers from the tenant's series only, whatever is asked", async () => {
  const ask = asTenant({ tenants: { enforced: true } });
  const first = { "THANOS-TENANT": "tenant-01" };
  const owners = async (query: string, headers = {}) => {
    const { body } = await ask("/query", { query }, headers);
    return body.data.result.map((s: { metric: { tenant_id: string } }) => s.metric.tenant_id);
  };
  assert.deepEqual(await owners("c"), ["default-tenant"]);
  assert.deepEqual(await owners("c", first), ["tenant-01"]);
  assert.deepEqual(await owners('{tenant_id="tenant-02"}', first), ["tenant-01"], "replaced");
  assert.deepEqual(await owners('c{tenant_id=~".+"} or c offset 1s', first), ["tenant-01"]);
  assert.deepEqual(
    await owners("sum by (tenant_id) (max_over_time(c[1m:10s]) + -(c)) >= 0", first),
    ["tenant-01"],
  );
  const range = { query: "c", start: String(START / 1000), end: String(START / 1000 + 60) };
  const matrix = (await ask("/query_range", range, first)).body.data.result;
  assert.deepEqual(
    matrix.map((s: { metric: unknown }) => s.metric),
    [
      { __name__: "c", only_tenant: undefined, "only_tenant-01": "x", tenant_id: "tenant-01" },
    ].map(({ only_tenant: _, ...rest }) => rest),
  );
  assert.deepEqual((await ask("/labels", {}, first)).body.data, [
    "__name__",
    "only_tenant-01",
    "tenant_id",
  ]);
  assert.deepEqual((await ask("/label/tenant_id/values", {}, first)).body.data, ["tenant-01"]);
  assert.deepEqual(
    (await ask("/label/tenant_id/values", { "match[]": '{tenant_id="tenant-02"}' }, first)).body
      .data,
    ["tenant-01"],
  );
  assert.deepEqual((await ask("/series", { "match[]": "{}" }, first)).body.data.length, 1);
  assert.equal((await ask("/query", { query: "sum(" }, first)).status, 400);
  const explained = await ask("/query_explain", { query: "c", engine: "thanos" }, first);
  assert.match(JSON.stringify(explained.body), /tenant-01/);
});

Deno.test("without enforcement every tenant sees everything", async () => {
  const ask = asTenant();
  const { body } = await ask("/query", { query: "c" }, { "THANOS-TENANT": "tenant-01" });
  assert.equal(body.data.result.length, 3);
});

Deno.test("a tenant is named by header, by the default header, or by the default", async () => {
  const tenants = { header: "X-Scope-OrgID", enforced: true, fallback: "tenant-02" };
  const ask = asTenant({ tenants });
  const owner = async (headers: Record<string, string>) =>
    (await ask("/query", { query: "c" }, headers)).body.data.result[0]?.metric.tenant_id;
  assert.equal(await owner({ "X-Scope-OrgID": "tenant-01" }), "tenant-01");
  assert.equal(await owner({ "THANOS-TENANT": "default-tenant" }), "default-tenant");
  assert.equal(await owner({}), "tenant-02");
  assert.equal(await owner({ "X-Scope-OrgID": "tenant-01", "THANOS-TENANT": "x" }), "tenant-01");
  assert.equal((await ask("/query", { query: "c" }, { "X-Scope-OrgID": "a/b" })).status, 400);
});

Deno.test("a certificate's field overrides headers and is no choice", async () => {
  const ask = (subject: { organization?: string } | undefined) =>
    asTenant({
      tenants: {
        enforced: true,
        certificateField: "organization",
        certificate: () => subject,
      },
    })("/query", { query: "c" }, { "THANOS-TENANT": "tenant-02" });
  const good = await ask({ organization: "tenant-01" });
  assert.equal(good.body.data.result[0].metric.tenant_id, "tenant-01");
  assert.match((await ask(undefined)).body.error, /no client certificate/);
  assert.match((await ask({})).body.error, /required certificate field organization/);
});
