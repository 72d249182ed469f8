import assert from "node:assert/strict";
import { type ClientSettings, PLAIN_CLIENT, rpcOptions } from "./client_settings.ts";
import { parseEndpointConfig } from "./endpoint_config.ts";

const parse = (text: string, base: ClientSettings = PLAIN_CLIENT) =>
  parseEndpointConfig(text, "--endpoint.sd-config", base);

Deno.test("parseEndpointConfig() reads endpoints with settings of their own over the default", () => {
  const { client, endpoints } = parse(`
default_client_config:
  tls_config: {cert_file: c.pem, key_file: k.pem, ca_file: ca.pem}
  server_name: store
  compression: snappy
endpoints:
- address: a:1
- address: b:2
  strict: true
  client_config: {tls_config: {enabled: false}}
- address: dns+c:3
  group: true
  service_config: '{"loadBalancingConfig": []}'
  client_config:
    tls_config: {insecure_skip_verify: true, ca_file: other.pem, min_version: "1.2"}
    server_name: c.example
    compression: none
- address: d:4
  client_config: {compression: none}
`);
  const tls = {
    caFile: "ca.pem",
    certFile: "c.pem",
    keyFile: "k.pem",
    skipVerify: false,
    minVersion: "1.3" as const,
  };
  assert.deepEqual(client, { tls, serverName: "store", compression: "snappy" });
  assert.deepEqual(endpoints, [
    { address: "a:1", strict: false, client },
    { address: "b:2", strict: true, client: { ...client, tls: undefined } },
    {
      address: "dns+c:3",
      strict: false,
      group: true,
      client: {
        tls: { ...tls, caFile: "other.pem", skipVerify: true, minVersion: "1.2" },
        serverName: "c.example",
        compression: "none",
      },
    },
    { address: "d:4", strict: false, client: { ...client, compression: "none" } },
  ]);
  const enabled = parse(
    "endpoints: [{address: 'a:1', client_config: {tls_config: {enabled: true}}}]",
  );
  assert.notEqual(enabled.endpoints[0]!.client!.tls, undefined);
  assert.deepEqual(parse(""), { client: PLAIN_CLIENT, endpoints: [] });
});

Deno.test("parseEndpointConfig() refuses what cannot work, by name", () => {
  const table: [string, RegExp][] = [
    [
      "endpoints: [{address: dns+a:1, strict: true}]",
      /dns\+a:1: a strict endpoint cannot be looked/,
    ],
    ["endpoints: [{address: a}]", /Address a is not of <host>:<port>/],
    ["endpoints: [{strict: true}]", /address/],
    ["endpoints: [{address: 'a:1', service_config: '{}'}]", /service_config is for groups only/],
    ["endpoints: [{address: 'a:1', group: true, service_config: '{'}]", /not valid JSON/],
    ["endpoints: [{address: 'a:1', client_config: {compression: zip}}]", /compression/],
    ["endpoints: [{address: 'a:1', adress: 'b'}]", /unknown key/],
    [
      "endpoints: [{address: 'a:1', client_config: {tls_config: {cert_file: c}}}]",
      /both client key and certificate/,
    ],
  ];
  for (const [text, expected] of table) assert.throws(() => parse(text), expected, text);
});

Deno.test("rpcOptions() reads certificate files each time it connects", () => {
  let content = "one";
  const options = rpcOptions({
    tls: { caFile: "ca", certFile: "", keyFile: "", skipVerify: false, minVersion: "1.3" },
    serverName: "s",
    compression: "snappy",
  }, (path) => new TextEncoder().encode(`${path} ${content}`));
  const read = () => {
    const tls = options.tls;
    assert.ok(typeof tls === "function");
    return new TextDecoder().decode(tls().ca);
  };
  assert.equal(read(), "ca one");
  content = "two";
  assert.equal(read(), "ca two");
  assert.equal(options.compression, "snappy");
  assert.deepEqual(rpcOptions(PLAIN_CLIENT, () => new Uint8Array(0)), {});
});
