/**
 * `--http.config`: TLS, passwords and headers of an HTTP server, in the format that Prometheus and
 * its exporters share. The file and those it names are looked at for each request and connection.
 */
import { dirname, resolve } from "node:path";
import { errorMessage, MnemeError, parseGoDuration } from "../base/mod.ts";
import { readConfig, schema, type SchemaType } from "../config/mod.ts";

const text = schema.string("");
const CLIENT_AUTH = [
  "NoClientCert",
  "RequestClientCert",
  "RequireClientCert",
  "RequireAnyClientCert",
  "VerifyClientCertIfGiven",
  "RequireAndVerifyClientCert",
] as const;
const VERSIONS = ["TLS10", "TLS11", "TLS12", "TLS13"] as const;
/** Headers that may be set, with the values they may have. */
const HEADERS: Readonly<Record<string, RegExp>> = {
  "Strict-Transport-Security": /./,
  "X-Content-Type-Options": /^nosniff$/i,
  "X-Frame-Options": /^(?:deny|sameorigin)$/i,
  "X-XSS-Protection": /./,
  "Content-Security-Policy": /./,
};

const webSchema = schema.object({
  tls_server_config: schema.object({
    cert_file: text,
    cert: text,
    key_file: text,
    key: text,
    client_auth_type: schema.oneOf(["", ...CLIENT_AUTH], ""),
    client_ca_file: text,
    client_ca: text,
    client_allowed_sans: schema.list(schema.string()),
    min_version: schema.oneOf(VERSIONS, "TLS12"),
    max_version: schema.oneOf(VERSIONS, "TLS13"),
    // Chosen by the runtime, which offers sound ones only; told at the start.
    cipher_suites: schema.list(schema.string()),
    prefer_server_cipher_suites: schema.bool(true),
    curve_preferences: schema.list(schema.string()),
  }),
  http_server_config: schema.object({
    // HTTP/1.1 is what is spoken.
    http2: schema.bool(true),
    headers: schema.map(schema.string()),
  }),
  rate_limit: schema.object({
    burst: schema.int(0, { min: 0 }),
    interval: schema.transform(schema.string("0s"), (t) => t === "0" ? 0 : parseGoDuration(t)),
  }),
  basic_auth_users: schema.map(schema.string()),
});

/** TLS of a server, files read; PEM texts. */
export interface WebTls {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
  readonly clientAuth: typeof CLIENT_AUTH[number];
  readonly allowedSans: readonly string[];
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
}

/** What a file says, checked. */
export interface WebConfig {
  readonly tls: WebTls | undefined;
  /** User to bcrypt hash; empty: nobody is asked. */
  readonly users: ReadonlyMap<string, string>;
  readonly headers: readonly (readonly [string, string])[];
  /** Undefined: no limit. */
  readonly rate: { readonly burst: number; readonly interval: number } | undefined;
  /** What is given and has no effect, with the reason. */
  readonly ineffective: readonly string[];
}

/** Largest file that is read, bytes. */
const MAX_FILE = 1024 * 1024;
/** bcrypt below this cost is guessed too fast. */
const MIN_COST = 10;

/** A file that is read again when it, or a file it names, has changed. */
export class WebConfigFile {
  readonly #path: string;
  /** Times of the files that were read. */
  #times = new Map<string, number>();
  #config: WebConfig | undefined;

  /** Throws: bad_data when the file is wrong. */
  constructor(path: string) {
    this.#path = path;
    this.current();
  }

  /** What the file says now. Throws: bad_data when it has become wrong. */
  current(): WebConfig {
    if (this.#config !== undefined && !this.#changed()) return this.#config;
    this.#config = undefined;
    this.#times = new Map();
    const content = this.#read(this.#path, "");
    this.#config = readWebConfig(content, this.#path, (path, key) => this.#read(path, key));
    return this.#config;
  }

  #changed(): boolean {
    for (const [path, time] of this.#times) {
      try {
        if (Deno.statSync(path).mtime?.getTime() !== time) return true;
      } catch {
        return true;
      }
    }
    return false;
  }

  #read(path: string, key: string): string {
    const full = key === "" ? path : resolve(dirname(this.#path), path);
    const where = key === "" ? "" : `${key}: `;
    try {
      const { mtime, size } = Deno.statSync(full);
      if (size > MAX_FILE) throw new Error(`it has ${size} bytes, at most ${MAX_FILE} are read`);
      this.#times.set(full, mtime?.getTime() ?? 0);
      return Deno.readTextFileSync(full);
    } catch (error) {
      throw new MnemeError(
        "bad_data",
        `--http.config: ${where}Cannot read ${full}: ${errorMessage(error)}`,
      );
    }
  }
}

/** Checks a document; `read` reads the files it names. Throws: bad_data. */
export function readWebConfig(
  content: string,
  name: string,
  read: (path: string, key: string) => string,
): WebConfig {
  const config = readConfig(webSchema, content, {
    name: `--http.config: ${name}`,
    maxNodes: 100_000,
  });
  const refuse = (reason: string): never => {
    throw new MnemeError("bad_data", `--http.config: ${name}: ${reason}`);
  };
  const headers: [string, string][] = [];
  for (const [header, value] of config.http_server_config.headers) {
    const known = Object.keys(HEADERS).find((h) => h.toLowerCase() === header.toLowerCase());
    if (known === undefined) {
      refuse(`header "${header}" cannot be set, use ${Object.keys(HEADERS).join(", ")}`);
    } else if (value !== "") {
      if (!HEADERS[known]!.test(value) || /[\r\n\0]/.test(value)) {
        refuse(`header ${known} cannot be "${value}"`);
      }
      headers.push([known, value]);
    }
  }
  for (const [user, hash] of config.basic_auth_users) {
    const cost = /^\$2[aby]\$(\d{2})\$[./A-Za-z0-9]{53}$/.exec(hash)?.[1];
    if (cost === undefined) refuse(`the password of user "${user}" is no bcrypt hash`);
    if (Number(cost) < MIN_COST || Number(cost) > 15) {
      refuse(`the password of user "${user}" is hashed with cost ${Number(cost)}, use 10 to 15`);
    }
  }
  const { burst, interval } = config.rate_limit;
  return {
    tls: readTls(config.tls_server_config, read, refuse),
    users: config.basic_auth_users,
    headers,
    rate: interval === 0 ? undefined : { burst: Math.max(1, burst), interval },
    ineffective: (["cipher_suites", "curve_preferences"] as const)
      .filter((key) => config.tls_server_config[key].length > 0)
      .map((key) =>
        `tls_server_config.${key} has no effect: the runtime always offers the same sound ones`
      ),
  };
}

function readTls(
  tls: SchemaType<typeof webSchema>["tls_server_config"],
  read: (path: string, key: string) => string,
  refuse: (reason: string) => never,
): WebTls | undefined {
  const clientAuth = tls.client_auth_type === "" ? "NoClientCert" : tls.client_auth_type;
  const given = [
    tls.cert,
    tls.cert_file,
    tls.key,
    tls.key_file,
    tls.client_ca,
    tls.client_ca_file,
    tls.client_auth_type,
  ];
  if (given.every((value) => value === "")) return undefined;
  const pem = (inline: string, file: string, key: string): string => {
    if (inline !== "" && file !== "") refuse(`both ${key} and ${key}_file are given`);
    const text = inline !== "" ? inline : file === "" ? "" : read(file, `${key}_file`);
    if (text !== "" && !text.includes("-----BEGIN ")) refuse(`${key} holds no PEM block`);
    return text;
  };
  const cert = pem(tls.cert, tls.cert_file, "cert");
  const key = pem(tls.key, tls.key_file, "key");
  if (cert === "") refuse("missing one of cert or cert_file");
  if (key === "") refuse("missing one of key or key_file");
  const clientCa = pem(tls.client_ca, tls.client_ca_file, "client_ca");
  if (clientCa !== "" && clientAuth === "NoClientCert") {
    refuse("client CA's have been configured without a client auth policy");
  }
  const verifies = clientAuth === "VerifyClientCertIfGiven" ||
    clientAuth === "RequireAndVerifyClientCert";
  if (verifies && clientCa === "") refuse(`client_auth_type ${clientAuth} needs client_ca_file`);
  if (tls.max_version === "TLS10" || tls.max_version === "TLS11") {
    refuse(`max_version ${tls.max_version} is not supported, use TLS12 or TLS13`);
  }
  if (tls.min_version === "TLS13" && tls.max_version === "TLS12") {
    refuse("min_version is above max_version");
  }
  return {
    cert,
    key,
    clientCa: clientCa === "" ? undefined : clientCa,
    clientAuth,
    allowedSans: tls.client_allowed_sans,
    // Older versions than 1.2 are not offered by the runtime.
    minVersion: tls.min_version === "TLS13" ? "TLSv1.3" : "TLSv1.2",
    maxVersion: tls.max_version === "TLS12" ? "TLSv1.2" : "TLSv1.3",
  };
}
