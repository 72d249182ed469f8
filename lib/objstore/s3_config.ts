/** The configuration of an S3 bucket: what Thanos accepts, checked in one place. */
import { MnemeError } from "../base/mod.ts";
import { readNode, schema, type SchemaType, type YamlNode } from "../config/mod.ts";
import { httpConfigSchema } from "./http_config.ts";

const text = schema.string("");
const MIB = 1024 * 1024;

const s3Schema = schema.object({
  bucket: text,
  endpoint: text,
  region: text,
  disable_dualstack: schema.bool(false),
  aws_sdk_auth: schema.bool(false),
  access_key: text,
  insecure: schema.bool(false),
  signature_version2: schema.bool(false),
  secret_key: text,
  session_token: text,
  put_user_metadata: schema.map(text),
  http_config: httpConfigSchema,
  trace: schema.object({ enable: schema.bool(false) }),
  list_objects_version: text,
  bucket_lookup_type: text,
  send_content_md5: schema.bool(true),
  disable_multipart: schema.bool(false),
  part_size: schema.optional(schema.int(undefined, { min: 0 })),
  sse_config: schema.object({
    type: text,
    kms_key_id: text,
    kms_encryption_context: schema.map(text),
    encryption_key: text,
  }),
  sts_endpoint: text,
  max_retries: schema.int(0, { min: 0 }),
});

/** Settings of an S3 bucket under the names of the document. */
export type S3Config = SchemaType<typeof s3Schema>;

/** Smallest and largest part of an upload that S3 takes, and the most parts. */
export const S3_PARTS = { min: 5 * MIB, max: 5 * 1024 * MIB, count: 10_000 } as const;

/**
 * Reads and checks the `config` part of a bucket document.
 *
 * Throws: bad_data with one line that names the key.
 */
export function readS3Config(node: YamlNode | undefined): S3Config {
  const config = readNode(s3Schema, node);
  const refuse = (reason: string): never => {
    throw new MnemeError("bad_data", reason);
  };
  if (config.endpoint === "") refuse("no s3 endpoint in config file");
  if (config.bucket === "") refuse("no s3 bucket in config file");
  checkEndpoint(config.endpoint, refuse);
  if (config.aws_sdk_auth && config.access_key !== "") {
    refuse("aws_sdk_auth and access_key are mutually exclusive configurations");
  }
  if (!config.aws_sdk_auth && (config.access_key === "") !== (config.secret_key === "")) {
    const [has, lacks] = config.access_key === ""
      ? ["secret_key", "access_key"]
      : ["access_key", "secret_key"];
    refuse(
      `no s3 ${lacks} specified while ${has} is present in config file; either both ` +
        "should be present in config or envvars/IAM should be used.",
    );
  }
  const { type, kms_key_id, encryption_key } = config.sse_config;
  if (!["", "SSE-S3", "SSE-KMS", "SSE-C"].includes(type)) {
    refuse(`unsupported sse_config.type "${type}", use SSE-S3, SSE-KMS or SSE-C`);
  }
  if (type === "SSE-C" && encryption_key === "") {
    refuse("encryption_key must be set if sse_config.type is set to 'SSE-C'");
  }
  if (type === "SSE-KMS" && kms_key_id === "") {
    refuse("kms_key_id must be set if sse_config.type is set to 'SSE-KMS'");
  }
  if (!["", "v1", "v2"].includes(config.list_objects_version)) {
    refuse(`unsupported list_objects_version "${config.list_objects_version}", use v1 or v2`);
  }
  if (!["", "auto", "path", "virtual-hosted"].includes(config.bucket_lookup_type)) {
    refuse(
      `unsupported bucket_lookup_type "${config.bucket_lookup_type}", ` +
        "use auto, path or virtual-hosted",
    );
  }
  const part = config.part_size;
  if (part !== undefined && part !== 0 && (part < S3_PARTS.min || part > S3_PARTS.max)) {
    refuse(`part_size ${part} is outside of what S3 takes: 5 MiB to 5 GiB`);
  }
  return config;
}

function checkEndpoint(endpoint: string, refuse: (reason: string) => never): void {
  if (endpoint.includes("://")) {
    refuse(
      "endpoint must be a host with optional port and without https://; use insecure for http",
    );
  }
  const url = URL.parse(`https://${endpoint}`);
  if (url === null || url.username !== "" || url.search !== "" || url.hash !== "") {
    refuse("endpoint must be a host with optional port");
  }
  if (url!.pathname !== "/" || endpoint.endsWith("/")) {
    refuse("Endpoint url cannot have fully qualified paths.");
  }
}

/** True when the bucket's name becomes a part of the host. */
export function isVirtualHosted(config: S3Config): boolean {
  const { bucket_lookup_type: lookup, bucket, endpoint, insecure } = config;
  if (lookup === "path") return false;
  if (lookup === "virtual-hosted") return true;
  if (!insecure && bucket.includes(".")) return false;
  return /(?:^|\.)(?:amazonaws\.com(?:\.cn)?|googleapis\.com|aliyuncs\.com)(?::\d+)?$/
    .test(endpoint);
}

/** The region in the name of an endpoint of AWS, "" when it names none. */
export function regionOfEndpoint(endpoint: string): string {
  const host = endpoint.replace(/:\d+$/, "");
  const found =
    /^s3(?:[.-](?:fips|dualstack))*[.-]([a-z]{2,}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?$/
      .exec(host);
  return found?.[1] ?? "";
}

/** Host of requests to a region: the general hosts of AWS become those of the region. */
export function endpointOfRegion(config: S3Config, region: string): string {
  const { endpoint } = config;
  if (!/^s3(?:[.-](?:dualstack[.-])?[a-z0-9-]+)?\.amazonaws\.com$/.test(endpoint)) return endpoint;
  if (/fips|accelerate/.test(endpoint)) return endpoint;
  return `s3.${config.disable_dualstack ? "" : "dualstack."}${region}.amazonaws.com`;
}
