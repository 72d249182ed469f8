/** Credentials of an S3 bucket: from its configuration, the environment, files, or the machine. */
import { errorMessage, MnemeError } from "../base/mod.ts";
import type { ReadEnv } from "./http_config.ts";
import type { S3Config } from "./s3_config.ts";

/** Keys as the SDK takes them. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

/** Gives the credentials of now. */
export type S3CredentialProvider = () => Promise<S3Credentials>;

/** Longest wait for the credentials service of the machine, ms. */
const METADATA_TIMEOUT = 1_000;

/**
 * The provider for a configuration, undefined when requests go out unsigned because nothing gives
 * credentials.
 *
 * Order: `access_key`; else AWS_ACCESS_KEY_ID; else the shared credentials file; else a web identity
 * token, the container's service, the machine's service. `aws_sdk_auth` leaves the order to the SDK.
 */
export async function s3Credentials(
  config: S3Config,
  region: string,
  env: ReadEnv,
): Promise<S3CredentialProvider | undefined> {
  if (config.access_key !== "") return () => Promise.resolve(staticKeys(config));
  if (!config.aws_sdk_auth) {
    const keys = environmentKeys(env);
    if (keys !== undefined) return () => Promise.resolve(environmentKeys(env) ?? keys);
  }
  const sdk = await import("@aws-sdk/credential-providers");
  const clientConfig = {
    region,
    ...(config.sts_endpoint === "" ? {} : { endpoint: stsUrl(config.sts_endpoint) }),
  };
  if (config.aws_sdk_auth) return sdk.fromNodeProviderChain({ clientConfig });
  const sources: S3CredentialProvider[] = [];
  const profile = env("AWS_PROFILE");
  sources.push(sdk.fromIni({ clientConfig, ...(profile === undefined ? {} : { profile }) }));
  if (env("AWS_WEB_IDENTITY_TOKEN_FILE") !== undefined && env("AWS_ROLE_ARN") !== undefined) {
    sources.push(sdk.fromTokenFile({ clientConfig }));
  }
  if (
    env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") !== undefined ||
    env("AWS_CONTAINER_CREDENTIALS_FULL_URI") !== undefined
  ) sources.push(sdk.fromContainerMetadata({ timeout: METADATA_TIMEOUT, maxRetries: 1 }));
  if (env("AWS_EC2_METADATA_DISABLED")?.toLowerCase() !== "true") {
    sources.push(sdk.fromInstanceMetadata({ timeout: METADATA_TIMEOUT, maxRetries: 1 }));
  }
  return await firstThatWorks(sources, env("AWS_WEB_IDENTITY_TOKEN_FILE") !== undefined);
}

/** Tries each source once; an identity that was set up and does not work is an error. */
async function firstThatWorks(
  sources: readonly S3CredentialProvider[],
  identityExpected: boolean,
): Promise<S3CredentialProvider | undefined> {
  const reasons: string[] = [];
  for (const source of sources) {
    try {
      const first = await source();
      let next: S3Credentials | undefined = first;
      return async () => {
        const keys = next ?? await source();
        next = undefined;
        return keys;
      };
    } catch (error) {
      reasons.push(errorMessage(error).split("\n")[0]!);
    }
  }
  if (!identityExpected) return undefined;
  throw new MnemeError(
    "permission",
    `no credentials for S3: ${reasons.join("; ").slice(0, 400)}`,
  );
}

function staticKeys(config: S3Config): S3Credentials {
  return {
    accessKeyId: config.access_key,
    secretAccessKey: config.secret_key,
    ...(config.session_token === "" ? {} : { sessionToken: config.session_token }),
  };
}

function environmentKeys(env: ReadEnv): S3Credentials | undefined {
  const accessKeyId = env("AWS_ACCESS_KEY_ID") ?? env("AWS_ACCESS_KEY");
  const secretAccessKey = env("AWS_SECRET_ACCESS_KEY") ?? env("AWS_SECRET_KEY");
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  const sessionToken = env("AWS_SESSION_TOKEN");
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

function stsUrl(endpoint: string): string {
  return endpoint.includes("://") ? endpoint : `https://${endpoint}`;
}
