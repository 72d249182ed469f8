/**
 * Buckets of S3 and servers that speak like it, through the AWS SDK, which is loaded only here and
 * only when a bucket of this type is opened.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import type { IncomingMessage } from "node:http";
import type * as aws from "@aws-sdk/client-s3";
import { errorMessage, MnemeError, throwIfAborted } from "../base/mod.ts";
import type { YamlNode } from "../config/mod.ts";
import type { Bucket, CallOptions, ObjectAttributes, UploadOptions } from "./bucket.ts";
import { processEnv, type ReadEnv } from "./http_config.ts";
import { type HttpAnswer, HttpTransport } from "./http_transport.ts";
import {
  type PartSizes,
  RemoteBucket,
  type RemoteDriver,
  type RemoteEnv,
  type RemotePage,
  type RemoteParts,
  type RemoteRead,
  type RemoteReadOptions,
} from "./remote_bucket.ts";
import { DEFAULT_RETRIES, RemoteError } from "./remote_error.ts";
import {
  endpointOfRegion,
  isVirtualHosted,
  readS3Config,
  regionOfEndpoint,
  S3_PARTS,
  type S3Config,
} from "./s3_config.ts";
import { s3Credentials } from "./s3_credentials.ts";
import { s3Error } from "./s3_error.ts";
import { type S3Trace, SdkHandler } from "./s3_handler.ts";
import { sizedRead } from "./remote_read.ts";

/** What opening a bucket behind a network may need from outside. */
export interface RemoteOptions extends RemoteEnv {
  readonly env?: ReadEnv;
  /** Told in one line what of a configuration has no effect. */
  readonly warn?: (message: string) => void;
  /** Receives requests and answers when `trace` is on. */
  readonly trace?: S3Trace;
  /** Longest pause inside a body, ms. */
  readonly stall?: number;
}

const MIB = 1024 * 1024;
/** Bodies up to this size go in one request; larger ones in parts of it. */
const AUTOMATIC_PART = 16 * MIB;
const DEFAULT_REGION = "us-east-1";
/** Clocks of server and client differ by less, ms. */
const CLOCKS_DIFFER = 5 * 60_000;

/** Opens an S3 bucket; makes no request. */
export async function openS3(
  node: YamlNode | undefined,
  options: RemoteOptions = {},
): Promise<Bucket> {
  const config = readS3Config(node);
  if (config.signature_version2) {
    options.warn?.("signature_version2 is set: requests are signed with version 4 all the same");
  }
  const driver = await S3Driver.open(config, options);
  return new RemoteBucket(driver, {
    retries: config.max_retries === 0
      ? DEFAULT_RETRIES
      : { ...DEFAULT_RETRIES, attempts: config.max_retries },
    ...options,
    secrets: [
      config.secret_key,
      config.session_token,
      config.access_key,
      ...driver.secrets,
      ...(options.secrets ?? []),
    ],
  });
}

/** Requests to one S3 bucket. */
class S3Driver implements RemoteDriver {
  readonly name: string;
  readonly provider = "S3";
  readonly parts: PartSizes;
  readonly secrets: readonly string[];
  readonly #sdk: typeof aws;
  readonly #config: S3Config;
  readonly #options: RemoteOptions;
  readonly #transport: HttpTransport;
  readonly #customerKey: { readonly key: string; readonly md5: string } | undefined;
  #region: string;
  #client: Promise<aws.S3Client> | undefined;
  #anonymous = false;

  private constructor(sdk: typeof aws, config: S3Config, options: RemoteOptions) {
    this.name = config.bucket;
    this.#sdk = sdk;
    this.#config = config;
    this.#options = options;
    this.#transport = new HttpTransport(config.http_config, {
      env: options.env ?? processEnv,
      ...(options.stall === undefined ? {} : { stall: options.stall }),
    });
    this.#region = config.region !== ""
      ? config.region
      : regionOfEndpoint(config.endpoint) || DEFAULT_REGION;
    this.#customerKey = readCustomerKey(config);
    this.secrets = this.#customerKey === undefined ? [] : [this.#customerKey.key];
    const part = config.part_size === undefined || config.part_size === 0
      ? AUTOMATIC_PART
      : config.part_size;
    this.parts = config.disable_multipart
      ? { single: Infinity, part, maxParts: S3_PARTS.count }
      : { single: part, part, maxParts: S3_PARTS.count };
  }

  static async open(config: S3Config, options: RemoteOptions): Promise<S3Driver> {
    return new S3Driver(await import("@aws-sdk/client-s3"), config, options);
  }

  async list(
    options: CallOptions & { prefix: string; recursive: boolean; token: string | undefined },
  ): Promise<RemotePage> {
    const input = {
      Bucket: this.#config.bucket,
      Prefix: options.prefix,
      ...(options.recursive ? {} : { Delimiter: "/" }),
    };
    const { token } = options;
    const old = this.#config.list_objects_version === "v1";
    const page = old
      ? await this.#send(
        new this.#sdk.ListObjectsCommand({ ...input, ...(token && { Marker: token }) }),
        options,
      )
      : await this.#send(
        new this.#sdk.ListObjectsV2Command({
          ...input,
          ...(token && { ContinuationToken: token }),
        }),
        options,
      );
    const objects = (page.Contents ?? []).map((object) => ({
      name: object.Key ?? "",
      attributes: {
        size: object.Size ?? 0,
        lastModified: wholeSeconds(object.LastModified),
      },
    }));
    const folders = (page.CommonPrefixes ?? []).map((folder) => folder.Prefix ?? "");
    let next: string | undefined;
    if (page.IsTruncated === true) {
      if ("NextContinuationToken" in page) next = page.NextContinuationToken;
      else if ("NextMarker" in page) next = page.NextMarker;
      // Version 1 tells no marker when there is no delimiter: the last name is the marker.
      next ??= old ? objects.at(-1)?.name : undefined;
      if (next === undefined) {
        throw new RemoteError("unavailable", "the listing says it goes on and does not say where");
      }
    }
    return { objects, folders, next };
  }

  async read(name: string, options: RemoteReadOptions): Promise<RemoteRead | undefined> {
    const { offset, length, etag } = options;
    const whole = offset === 0 && length < 0;
    const range = `bytes=${offset}-${length < 0 ? "" : offset + length - 1}`;
    const command = new this.#sdk.GetObjectCommand({
      Bucket: this.#config.bucket,
      Key: name,
      ...(whole ? {} : { Range: range }),
      ...(etag === undefined ? {} : { IfMatch: etag }),
      ...this.#customerKeyInput(),
    });
    let output: aws.GetObjectCommandOutput;
    try {
      output = await this.#send(command, options, true);
    } catch (error) {
      if (!whole && error instanceof RemoteError && error.attrs.status === 416) return undefined;
      throw error;
    }
    const answer: HttpAnswer = {
      status: output.$metadata.httpStatusCode ?? 0,
      headers: output.ContentLength === undefined
        ? {}
        : { "content-length": String(output.ContentLength) },
      body: output.Body as unknown as IncomingMessage,
    };
    return sizedRead(this.#transport, answer, {
      offset,
      length,
      contentRange: output.ContentRange,
      etag: output.ETag,
    });
  }

  async head(name: string, options: CallOptions): Promise<ObjectAttributes> {
    const output = await this.#send(
      new this.#sdk.HeadObjectCommand({
        Bucket: this.#config.bucket,
        Key: name,
        ...this.#customerKeyInput(),
      }),
      options,
    );
    return { size: output.ContentLength ?? 0, lastModified: wholeSeconds(output.LastModified) };
  }

  async put(name: string, bytes: Uint8Array, options: UploadOptions): Promise<void> {
    await this.#send(
      new this.#sdk.PutObjectCommand({
        Bucket: this.#config.bucket,
        Key: name,
        Body: bytes,
        ContentType: "application/octet-stream",
        ...this.#md5(bytes),
        ...this.#objectInput(),
        ...(options.ifAbsent === true ? { IfNoneMatch: "*" } : {}),
      }),
      options,
    );
  }

  async startParts(name: string, options: UploadOptions): Promise<RemoteParts> {
    const object = { Bucket: this.#config.bucket, Key: name };
    const { UploadId } = await this.#send(
      new this.#sdk.CreateMultipartUploadCommand({
        ...object,
        ContentType: "application/octet-stream",
        ...this.#objectInput(),
      }),
      options,
    );
    const call = (signal: AbortSignal | undefined) => signal === undefined ? {} : { signal };
    let size = 0;
    const started = Date.now();
    return {
      part: async (number, bytes, signal) => {
        const { ETag } = await this.#send(
          new this.#sdk.UploadPartCommand({
            ...object,
            UploadId,
            PartNumber: number,
            Body: bytes,
            ...this.#md5(bytes),
            ...this.#customerKeyInput(),
          }),
          call(signal),
        );
        size += bytes.length;
        return ETag ?? "";
      },
      complete: async (tags, signal) => {
        try {
          await this.#send(
            new this.#sdk.CompleteMultipartUploadCommand({
              ...object,
              UploadId,
              MultipartUpload: {
                Parts: tags.map((ETag, i) => ({ ETag, PartNumber: i + 1 })),
              },
              ...(options.ifAbsent === true ? { IfNoneMatch: "*" } : {}),
            }),
            call(signal),
          );
        } catch (error) {
          // The answer to an earlier try may have got lost: servers then know no such upload.
          const made = { size, parts: tags.length, since: started - CLOCKS_DIFFER };
          if (!await this.#isThere(name, made, call(signal))) throw error;
        }
      },
      abort: async () => {
        await this.#send(
          new this.#sdk.AbortMultipartUploadCommand({ ...object, UploadId }),
          { signal: AbortSignal.timeout(10_000) },
        );
      },
    };
  }

  /** True when the object is what an upload in parts has just made. */
  async #isThere(
    name: string,
    made: { readonly size: number; readonly parts: number; readonly since: number },
    options: CallOptions,
  ): Promise<boolean> {
    try {
      const { ContentLength, ETag, LastModified } = await this.#send(
        new this.#sdk.HeadObjectCommand({
          Bucket: this.#config.bucket,
          Key: name,
          ...this.#customerKeyInput(),
        }),
        options,
      );
      // The tag of an object made of parts ends in their number, on most servers.
      const parts = /-(\d+)"?$/.exec(ETag ?? "")?.[1];
      return ContentLength === made.size && (LastModified?.getTime() ?? 0) >= made.since &&
        (parts === undefined || Number(parts) === made.parts);
    } catch {
      return false; // The failure of the upload is the one to tell.
    }
  }

  async delete(name: string, options: CallOptions): Promise<void> {
    await this.#send(
      new this.#sdk.DeleteObjectCommand({ Bucket: this.#config.bucket, Key: name }),
      options,
    );
  }

  async close(): Promise<void> {
    (await this.#client?.catch(() => undefined))?.destroy();
    this.#transport.close();
  }

  /** Sends a command; a bucket that lives in another region is asked there from then on. */
  async #send<I extends aws.ServiceInputTypes, O extends aws.ServiceOutputTypes>(
    command: SdkCommand<I, O>,
    options: CallOptions,
    streaming = false,
  ): Promise<O> {
    for (let moved = 0;; moved++) {
      throwIfAborted(options.signal);
      const region = this.#region;
      try {
        const client = await (this.#client ??= this.#connect(region));
        const { signal } = options;
        return await client.send(
          command as unknown as Parameters<typeof client.send>[0],
          { streaming, ...(signal && { abortSignal: signal }) } as { abortSignal?: AbortSignal },
        ) as unknown as O;
      } catch (error) {
        const failure = s3Error(error, this.#anonymous);
        const other = failure instanceof RemoteError ? failure.attrs.region : undefined;
        if (moved > 0 || typeof other !== "string" || other === region) throw failure;
        if (this.#region === region) {
          this.#region = other;
          this.#client = undefined;
        }
      }
    }
  }

  async #connect(region: string): Promise<aws.S3Client> {
    const { insecure } = this.#config;
    try {
      const credentials = await s3Credentials(
        this.#config,
        region,
        this.#options.env ?? processEnv,
      );
      this.#anonymous = credentials === undefined;
      return new this.#sdk.S3Client({
        region,
        endpoint: `${insecure ? "http" : "https"}://${endpointOfRegion(this.#config, region)}`,
        forcePathStyle: !isVirtualHosted(this.#config),
        ...(credentials === undefined
          ? {
            credentials: { accessKeyId: "none", secretAccessKey: "none" },
            signer: { sign: (request) => Promise.resolve(request) },
          }
          : { credentials }),
        requestHandler: new SdkHandler(
          this.#transport,
          this.#config.trace.enable ? this.#options.trace : undefined,
        ) as unknown as NonNullable<aws.S3ClientConfig["requestHandler"]>,
        // Tries are counted in one place, and bodies belong to them.
        maxAttempts: 1,
        retryMode: "standard",
        defaultsMode: "standard",
        // Checksums in trailers are unknown to many servers; parts carry Content-MD5.
        requestChecksumCalculation: "WHEN_REQUIRED",
        responseChecksumValidation: "WHEN_REQUIRED",
        disableS3ExpressSessionAuth: true,
        useArnRegion: false,
        useDualstackEndpoint: false,
        useFipsEndpoint: false,
        userAgentAppId: "mneme",
        authSchemePreference: ["aws.auth#sigv4"],
        sigv4aSigningRegionSet: [region],
      });
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }

  #md5(bytes: Uint8Array): { ContentMD5?: string } {
    if (!this.#config.send_content_md5) return {};
    return { ContentMD5: createHash("md5").update(bytes).digest("base64") };
  }

  #customerKeyInput() {
    const key = this.#customerKey;
    return key === undefined ? {} : {
      SSECustomerAlgorithm: "AES256",
      SSECustomerKey: key.key,
      SSECustomerKeyMD5: key.md5,
    };
  }

  /** What every new object gets: user metadata, storage class and encryption. */
  #objectInput() {
    const metadata: Record<string, string> = {};
    let storageClass: aws.StorageClass | undefined;
    for (const [key, value] of this.#config.put_user_metadata) {
      if (key.toLowerCase() === "x-amz-storage-class") storageClass = value as aws.StorageClass;
      else metadata[key] = value;
    }
    const { type, kms_key_id, kms_encryption_context } = this.#config.sse_config;
    return {
      ...(Object.keys(metadata).length === 0 ? {} : { Metadata: metadata }),
      ...(storageClass === undefined ? {} : { StorageClass: storageClass }),
      ...(type === "SSE-S3" ? { ServerSideEncryption: "AES256" as const } : {}),
      ...(type === "SSE-KMS"
        ? {
          ServerSideEncryption: "aws:kms" as const,
          SSEKMSKeyId: kms_key_id,
          SSEKMSEncryptionContext: new TextEncoder().encode(
            JSON.stringify(Object.fromEntries(kms_encryption_context)),
          ).toBase64(),
        }
        : {}),
      ...this.#customerKeyInput(),
    };
  }
}

/** A command of the SDK with what it takes and gives. */
interface SdkCommand<I, O> {
  readonly input: I;
  resolveMiddleware(...args: never[]): (input: never) => Promise<{ output: O }>;
}

/** Listings tell milliseconds on some servers where heads tell seconds. */
function wholeSeconds(time: Date | undefined): number {
  return time === undefined ? 0 : Math.floor(time.getTime() / 1000) * 1000;
}

function readCustomerKey(config: S3Config): { key: string; md5: string } | undefined {
  const { type, encryption_key: path } = config.sse_config;
  if (type !== "SSE-C") return undefined;
  let key: Uint8Array;
  try {
    key = fs.readFileSync(path);
  } catch (error) {
    throw new MnemeError(
      "bad_data",
      `sse_config.encryption_key: Cannot read ${path}: ${errorMessage(error)}`,
    );
  }
  if (key.length !== 32) {
    throw new MnemeError(
      "bad_data",
      `sse_config.encryption_key: ${path} has ${key.length} bytes, a key has 32`,
    );
  }
  return {
    key: new Uint8Array(key).toBase64(),
    md5: createHash("md5").update(key).digest("base64"),
  };
}
