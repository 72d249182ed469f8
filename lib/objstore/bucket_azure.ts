/**
 * Containers of Azure Blob Storage, through the maker's packages, which are loaded only here and only
 * when a bucket of this type is opened.
 */
import type { IncomingMessage } from "node:http";
import type * as azure from "@azure/storage-blob";
import { MnemeError, throwIfAborted } from "../base/mod.ts";
import { readNode, schema, type SchemaType, type YamlNode } from "../config/mod.ts";
import { azureHttpClient } from "./azure_http.ts";
import type { Bucket, CallOptions, ObjectAttributes, UploadOptions } from "./bucket.ts";
import type { RemoteOptions } from "./bucket_s3.ts";
import { httpConfigSchema, processEnv } from "./http_config.ts";
import { HttpTransport } from "./http_transport.ts";
import {
  type PartSizes,
  RemoteBucket,
  type RemoteDriver,
  type RemotePage,
  type RemoteParts,
  type RemoteRead,
  type RemoteReadOptions,
} from "./remote_bucket.ts";
import {
  DEFAULT_RETRIES,
  isRetryableStatus,
  RemoteError,
  retryAfter,
  type RetryPolicy,
  statusKind,
} from "./remote_error.ts";
import { sizedRead } from "./remote_read.ts";

const text = schema.string("");
const count = schema.int(0, { min: -1 });
const azureSchema = schema.object({
  storage_account: text,
  storage_account_key: text,
  storage_connection_string: text,
  storage_create_container: schema.bool(true),
  container: text,
  endpoint: schema.string("blob.core.windows.net"),
  user_assigned_id: text,
  az_tenant_id: text,
  client_id: text,
  client_secret: text,
  max_retries: count,
  reader_config: schema.object({ max_retry_requests: count }),
  pipeline_config: schema.object({
    max_tries: count,
    try_timeout: schema.goDuration("0s"),
    retry_delay: schema.goDuration("0s"),
    max_retry_delay: schema.goDuration("0s"),
  }),
  http_config: httpConfigSchema,
  msi_resource: text,
});
type AzureConfig = SchemaType<typeof azureSchema>;

const MIB = 1024 * 1024;
/** Entries of a page, the most that the service gives. */
const PAGE = 5000;
/** Bodies up to this size go in one request; larger ones in blocks of it. */
const BLOCK: PartSizes = { single: 8 * MIB, part: 8 * MIB, maxParts: 50_000 };

/** Opens a container; makes no request. */
export async function openAzure(
  node: YamlNode | undefined,
  options: RemoteOptions = {},
): Promise<Bucket> {
  const config = readAzureConfig(node);
  if (config.msi_resource !== "") {
    options.warn?.("msi_resource is deprecated and has no effect");
  }
  const sdk = await import("@azure/storage-blob");
  const transport = new HttpTransport(config.http_config, {
    env: options.env ?? processEnv,
    ...(options.stall === undefined ? {} : { stall: options.stall }),
  });
  const service = await openService(sdk, config, transport);
  const driver = new AzureDriver(service.getContainerClient(config.container), transport, config);
  const connection = config.storage_connection_string;
  return new RemoteBucket(driver, {
    retries: retriesOf(config),
    ...options,
    secrets: [
      config.storage_account_key,
      config.client_secret,
      connection,
      ...[...connection.matchAll(/(?:AccountKey|SharedAccessSignature)=([^;]+)/gi)].map((m) =>
        m[1]!
      ),
      ...(options.secrets ?? []),
    ],
  });
}

function readAzureConfig(node: YamlNode | undefined): AzureConfig {
  const config = readNode(azureSchema, node);
  const refuse = (reason: string): never => {
    throw new MnemeError("bad_data", reason);
  };
  const { storage_connection_string: connection, storage_account_key: key } = config;
  if (config.container === "") refuse("no Azure container specified");
  if (config.storage_account === "" && connection === "") {
    refuse("no Azure storage_account specified");
  }
  if (config.user_assigned_id !== "") {
    if (key !== "") refuse("user_assigned_id cannot be set when using storage_account_key");
    if (connection !== "") {
      refuse("user_assigned_id cannot be set when using storage_connection_string");
    }
    if (config.client_id !== "") refuse("user_assigned_id cannot be set when using client_id");
  }
  if (key !== "" && connection !== "") {
    refuse("storage_account_key and storage_connection_string cannot both be set");
  }
  const identity = [config.az_tenant_id, config.client_id, config.client_secret];
  const given = identity.filter((value) => value !== "").length;
  if (given !== 0 && given !== 3) {
    refuse("az_tenant_id, client_id and client_secret must be set together");
  }
  return config;
}

function retriesOf(config: AzureConfig): RetryPolicy {
  const { max_tries, retry_delay, max_retry_delay } = config.pipeline_config;
  const tries = max_tries > 0 ? max_tries : config.max_retries;
  return {
    attempts: tries > 0 ? tries : tries < 0 ? 1 : DEFAULT_RETRIES.attempts,
    base: retry_delay > 0 ? retry_delay : DEFAULT_RETRIES.base,
    max: max_retry_delay > 0 ? max_retry_delay : DEFAULT_RETRIES.max,
  };
}

/** The service with the first kind of identity that the configuration gives. */
async function openService(
  sdk: typeof azure,
  config: AzureConfig,
  transport: HttpTransport,
): Promise<azure.BlobServiceClient> {
  const pipeline: azure.StoragePipelineOptions = {
    httpClient: azureHttpClient(transport),
    // Tries are counted in one place, and bodies belong to them.
    retryOptions: {
      maxTries: 1,
      ...(config.pipeline_config.try_timeout > 0
        ? { tryTimeoutInMs: config.pipeline_config.try_timeout }
        : {}),
    },
    userAgentOptions: { userAgentPrefix: "mneme" },
  };
  const { storage_account: account, storage_account_key: key } = config;
  if (config.storage_connection_string !== "") {
    return sdk.BlobServiceClient.fromConnectionString(config.storage_connection_string, pipeline);
  }
  const url = `https://${account}.${config.endpoint}`;
  if (key !== "") {
    const shared = new sdk.StorageSharedKeyCredential(account, key);
    return new sdk.BlobServiceClient(url, shared, pipeline);
  }
  const identity = await import("@azure/identity");
  const credential = config.client_secret !== ""
    ? new identity.ClientSecretCredential(
      config.az_tenant_id,
      config.client_id,
      config.client_secret,
    )
    : config.user_assigned_id !== ""
    ? new identity.ManagedIdentityCredential({ clientId: config.user_assigned_id })
    : new identity.DefaultAzureCredential();
  return new sdk.BlobServiceClient(url, credential, pipeline);
}

/** Requests to one container. */
class AzureDriver implements RemoteDriver {
  readonly name: string;
  readonly provider = "AZURE";
  readonly parts = BLOCK;
  readonly #container: azure.ContainerClient;
  readonly #transport: HttpTransport;
  readonly #create: boolean;
  #creating: Promise<unknown> | undefined;

  constructor(container: azure.ContainerClient, transport: HttpTransport, config: AzureConfig) {
    this.name = config.container;
    this.#container = container;
    this.#transport = transport;
    this.#create = config.storage_create_container;
  }

  async list(
    options: CallOptions & { prefix: string; recursive: boolean; token: string | undefined },
  ): Promise<RemotePage> {
    const { prefix, token } = options;
    const page = { maxPageSize: PAGE, ...(token && { continuationToken: token }) };
    const input = { ...abortable(options), ...(prefix === "" ? {} : { prefix }) };
    return await this.#call(options, async () => {
      const pages = options.recursive
        ? this.#container.listBlobsFlat(input).byPage(page)
        : this.#container.listBlobsByHierarchy("/", input).byPage(page);
      const { value, done } = await pages.next();
      if (done === true) return { objects: [], folders: [] };
      const segment = value.segment as {
        blobItems: azure.BlobItem[];
        blobPrefixes?: azure.BlobPrefix[];
      };
      const next = value.continuationToken;
      return {
        objects: segment.blobItems.map(({ name, properties }) => ({
          name,
          attributes: {
            size: properties.contentLength ?? 0,
            lastModified: properties.lastModified.getTime(),
          },
        })),
        folders: (segment.blobPrefixes ?? []).map((folder) => folder.name),
        next: next === "" ? undefined : next,
      };
    });
  }

  async read(name: string, options: RemoteReadOptions): Promise<RemoteRead | undefined> {
    const { offset, length, etag } = options;
    const whole = offset === 0 && length < 0;
    let answer: azure.BlobDownloadResponseParsed;
    try {
      answer = await this.#call(
        options,
        () =>
          this.#container.getBlobClient(name).download(offset, length < 0 ? undefined : length, {
            ...abortable(options),
            maxRetryRequests: 0,
            ...(etag === undefined ? {} : { conditions: { ifMatch: etag } }),
          }),
      );
    } catch (error) {
      if (!whole && error instanceof RemoteError && error.attrs.status === 416) return undefined;
      throw error;
    }
    const { contentLength, contentRange } = answer;
    return sizedRead(this.#transport, {
      status: answer._response.status,
      headers: contentLength === undefined ? {} : { "content-length": String(contentLength) },
      body: answer.readableStreamBody as IncomingMessage,
    }, { offset, length, contentRange, etag: answer.etag });
  }

  async head(name: string, options: CallOptions): Promise<ObjectAttributes> {
    const found = await this.#call(
      options,
      () => this.#container.getBlobClient(name).getProperties(abortable(options)),
    );
    return {
      size: found.contentLength ?? 0,
      lastModified: found.lastModified?.getTime() ?? 0,
    };
  }

  async put(name: string, bytes: Uint8Array, options: UploadOptions): Promise<void> {
    await this.#call(
      options,
      () =>
        this.#container.getBlockBlobClient(name).upload(
          bytes as Uint8Array<ArrayBuffer>,
          bytes.length,
          {
            ...abortable(options),
            ...conditions(options),
          },
        ),
    );
  }

  async startParts(name: string, options: UploadOptions): Promise<RemoteParts> {
    const blob = this.#container.getBlockBlobClient(name);
    // Blocks of two uploads of one name must not mix.
    const upload = crypto.randomUUID().replaceAll("-", "");
    return {
      part: async (number, bytes, signal) => {
        const id = btoa(`${upload}-${String(number).padStart(6, "0")}`);
        const call = signal === undefined ? {} : { signal };
        await this.#call(
          call,
          () =>
            blob.stageBlock(id, bytes as Uint8Array<ArrayBuffer>, bytes.length, abortable(call)),
        );
        return id;
      },
      complete: async (tags, signal) => {
        const call = signal === undefined ? {} : { signal };
        await this.#call(
          call,
          () => blob.commitBlockList([...tags], { ...abortable(call), ...conditions(options) }),
        );
      },
      // Blocks that are not committed are removed by the service.
      abort: () => Promise.resolve(),
    };
  }

  async delete(name: string, options: CallOptions): Promise<void> {
    try {
      await this.#call(
        options,
        () => this.#container.getBlobClient(name).delete(abortable(options)),
      );
    } catch (error) {
      if (!(error instanceof RemoteError) || error.kind !== "not_found") throw error;
    }
  }

  async close(): Promise<void> {
    this.#transport.close();
  }

  /** Makes a call; a container that is missing is made when the configuration says so. */
  async #call<T>(options: CallOptions, work: () => Promise<T>): Promise<T> {
    for (let made = false;; made = true) {
      throwIfAborted(options.signal);
      try {
        return await work();
      } catch (error) {
        throwIfAborted(options.signal);
        const failure = azureError(error);
        if (made || !this.#create || failure.attrs.code !== "ContainerNotFound") throw failure;
        try {
          await (this.#creating ??= this.#container.createIfNotExists());
        } catch (reason) {
          this.#creating = undefined;
          throw azureError(reason);
        }
      }
    }
  }
}

function abortable(options: CallOptions): { abortSignal?: AbortSignal } {
  return options.signal === undefined ? {} : { abortSignal: options.signal };
}

function conditions(options: UploadOptions) {
  return options.ifAbsent === true ? { conditions: { ifNoneMatch: "*" } } : {};
}

function azureError(error: unknown): RemoteError {
  if (error instanceof RemoteError) return error;
  const told = error as {
    message?: string;
    code?: string;
    statusCode?: number;
    response?: { headers?: { get(name: string): string | undefined } };
  };
  const header = (name: string) => told.response?.headers?.get(name);
  const status = told.statusCode ?? 0;
  // Answers without a body name the reason in a header.
  const code = told.code ?? header("x-ms-error-code") ?? "";
  const first = (told.message ?? "").split("\n")[0]!.trim();
  const reason = first === "" ? `the service answered ${status}` : first;
  const shown = code === "" || reason.includes(code) ? reason : `${reason} (${code})`;
  if (status === 0) return new RemoteError("unavailable", shown, { cause: error });
  const attrs = { status, code };
  if (code === "ContainerNotFound" || code === "ContainerBeingDeleted") {
    // No object is missing here: a container that is not there must not look like an empty one.
    return new RemoteError("unavailable", shown, { retryable: false, attrs });
  }
  const kind = code === "BlobNotFound" || code === "InvalidUri" ? "not_found" : statusKind(status);
  return new RemoteError(kind, shown, {
    retryable: isRetryableStatus(status) || code === "ServerBusy",
    retryAfter: retryAfter(header("retry-after")),
    attrs,
  });
}
