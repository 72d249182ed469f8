/**
 * Buckets of Google Cloud Storage. Its maker's package, loaded only here and only when a bucket of
 * this type is opened, finds and renews the credentials; the few requests of a bucket go over our own
 * transport to the JSON API, so that TLS, time limits, aborts and tries are those of every provider.
 */
import { errorMessage, MnemeError, throwIfAborted } from "../base/mod.ts";
import { readNode, schema, type SchemaType, type YamlNode } from "../config/mod.ts";
import type { Bucket, CallOptions, ObjectAttributes, UploadOptions } from "./bucket.ts";
import type { RemoteOptions } from "./bucket_s3.ts";
import { httpConfigSchema, processEnv } from "./http_config.ts";
import { type HttpAnswer, HttpTransport } from "./http_transport.ts";
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
  statusKind,
} from "./remote_error.ts";
import { sizedRead } from "./remote_read.ts";

const gcsSchema = schema.object({
  bucket: schema.string(""),
  service_account: schema.string(""),
  use_grpc: schema.bool(false),
  grpc_conn_pool_size: schema.int(0, { min: 0 }),
  http_config: httpConfigSchema,
  chunk_size_bytes: schema.int(0, { min: 0 }),
  max_retries: schema.int(0, { min: 0 }),
});
type GcsConfig = SchemaType<typeof gcsSchema>;

/** Gives the headers that prove who asks; empty on an emulator. */
type Authorize = () => Promise<Record<string, string>>;

const SCOPE = "https://www.googleapis.com/auth/devstorage.read_write";
const SERVICE = "https://storage.googleapis.com";
/** Chunks of an upload are multiples of this, by the service's rule. */
const CHUNK_UNIT = 256 * 1024;
const DEFAULT_CHUNK = 16 * 1024 * 1024;
/** Largest answer that is not an object. */
const MAX_ANSWER = 32 * 1024 * 1024;

/** Opens a bucket; makes no request. */
export async function openGcs(
  node: YamlNode | undefined,
  options: RemoteOptions = {},
): Promise<Bucket> {
  const config = readNode(gcsSchema, node);
  if (config.bucket === "") {
    throw new MnemeError("bad_data", "missing Google Cloud Storage bucket name");
  }
  if (config.use_grpc) options.warn?.("use_grpc is set: requests go over HTTP all the same");
  const env = options.env ?? processEnv;
  const emulator = env("STORAGE_EMULATOR_HOST");
  const base = emulator === undefined
    ? SERVICE
    : emulator.includes("://")
    ? emulator
    : `http://${emulator}`;
  const account = readServiceAccount(config);
  const authorize = emulator === undefined ? await authorization(account) : async () => ({});
  const driver = new GcsDriver(config, new URL(base), authorize, options);
  return new RemoteBucket(driver, {
    retries: config.max_retries === 0
      ? DEFAULT_RETRIES
      : { ...DEFAULT_RETRIES, attempts: config.max_retries },
    ...options,
    secrets: [
      config.service_account,
      ...(typeof account?.private_key === "string" ? [account.private_key] : []),
      ...(options.secrets ?? []),
    ],
  });
}

function readServiceAccount(config: GcsConfig): Record<string, unknown> | undefined {
  if (config.service_account.trim() === "") return undefined;
  try {
    const parsed: unknown = JSON.parse(config.service_account);
    if (typeof parsed === "object" && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // The parser's message would quote the key.
  }
  throw new MnemeError("bad_data", "service_account is no JSON key of a service account");
}

/** The service account of the configuration, else the credentials of the environment. */
async function authorization(account: Record<string, unknown> | undefined): Promise<Authorize> {
  const { Storage } = await import("@google-cloud/storage");
  const storage = new Storage({
    ...(account === undefined ? {} : { credentials: account }),
    // Nothing of ours needs a project; asking for one would cost a request.
    projectId: "unused",
  });
  const { authClient } = storage as unknown as {
    authClient: { defaultScopes?: string[]; getRequestHeaders(): Promise<Headers> };
  };
  authClient.defaultScopes = [SCOPE];
  return async () => {
    try {
      return Object.fromEntries(await authClient.getRequestHeaders());
    } catch (error) {
      throw new RemoteError(
        "permission",
        `no credentials for Google Cloud: ${errorMessage(error)}`,
      );
    }
  };
}

/** A JSON answer of the service, as far as it is used. */
interface ObjectJson {
  readonly name?: string;
  readonly size?: string;
  readonly updated?: string;
}
interface ListJson {
  readonly items?: readonly ObjectJson[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
}

/** Requests to one bucket. */
class GcsDriver implements RemoteDriver {
  readonly name: string;
  readonly provider = "GCS";
  readonly parts: PartSizes;
  readonly #base: URL;
  readonly #authorize: Authorize;
  readonly #transport: HttpTransport;

  constructor(config: GcsConfig, base: URL, authorize: Authorize, options: RemoteOptions) {
    this.name = config.bucket;
    this.#base = base;
    this.#authorize = authorize;
    this.#transport = new HttpTransport(config.http_config, {
      env: options.env ?? processEnv,
      ...(options.stall === undefined ? {} : { stall: options.stall }),
    });
    const chunk = config.chunk_size_bytes === 0
      ? DEFAULT_CHUNK
      : Math.max(1, Math.ceil(config.chunk_size_bytes / CHUNK_UNIT)) * CHUNK_UNIT;
    this.parts = { single: chunk, part: chunk, maxParts: Infinity };
  }

  async list(
    options: CallOptions & { prefix: string; recursive: boolean; token: string | undefined },
  ): Promise<RemotePage> {
    const page = await this.#json<ListJson>("GET", `/storage/v1/b/${this.#bucket}/o`, {
      prefix: options.prefix,
      ...(options.recursive ? {} : { delimiter: "/" }),
      ...(options.token === undefined ? {} : { pageToken: options.token }),
      fields: "items(name,size,updated),prefixes,nextPageToken",
    }, options);
    return {
      objects: (page.items ?? []).map((object) => ({
        name: object.name ?? "",
        attributes: attributesOf(object),
      })),
      folders: page.prefixes ?? [],
      next: page.nextPageToken,
    };
  }

  async read(name: string, options: RemoteReadOptions): Promise<RemoteRead | undefined> {
    const { offset, length, etag } = options;
    const whole = offset === 0 && length < 0;
    const last = length < 0 ? "" : offset + length - 1;
    const answer = await this.#send(
      "GET",
      this.#object(name),
      {
        alt: "media",
        ...(etag === undefined ? {} : { ifGenerationMatch: etag }),
      },
      options,
      whole ? {} : { headers: { range: `bytes=${offset}-${last}` } },
    );
    if (answer.status === 416 && !whole) {
      answer.body.destroy();
      return undefined;
    }
    if (answer.status >= 300) throw await this.#failure(answer, options);
    return sizedRead(this.#transport, answer, {
      offset,
      length,
      contentRange: answer.headers["content-range"],
      etag: answer.headers["x-goog-generation"],
    });
  }

  async head(name: string, options: CallOptions): Promise<ObjectAttributes> {
    return attributesOf(
      await this.#json<ObjectJson>("GET", this.#object(name), { fields: "size,updated" }, options),
    );
  }

  async put(name: string, bytes: Uint8Array, options: UploadOptions): Promise<void> {
    await this.#json(
      "POST",
      this.#uploads,
      {
        uploadType: "media",
        name,
        fields: "name",
        ...precondition(options),
      },
      options,
      { headers: { "content-type": "application/octet-stream" }, body: bytes },
    );
  }

  async startParts(name: string, options: UploadOptions, size: number): Promise<RemoteParts> {
    const answer = await this.#send(
      "POST",
      this.#uploads,
      {
        uploadType: "resumable",
        name,
        ...precondition(options),
      },
      options,
      { headers: { "x-upload-content-type": "application/octet-stream" } },
    );
    if (answer.status >= 300) throw await this.#failure(answer, options);
    answer.body.resume();
    const session = URL.parse(answer.headers["location"] ?? "", this.#base);
    if (session === null || session.host !== this.#base.host) {
      throw new RemoteError("unavailable", "the service gave no address for the upload");
    }
    const path = session.pathname + session.search;
    const call = (signal: AbortSignal | undefined) => signal === undefined ? {} : { signal };
    let sent = 0;
    return {
      // The session takes its chunks in order.
      width: 1,
      part: async (_number, bytes, signal) => {
        const last = sent + bytes.length;
        const answer = await this.#request("PUT", path, call(signal), {
          headers: { "content-range": `bytes ${sent}-${last - 1}/${size}` },
          body: bytes,
        });
        const done = last === size ? answer.status < 300 : answer.status === 308;
        if (!done) throw await this.#failure(answer, call(signal));
        answer.body.resume();
        const kept = /^bytes=0-(\d+)$/.exec(answer.headers["range"] ?? "");
        if (answer.status === 308 && (kept === null || Number(kept[1]) !== last - 1)) {
          throw new RemoteError("unavailable", "the service kept a part of a chunk only", {
            retryable: false,
          });
        }
        sent = last;
        return "";
      },
      // The last chunk completes the object.
      complete: () => Promise.resolve(),
      abort: async () => {
        const answer = await this.#request(
          "DELETE",
          path,
          { signal: AbortSignal.timeout(10_000) },
          {},
        );
        answer.body.resume();
      },
    };
  }

  async delete(name: string, options: CallOptions): Promise<void> {
    const answer = await this.#send("DELETE", this.#object(name), {}, options, {});
    if (answer.status >= 300 && answer.status !== 404) throw await this.#failure(answer, options);
    answer.body.resume();
  }

  async close(): Promise<void> {
    this.#transport.close();
  }

  get #bucket(): string {
    return encodeURIComponent(this.name);
  }
  get #uploads(): string {
    return `/upload/storage/v1/b/${this.#bucket}/o`;
  }
  #object(name: string): string {
    return `/storage/v1/b/${this.#bucket}/o/${encodeURIComponent(name)}`;
  }

  async #json<T>(
    method: string,
    path: string,
    query: Readonly<Record<string, string>>,
    options: CallOptions,
    more: RequestParts = {},
  ): Promise<T> {
    const answer = await this.#send(method, path, query, options, more);
    if (answer.status >= 300) throw await this.#failure(answer, options);
    const bytes = await this.#transport.readAll(answer, { limit: MAX_ANSWER, ...options });
    try {
      return JSON.parse(new TextDecoder().decode(bytes)) as T;
    } catch {
      throw new RemoteError("unavailable", "the service answered with something that is no JSON");
    }
  }

  async #send(
    method: string,
    path: string,
    query: Readonly<Record<string, string>>,
    options: CallOptions,
    more: RequestParts,
  ): Promise<HttpAnswer> {
    const text = new URLSearchParams(query).toString();
    return await this.#request(method, text === "" ? path : `${path}?${text}`, options, more);
  }

  async #request(
    method: string,
    path: string,
    options: CallOptions,
    more: RequestParts,
  ): Promise<HttpAnswer> {
    throwIfAborted(options.signal);
    const identity = await this.#authorize();
    return await this.#transport.send({
      method,
      protocol: this.#base.protocol === "http:" ? "http:" : "https:",
      hostname: this.#base.hostname,
      port: this.#base.port === "" ? undefined : Number(this.#base.port),
      path,
      headers: { host: this.#base.host, "user-agent": "mneme", ...identity, ...more.headers },
      body: more.body ?? (method === "POST" ? new Uint8Array(0) : undefined),
    }, options.signal);
  }

  /** The error that an answer tells of. */
  async #failure(answer: HttpAnswer, options: CallOptions): Promise<RemoteError> {
    const { status, headers } = answer;
    const bytes = await this.#transport.readAll(answer, { limit: MAX_ANSWER, ...options });
    const text = new TextDecoder().decode(bytes.subarray(0, 64 * 1024));
    let reason = "";
    try {
      const told = JSON.parse(text) as { error?: { message?: unknown } };
      if (typeof told.error?.message === "string") reason = told.error.message;
    } catch {
      // Not JSON: the status says enough.
    }
    if (reason === "") reason = `the service answered ${status}`;
    // A bucket that is not there must not look like an empty one.
    const noBucket = status === 404 && /bucket/i.test(reason) && !/object/i.test(reason);
    return new RemoteError(noBucket ? "unavailable" : statusKind(status), reason, {
      retryable: isRetryableStatus(status),
      retryAfter: retryAfter(headers["retry-after"]),
      attrs: { status },
    });
  }
}

/** Headers and body of a request. */
interface RequestParts {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

function precondition(options: UploadOptions): Record<string, string> {
  return options.ifAbsent === true ? { ifGenerationMatch: "0" } : {};
}

function attributesOf(object: ObjectJson): ObjectAttributes {
  const time = Date.parse(object.updated ?? "");
  return { size: Number(object.size ?? 0), lastModified: Number.isNaN(time) ? 0 : time };
}
