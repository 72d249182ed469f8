/**
 * HTTP clients from the field's configuration document (`--prometheus.http-client`).
 *
 * ```yaml
 * basic_auth: {username: u, password: p, password_file: /run/p}
 * bearer_token: t          # or bearer_token_file
 * proxy_url: http://proxy:3128
 * tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}
 * ```
 * Files with secrets are read for each request, so that they may be replaced.
 */
import { errorMessage, MnemeError } from "../base/mod.ts";
import { readConfig, schema, type SchemaType } from "../config/mod.ts";

const text = schema.string("");
const number = schema.float(0);
const configSchema = schema.object({
  basic_auth: schema.optional(
    schema.object({ username: text, password: text, password_file: text }, { lenient: true }),
  ),
  bearer_token: text,
  bearer_token_file: text,
  proxy_url: text,
  tls_config: schema.optional(schema.object({
    ca_file: text,
    cert_file: text,
    key_file: text,
    server_name: text,
    insecure_skip_verify: schema.bool(false),
  }, { lenient: true })),
  // Limits in nanoseconds; those that the runtime has no setting for have no effect.
  transport_config: schema.optional(
    schema.object({ max_idle_conns_per_host: number, idle_conn_timeout: number }, {
      lenient: true,
    }),
  ),
}, { lenient: true });

type HttpClientConfig = SchemaType<typeof configSchema>;

/** How to make requests. */
export interface ConfiguredHttpClient {
  readonly fetch: typeof fetch;
  /** Headers of the next request. */
  readonly headers: () => Promise<Record<string, string>>;
}

/**
 * A client for a document; an empty one is a plain client.
 *
 * Throws: bad_data for contradictions, unreadable certificates, and settings that cannot be kept.
 */
export function httpClient(document: string, source: string): ConfiguredHttpClient {
  if (document.trim() === "") return { fetch, headers: () => Promise.resolve({}) };
  const config = readConfig(configSchema, document, { name: source });
  const refuse = (what: string): never => {
    throw new MnemeError("bad_data", `${source}: ${what}`);
  };
  const given = [
    config.basic_auth !== undefined,
    config.bearer_token !== "",
    config.bearer_token_file !== "",
  ].filter(Boolean).length;
  if (given > 1) {
    refuse("at most one of basic_auth, bearer_token and bearer_token_file must be given");
  }
  const basic = config.basic_auth;
  if (basic !== undefined && basic.password !== "" && basic.password_file !== "") {
    refuse("at most one of basic_auth password and password_file must be given");
  }
  const make = () => Deno.createHttpClient(clientOptions(config, source, refuse));
  let client = make();
  let times = certificateTimes(config);
  return {
    fetch: (input, init) => {
      const now = certificateTimes(config);
      if (now !== times) {
        times = now;
        try {
          client = make();
        } catch {
          // Half replaced: the old ones serve until the other half is there, which changes a time.
        }
      }
      // `client` is Deno's own addition to the standard's settings.
      const withClient: RequestInit & { client: Deno.HttpClient } = { ...init, client };
      return fetch(input, withClient);
    },
    headers: () => authorization(config, source),
  };
}

/** Changes when one of the certificate files does. */
function certificateTimes(config: HttpClientConfig): string {
  const { ca_file = "", cert_file = "", key_file = "" } = config.tls_config ?? {};
  return [ca_file, cert_file, key_file].map((path) => {
    try {
      return path === "" ? "" : Deno.statSync(path).mtime?.getTime();
    } catch {
      return "gone";
    }
  }).join();
}

function clientOptions(
  config: HttpClientConfig,
  source: string,
  refuse: (what: string) => never,
): Deno.CreateHttpClientOptions | (Deno.CreateHttpClientOptions & Deno.TlsCertifiedKeyPem) {
  const tls = config.tls_config;
  if (tls?.insecure_skip_verify === true) {
    refuse("tls_config insecure_skip_verify is not supported: name the certificate in ca_file");
  }
  if (tls !== undefined && tls.server_name !== "") {
    refuse("tls_config server_name is not supported: use that name in the URL");
  }
  const transport = config.transport_config;
  const cert = tls?.cert_file ?? "";
  const key = tls?.key_file ?? "";
  if ((cert === "") !== (key === "")) {
    refuse("tls_config cert_file and key_file must be given together");
  }
  return {
    ...(tls === undefined || tls.ca_file === ""
      ? {}
      : { caCerts: [readSecret(tls.ca_file, source)] }),
    ...(config.proxy_url === "" ? {} : { proxy: { url: config.proxy_url } }),
    ...(transport === undefined || transport.idle_conn_timeout === 0
      ? {}
      : { poolIdleTimeout: transport.idle_conn_timeout / 1e6 }),
    ...(transport === undefined || transport.max_idle_conns_per_host === 0
      ? {}
      : { poolMaxIdlePerHost: transport.max_idle_conns_per_host }),
    ...(cert === ""
      ? {}
      : { cert: readSecret(cert, source), key: readSecret(key, source), keyFormat: "pem" }),
  };
}

/** The header is made for each request: token and password files are rotated. */
function authorization(config: HttpClientConfig, source: string): Promise<Record<string, string>> {
  return Promise.resolve().then(() => {
    const basic = config.basic_auth;
    if (basic !== undefined) {
      const password = basic.password_file === ""
        ? basic.password
        : readSecret(basic.password_file, source).trim();
      const bytes = new TextEncoder().encode(`${basic.username}:${password}`);
      return { authorization: `Basic ${bytes.toBase64()}` };
    }
    const token = config.bearer_token_file === ""
      ? config.bearer_token
      : readSecret(config.bearer_token_file, source).trim();
    const headers: Record<string, string> = {};
    if (token !== "") headers.authorization = `Bearer ${token}`;
    return headers;
  });
}

function readSecret(path: string, source: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new MnemeError("bad_data", `${source}: Cannot read ${path}: ${errorMessage(cause)}`, {
      cause,
    });
  }
}
