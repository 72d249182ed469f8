/** How one endpoint is called: clear text or TLS, name in its certificate, compression. */
import { MnemeError } from "../base/mod.ts";
import { schema, type SchemaType } from "../config/mod.ts";
import type { ClientTls, RpcClientOptions } from "../rpc/mod.ts";

/** Files and rules of TLS to an endpoint; "" is no file. */
export interface TlsFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly skipVerify: boolean;
  /** Oldest version of TLS that is spoken; below 1.2 nothing is, whatever is said. */
  readonly minVersion: TlsMinVersion;
}

const VERSIONS = ["1.0", "1.1", "1.2", "1.3"] as const;

/** Versions of TLS as flags and files name them. */
export type TlsMinVersion = (typeof VERSIONS)[number];

/** Complete settings of calls to one endpoint. */
export interface ClientSettings {
  /** Undefined: clear text. */
  readonly tls: TlsFiles | undefined;
  /** Name in the certificate; "" = that of the address. */
  readonly serverName: string;
  readonly compression: "none" | "snappy";
}

/** Clear text, nothing compressed. */
export const PLAIN_CLIENT: ClientSettings = {
  tls: undefined,
  serverName: "",
  compression: "none",
};

const tlsSchema = schema.object({
  enabled: schema.optional(schema.bool()),
  insecure_skip_verify: schema.optional(schema.bool()),
  cert_file: schema.string(""),
  key_file: schema.string(""),
  ca_file: schema.string(""),
  min_version: schema.optional(schema.oneOf(VERSIONS)),
});

/** YAML of `client_config` and `default_client_config`. */
export const clientSchema = schema.object({
  tls_config: schema.optional(tlsSchema),
  server_name: schema.string(""),
  compression: schema.optional(schema.oneOf(["none", "snappy"])),
});

/** Such a document as read. */
export type ClientYaml = SchemaType<typeof clientSchema>;

const NO_FILES: TlsFiles = {
  caFile: "",
  certFile: "",
  keyFile: "",
  skipVerify: false,
  minVersion: "1.3",
};

/** The settings of an endpoint: what its own say, and the default's for the rest. */
export function mergeClient(own: ClientYaml | undefined, base: ClientSettings): ClientSettings {
  if (own === undefined) return base;
  return {
    tls: mergeTls(own.tls_config, base.tls),
    serverName: own.server_name === "" ? base.serverName : own.server_name,
    compression: own.compression ?? base.compression,
  };
}

function mergeTls(own: ClientYaml["tls_config"], base: TlsFiles | undefined): TlsFiles | undefined {
  if (own === undefined) return base;
  const asks = own.cert_file !== "" || own.key_file !== "" || own.ca_file !== "" ||
    own.insecure_skip_verify !== undefined;
  if (own.enabled === false) return undefined;
  if (own.enabled === undefined && !asks) return base;
  const rest = base ?? NO_FILES;
  return {
    caFile: own.ca_file || rest.caFile,
    certFile: own.cert_file || rest.certFile,
    keyFile: own.key_file || rest.keyFile,
    skipVerify: own.insecure_skip_verify ?? rest.skipVerify,
    minVersion: own.min_version ?? rest.minVersion,
  };
}

/** Throws bad_data for a certificate without key, or the other way round. */
export function checkClient(settings: ClientSettings, what: string): void {
  const { tls } = settings;
  if (tls === undefined) return;
  if ((tls.certFile === "") !== (tls.keyFile === "")) {
    throw new MnemeError(
      "bad_data",
      `${what}: both client key and certificate must be provided`,
    );
  }
}

/** Settings of the connection; files are read at each connect, so that renewed ones count. */
export function rpcOptions(
  settings: ClientSettings,
  readFile: (path: string) => Uint8Array,
): RpcClientOptions {
  const { tls, serverName, compression } = settings;
  const read = (): ClientTls => {
    const file = (path: string) => path === "" ? undefined : readFile(path);
    const ca = file(tls!.caFile);
    const cert = file(tls!.certFile);
    const key = file(tls!.keyFile);
    return {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(serverName === "" ? {} : { serverName }),
      skipVerify: tls!.skipVerify,
      minVersion: tls!.minVersion === "1.3" ? "TLSv1.3" : "TLSv1.2",
    };
  };
  return {
    ...(tls === undefined ? {} : { tls: read }),
    ...(compression === "none" ? {} : { compression }),
  };
}
