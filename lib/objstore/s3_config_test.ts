import { strict as assert } from "node:assert";
import { errorMessage } from "../base/mod.ts";
import { parseYaml } from "../config/mod.ts";
import { openBucket } from "./open.ts";
import { endpointOfRegion, isVirtualHosted, readS3Config, regionOfEndpoint } from "./s3_config.ts";

const read = (text: string) => readS3Config(parseYaml(`{bucket: bkt, ${text}}`));

Deno.test("readS3Config() has Thanos' defaults", () => {
  const config = read("endpoint: s3.example.com");
  assert.equal(config.insecure, false);
  assert.equal(config.send_content_md5, true);
  assert.equal(config.http_config.idle_conn_timeout, 90_000);
  assert.equal(config.http_config.response_header_timeout, 120_000);
  assert.equal(config.http_config.max_idle_conns_per_host, 100);
  assert.deepEqual(config.sse_config.kms_encryption_context, new Map());
});

Deno.test("readS3Config() says in one line what is wrong", () => {
  const rows: [string, RegExp][] = [
    ["", /^no s3 endpoint in config file$/],
    ["endpoint: https://e", /without https:\/\//],
    ["endpoint: e/path", /fully qualified paths/],
    ["endpoint: e/", /fully qualified paths/],
    ["endpoint: e, access_key: a", /no s3 secret_key specified while access_key is present/],
    ["endpoint: e, secret_key: a", /no s3 access_key specified/],
    ["endpoint: e, aws_sdk_auth: true, access_key: a", /mutually exclusive/],
    ["endpoint: e, sse_config: {type: SSE-X}", /unsupported sse_config.type "SSE-X"/],
    ["endpoint: e, sse_config: {type: SSE-C}", /encryption_key must be set/],
    ["endpoint: e, sse_config: {type: SSE-KMS}", /kms_key_id must be set/],
    ["endpoint: e, list_objects_version: v3", /list_objects_version "v3"/],
    ["endpoint: e, bucket_lookup_type: dns", /bucket_lookup_type "dns"/],
    ["endpoint: e, part_size: 1000", /5 MiB to 5 GiB/],
    ["endpoint: e, acces_key: a", /acces_key: unknown key, did you mean 'access_key'/],
    ["endpoint: e, http_config: {tls_config: {ca: x}}", /http_config\.tls_config\.ca: unknown key/],
  ];
  for (const [text, expected] of rows) {
    assert.throws(() => read(text), (error: unknown) => {
      assert.match(errorMessage(error), expected, text);
      assert.ok(!errorMessage(error).includes("\n"));
      return true;
    });
  }
});

Deno.test("S3 buckets are addressed as their endpoint wants it", () => {
  const rows: [string, boolean][] = [
    ["endpoint: s3.amazonaws.com", true],
    ["endpoint: s3.eu-west-1.amazonaws.com", true],
    ["endpoint: storage.googleapis.com", true],
    ["endpoint: oss-cn-hangzhou.aliyuncs.com", true],
    ["endpoint: 127.0.0.1:9000", false],
    ["endpoint: minio.example.com", false],
    ["endpoint: minio.example.com, bucket_lookup_type: virtual-hosted", true],
    ["endpoint: s3.amazonaws.com, bucket_lookup_type: path", false],
  ];
  for (const [text, expected] of rows) assert.equal(isVirtualHosted(read(text)), expected, text);
  const dotted = readS3Config(parseYaml("{bucket: a.b, endpoint: s3.amazonaws.com}"));
  assert.equal(isVirtualHosted(dotted), false);

  assert.equal(regionOfEndpoint("s3.eu-west-1.amazonaws.com"), "eu-west-1");
  assert.equal(regionOfEndpoint("s3-us-west-2.amazonaws.com"), "us-west-2");
  assert.equal(regionOfEndpoint("s3.dualstack.us-east-2.amazonaws.com"), "us-east-2");
  assert.equal(regionOfEndpoint("s3.amazonaws.com"), "");
  assert.equal(regionOfEndpoint("minio:9000"), "");

  const at = (text: string) => endpointOfRegion(read(text), "eu-west-1");
  assert.equal(at("endpoint: s3.amazonaws.com"), "s3.dualstack.eu-west-1.amazonaws.com");
  assert.equal(
    at("endpoint: s3.us-east-1.amazonaws.com, disable_dualstack: true"),
    "s3.eu-west-1.amazonaws.com",
  );
  assert.equal(at("endpoint: minio:9000"), "minio:9000");
});

Deno.test("openBucket() checks GCS and AZURE documents, and quotes no key", async () => {
  const rows: [string, string, RegExp][] = [
    ["GCS", "{}", /^create GCS client: missing Google Cloud Storage bucket name$/],
    ["GCS", "{bucket: b, service_account: canary}", /no JSON key of a service account$/],
    ["GCS", "{bucket: b, buckt: c}", /buckt: unknown key/],
    ["AZURE", "{storage_account: a}", /^create AZURE client: no Azure container specified$/],
    ["AZURE", "{container: c}", /no Azure storage_account specified/],
    [
      "AZURE",
      "{container: c, storage_account: a, storage_account_key: canary, user_assigned_id: u}",
      /user_assigned_id cannot be set when using storage_account_key/,
    ],
    [
      "AZURE",
      "{container: c, storage_account: a, storage_account_key: k, storage_connection_string: s}",
      /cannot both be set/,
    ],
    ["AZURE", "{container: c, storage_account: a, client_id: i}", /must be set together/],
    ["AZURE", "{container: c, storage_connection_string: canary}", /^create AZURE client: /],
  ];
  for (const [type, config, expected] of rows) {
    await assert.rejects(() => openBucket(`type: ${type}\nconfig: ${config}`), (error: unknown) => {
      assert.match(errorMessage(error), expected, config);
      assert.ok(!errorMessage(error).includes("canary"), errorMessage(error));
      return true;
    });
  }
});
