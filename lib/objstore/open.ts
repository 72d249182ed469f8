/**
 * From a configuration document to a bucket.
 *
 * ```yaml
 * type: FILESYSTEM      # upper or lower case
 * config: {directory: /data}
 * prefix: ""            # optional
 * ```
 */
import { existsSync } from "node:fs";
import { errorMessage, MnemeError } from "../base/mod.ts";
import { parseYaml, readNode, schema, type YamlNode } from "../config/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import type { Bucket } from "./bucket.ts";
import { FilesystemBucket } from "./bucket_filesystem.ts";
import { hedgeBucket, type HedgingConfig, readHedgingConfig } from "./bucket_hedged.ts";
import type { RemoteOptions } from "./bucket_s3.ts";
import { prefixBucket } from "./bucket_prefixed.ts";

/** Makes the bucket of one provider out of its `config` part. */
type OpenProvider = (
  config: YamlNode | undefined,
  options: RemoteOptions,
) => Promise<Bucket>;

const filesystemConfig = schema.object({ directory: schema.string("") }, { lenient: true });

/** Warning about a FILESYSTEM bucket that may be a mistyped path: it reads as an empty one. */
export const NO_FOLDER = "the folder of the bucket does not exist yet";

const PROVIDERS: ReadonlyMap<string, OpenProvider> = new Map<string, OpenProvider>([
  ["FILESYSTEM", async (config, { warn }) => {
    const { directory } = readNode(filesystemConfig, config);
    if (directory === "") {
      throw new MnemeError("bad_data", "missing directory for filesystem bucket");
    }
    if (!existsSync(directory)) warn?.(NO_FOLDER);
    return new FilesystemBucket(directory);
  }],
  // Loaded when asked for: a program with its bucket on disk shall not pay for HTTP and packages.
  ["S3", async (config, options) => {
    const { openS3 } = await import("./bucket_s3.ts");
    return await openS3(config, options);
  }],
  ["GCS", async (config, options) => {
    const { openGcs } = await import("./bucket_gcs.ts");
    return await openGcs(config, options);
  }],
  ["AZURE", async (config, options) => {
    const { openAzure } = await import("./bucket_azure.ts");
    return await openAzure(config, options);
  }],
]);

/** Providers that exist elsewhere and are not built here yet. */
const PLANNED: ReadonlySet<string> = new Set([
  "SWIFT",
  "COS",
  "ALIYUNOSS",
  "BOS",
  "OBS",
  "OCI",
]);

/** Where a configuration came from, what else it may hold, and what the bucket needs. */
export interface OpenBucketOptions extends RemoteOptions {
  /** Receives warnings, requests that are tried again, and traces. */
  readonly logger?: Logger;
  /** File or flag, for error messages. */
  readonly source?: string;
  /** The document may hold `hedging_config`, as that of the store gateway. */
  readonly hedging?: boolean;
}

/**
 * Opens the bucket that a document describes; `$(NAME)` must have been expanded before.
 *
 * Only the first YAML document counts.
 * Throws: bad_data with one line: `parsing config YAML file: …`, `bucket with type X is not
 * supported` or `create X client: …`.
 */
export async function openBucket(text: string, options: OpenBucketOptions = {}): Promise<Bucket> {
  const document = readDocument(text, options);
  const { type } = document;
  const provider = type.toUpperCase();
  const open = PROVIDERS.get(provider);
  if (open === undefined) {
    const known = [...PROVIDERS.keys()].join(", ");
    if (!PLANNED.has(provider)) {
      const choice = type === "" ? "give a type: one of" : "use one of";
      throw new MnemeError(
        "bad_data",
        `bucket with type ${type} is not supported, ${choice} ${known}`,
      );
    }
    throw new MnemeError(
      "bad_data",
      `create ${provider} client: provider ${provider} is not supported yet, use ${known}`,
    );
  }
  let bucket: Bucket;
  try {
    bucket = await open(document.config, withLogger(options, provider));
  } catch (error) {
    throw new MnemeError("bad_data", `create ${provider} client: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  return hedgeBucket(prefixBucket(bucket, document.prefix), document.hedging);
}

/** What a bucket tells, as log lines. */
function withLogger(options: OpenBucketOptions, provider: string): RemoteOptions {
  const logger = options.logger?.with({ component: "objstore" });
  if (logger === undefined) return options;
  return {
    warn: (message) => logger.warn(message, { provider }),
    retried: (operation, error) =>
      logger.debug("request to the bucket failed, trying again", { operation, err: error.message }),
    trace: ({ request, answer }) => logger.debug("s3TraceMsg", { request, answer }),
    ...options,
  };
}

function readDocument(
  text: string,
  options: OpenBucketOptions,
): { type: string; config: YamlNode | undefined; prefix: string; hedging: HedgingConfig } {
  const document = schema.object({
    type: schema.string(""),
    config: schema.node,
    prefix: schema.string(""),
    ...(options.hedging === true ? { hedging_config: schema.node } : {}),
  });
  const name = options.source;
  try {
    const tree = parseYaml(text, name === undefined ? {} : { name });
    const read = readNode(document, tree, name);
    const { hedging_config } = read as { hedging_config?: YamlNode };
    return { ...read, hedging: readHedgingConfig(hedging_config) };
  } catch (error) {
    throw new MnemeError("bad_data", `parsing config YAML file: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
