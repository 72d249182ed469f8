/**
 * From `--tracing.config` to a tracer.
 *
 * ```yaml
 * type: OTLP
 * config:
 *   client_type: http
 *   service_name: thanos-query
 *   endpoint: collector:4318      # or a URL
 *   insecure: true                # plain HTTP
 *   sampler_type: parentbasedtraceidratio
 *   sampler_param: "0.1"
 * ```
 */
import { type Clock, errorMessage, MnemeError } from "../base/mod.ts";
import { parseYaml, readNode, schema, type SchemaType } from "../config/mod.ts";
import type { Logger, Tracer } from "../telemetry/mod.ts";
import { OtlpTracer, type Sampler } from "./otlp.ts";

const text = schema.string("");
const documentSchema = schema.object({ type: text, config: schema.node });
const retrySchema = schema.object({
  retry_enabled: schema.bool(true),
  retry_initial_interval: schema.goDuration("5s"),
  retry_max_interval: schema.goDuration("30s"),
  retry_max_elapsed_time: schema.goDuration("1m"),
});
const otlpSchema = schema.object({
  client_type: text,
  service_name: text,
  resource_attributes: schema.map(text),
  reconnection_period: schema.goDuration("0s"),
  compression: text,
  insecure: schema.bool(false),
  endpoint: text,
  url_path: schema.string("/v1/traces"),
  timeout: schema.goDuration("10s"),
  retry_config: schema.optional(retrySchema),
  headers: schema.map(text),
  tls_config: schema.optional(schema.object({
    ca_file: text,
    cert_file: text,
    key_file: text,
    server_name: text,
    insecure_skip_verify: schema.bool(false),
  })),
  sampler_type: text,
  sampler_param: text,
});

/** What a tracer needs from its process. */
export interface TracingParts {
  /** Name in logs: the flag or file of the document. */
  readonly source: string;
  /** `service.name` when the document gives none. */
  readonly service: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly env: (name: string) => string | undefined;
  readonly readText: (path: string) => string;
}

/**
 * Starts the tracer that a document describes.
 *
 * Throws: bad_data for unknown keys, backends that are not supported, and contradictions.
 */
export function startTracing(document: string, parts: TracingParts): Tracer {
  const { source } = parts;
  const refuse = (what: string): never => {
    throw new MnemeError("bad_data", `${source}: ${what}`);
  };
  const { type, config } = readNode(documentSchema, parseYaml(document, { name: source }), source);
  if (type.toUpperCase() !== "OTLP") {
    refuse(
      type === ""
        ? "'type' is required: use OTLP"
        : `tracing type ${type} is not supported: use OTLP, which every collector takes`,
    );
  }
  const otlp = readNode(otlpSchema, config, source);
  if (otlp.client_type !== "http") {
    refuse(
      `client_type '${otlp.client_type}' is not supported: use http and the collector's HTTP port ` +
        "(4318 as a rule)",
    );
  }
  const { compression } = otlp;
  if (!["", "none", "gzip"].includes(compression)) {
    refuse(`compression '${compression}' is not known: use gzip or none`);
  }
  const retry = otlp.retry_config;
  const tracer = new OtlpTracer({
    url: urlOf(otlp, refuse),
    headers: Object.fromEntries(otlp.headers),
    gzip: compression === "gzip",
    timeout: otlp.timeout,
    retry: {
      initial: retry?.retry_initial_interval ?? 5000,
      max: retry?.retry_max_interval ?? 30_000,
      elapsed: retry?.retry_enabled === false ? 0 : retry?.retry_max_elapsed_time ?? 60_000,
    },
    resource: resourceOf(otlp, parts),
    sampler: samplerOf(otlp, refuse),
    fetch: fetchOf(otlp, parts, refuse),
    clock: parts.clock,
    logger: parts.logger.with({ component: "tracing" }),
  });
  tracer.start();
  return tracer;
}

type Otlp = SchemaType<typeof otlpSchema>;
type Refuse = (what: string) => never;

function urlOf(otlp: Otlp, refuse: Refuse): string {
  const endpoint = otlp.endpoint === "" ? "localhost:4318" : otlp.endpoint;
  const base = /^https?:\/\//.test(endpoint)
    ? endpoint
    : `${otlp.insecure ? "http" : "https"}://${endpoint}`;
  try {
    return new URL(otlp.url_path, base).href;
  } catch (error) {
    return refuse(`endpoint '${endpoint}' is not an address: ${errorMessage(error)}`);
  }
}

/** The document, then `OTEL_RESOURCE_ATTRIBUTES`, as OpenTelemetry's own programs read it. */
function resourceOf(otlp: Otlp, parts: TracingParts): Record<string, string> {
  const resource: Record<string, string> = { "service.name": parts.service };
  for (const pair of (parts.env("OTEL_RESOURCE_ATTRIBUTES") ?? "").split(",")) {
    const at = pair.indexOf("=");
    if (at > 0) resource[pair.slice(0, at).trim()] = pair.slice(at + 1).trim();
  }
  Object.assign(resource, Object.fromEntries(otlp.resource_attributes));
  if (otlp.service_name !== "") resource["service.name"] = otlp.service_name;
  return resource;
}

function samplerOf(otlp: Otlp, refuse: Refuse): Sampler {
  const type = otlp.sampler_type.toLowerCase();
  const parentBased = type.startsWith("parentbased");
  switch (type.replace(/^parentbased/, "")) {
    case "":
    case "alwayssample":
      return { ratio: 1, parentBased };
    case "neversample":
      return { ratio: 0, parentBased };
    case "probabilistic":
    case "traceidratio":
    case "traceidratiobased": {
      const ratio = Number(otlp.sampler_param);
      if (otlp.sampler_param === "" || !(ratio >= 0 && ratio <= 1)) {
        refuse(`sampler_param '${otlp.sampler_param}' must be a number from 0 to 1`);
      }
      return { ratio, parentBased };
    }
    default:
      return refuse(
        `sampler_type '${otlp.sampler_type}' is not known: use alwayssample, neversample, ` +
          "traceidratiobased, parentbasedalwayssample, parentbasedneversample or " +
          "parentbasedtraceidratio",
      );
  }
}

function fetchOf(otlp: Otlp, parts: TracingParts, refuse: Refuse): typeof fetch {
  const tls = otlp.tls_config;
  if (tls === undefined) return fetch;
  if (tls.insecure_skip_verify) refuse("insecure_skip_verify is not supported: use ca_file");
  if (tls.server_name !== "") refuse("server_name is not supported: use that name in endpoint");
  if ((tls.cert_file === "") !== (tls.key_file === "")) {
    refuse("cert_file and key_file must be given together");
  }
  const client = Deno.createHttpClient({
    ...(tls.ca_file === "" ? {} : { caCerts: [parts.readText(tls.ca_file)] }),
    ...(tls.cert_file === "" ? {} : {
      cert: parts.readText(tls.cert_file),
      key: parts.readText(tls.key_file),
      keyFormat: "pem",
    }),
  });
  return (input, init) => {
    const withClient: RequestInit & { client: Deno.HttpClient } = { ...init, client };
    return fetch(input, withClient);
  };
}
