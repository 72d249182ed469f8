/** The `http_config` part of a bucket's configuration, the same for every provider that speaks HTTP. */
import * as fs from "node:fs";
import process from "node:process";
import { errorMessage, MnemeError } from "../base/mod.ts";
import { schema, type SchemaType } from "../config/mod.ts";

const text = schema.string("");

/** Reads `http_config`; durations become ms. */
export const httpConfigSchema = schema.object({
  idle_conn_timeout: schema.goDuration("1m30s"),
  response_header_timeout: schema.goDuration("2m"),
  insecure_skip_verify: schema.bool(false),
  tls_handshake_timeout: schema.goDuration("10s"),
  // Bodies are sent without asking first.
  expect_continue_timeout: schema.goDuration("1s"),
  max_idle_conns: schema.int(100, { min: 0 }),
  max_idle_conns_per_host: schema.int(100, { min: 0 }),
  max_conns_per_host: schema.int(0, { min: 0 }),
  tls_config: schema.object({
    ca_file: text,
    cert_file: text,
    key_file: text,
    server_name: text,
    insecure_skip_verify: schema.bool(false),
  }),
  // Objects are stored as they are: nothing is asked for compressed.
  disable_compression: schema.bool(false),
});

/** Settings of HTTP connections to a bucket. */
export type HttpConfig = SchemaType<typeof httpConfigSchema>;

/** TLS settings of one new connection; the shape of `node:tls`. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Reads the certificate files again when they change, so that they may be rotated. */
export class TlsFiles {
  readonly #config: HttpConfig;
  readonly #files = new Map<string, { readonly mtime: number; readonly text: string }>();

  /** Throws: bad_data when a file cannot be read or one of certificate and key is missing. */
  constructor(config: HttpConfig) {
    this.#config = config;
    const { cert_file: cert, key_file: key } = config.tls_config;
    if ((cert === "") !== (key === "")) {
      const [has, lacks] = cert === "" ? ["key_file", "cert_file"] : ["cert_file", "key_file"];
      throw new MnemeError(
        "bad_data",
        `http_config.tls_config: ${has} is given without ${lacks}: give both or none`,
      );
    }
    this.current();
  }

  /** Settings of a connection that is made now. */
  current(): TlsSettings {
    const { ca_file, cert_file, key_file, server_name } = this.#config.tls_config;
    const insecure = this.#config.insecure_skip_verify ||
      this.#config.tls_config.insecure_skip_verify;
    return {
      ...(ca_file === "" ? {} : { ca: this.#read(ca_file) }),
      ...(cert_file === "" ? {} : { cert: this.#read(cert_file), key: this.#read(key_file) }),
      ...(server_name === "" ? {} : { servername: server_name }),
      ...(insecure ? { rejectUnauthorized: false } : {}),
    };
  }

  #read(path: string): string {
    try {
      const mtime = fs.statSync(path).mtimeMs;
      const known = this.#files.get(path);
      if (known !== undefined && known.mtime === mtime) return known.text;
      const text = fs.readFileSync(path, "utf8");
      this.#files.set(path, { mtime, text });
      return text;
    } catch (error) {
      throw new MnemeError(
        "bad_data",
        `http_config.tls_config: Cannot read ${path}: ${errorMessage(error)}`,
      );
    }
  }
}

/** Reads an environment variable; "" counts as absent. */
export type ReadEnv = (name: string) => string | undefined;

/** The environment of the process; a variable that may not be read counts as absent. */
export function processEnv(name: string): string | undefined {
  try {
    const value = process.env[name];
    return value === "" ? undefined : value;
  } catch {
    return undefined; // Without the permission it is as if it were not set.
  }
}

/**
 * The proxy for a host, from HTTP_PROXY, HTTPS_PROXY and NO_PROXY in upper or lower case.
 *
 * Loopback addresses are never proxied. Throws: bad_data for a proxy that is no HTTP URL.
 */
export function proxyFor(
  protocol: "http:" | "https:",
  hostname: string,
  port: number,
  env: ReadEnv,
): URL | undefined {
  const both = (name: string) => env(name) ?? env(name.toLowerCase());
  const proxy = both(protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (proxy === undefined || isLoopback(hostname)) return undefined;
  for (const rule of (both("NO_PROXY") ?? "").split(",")) {
    if (isExcepted(rule.trim().toLowerCase(), hostname.toLowerCase(), port)) return undefined;
  }
  const url = URL.parse(proxy.includes("://") ? proxy : `http://${proxy}`);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new MnemeError("bad_data", "The proxy of the environment is no http:// URL");
  }
  return url;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || hostname === "[::1]" ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function isExcepted(rule: string, hostname: string, port: number): boolean {
  if (rule === "") return false;
  if (rule === "*") return true;
  const [, name, rulePort] = /^(.*?)(?::(\d+))?$/.exec(rule)!;
  if (rulePort !== undefined && Number(rulePort) !== port) return false;
  const bare = name!.replace(/^\*?\./, "");
  return hostname === bare || hostname.endsWith(`.${bare}`);
}
