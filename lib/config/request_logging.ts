/**
 * `--request.logging-config`: which requests are logged, when and at which level.
 *
 * ```yaml
 * options: {level: DEBUG, decision: {log_start: false, log_end: true}}
 * http:
 *   options: {level: INFO, decision: {log_start: false, log_end: true}}
 *   config: [{path: /api/v1/query, port: 10902}]
 * grpc:
 *   config: [{service: thanos.Store, method: Series}]
 * ```
 * Options of a protocol replace the common ones; a list of targets limits logging to them.
 */
import { MnemeError } from "../base/mod.ts";
import { readConfig, schema, type SchemaType } from "./schema.ts";

/** When a request of one protocol is logged. */
export interface RequestLogRule {
  readonly start: boolean;
  readonly end: boolean;
  /** `path:port` or `/service/method`; undefined = every request. */
  readonly targets: ReadonlySet<string> | undefined;
}

/** Rules of both protocols; undefined = not logged. */
export interface RequestLogging {
  readonly http: RequestLogRule | undefined;
  readonly grpc: RequestLogRule | undefined;
}

const text = schema.string("");
const optionsSchema = schema.object({
  level: text,
  decision: schema.object({ log_start: schema.bool(false), log_end: schema.bool(false) }),
});
const documentSchema = schema.object({
  options: optionsSchema,
  http: schema.object({
    options: optionsSchema,
    config: schema.list(schema.object({ path: text, port: schema.int(0, { min: 0, max: 65535 }) })),
  }),
  grpc: schema.object({
    options: optionsSchema,
    config: schema.list(schema.object({ service: text, method: text })),
  }),
});

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];

/**
 * Reads the document; an empty one logs nothing.
 *
 * Throws: bad_data.
 */
export function readRequestLogging(document: string, source: string): RequestLogging {
  if (document.trim() === "") return { http: undefined, grpc: undefined };
  const { options, http, grpc } = readConfig(documentSchema, document, { name: source });
  return {
    http: rule(
      isEmpty(http.options) ? options : http.options,
      http.config.map(({ path, port }) => `${path}:${port}`),
      source,
    ),
    grpc: rule(
      isEmpty(grpc.options) ? options : grpc.options,
      grpc.config.map(({ service, method }) => `/${service}/${method}`),
      source,
    ),
  };
}

type Options = SchemaType<typeof optionsSchema>;

function isEmpty({ level, decision }: Options): boolean {
  return level === "" && !decision.log_start && !decision.log_end;
}

function rule(
  { level, decision }: Options,
  targets: readonly string[],
  source: string,
): RequestLogRule | undefined {
  const { log_start: start, log_end: end } = decision;
  if (!start && !end) return undefined;
  if (level === "") throw new MnemeError("bad_data", `${source}: level field is empty`);
  if (!LEVELS.includes(level)) {
    throw new MnemeError(
      "bad_data",
      `${source}: level '${level}' is not one of ${LEVELS.join(", ")}`,
    );
  }
  if (start && !end) {
    throw new MnemeError(
      "bad_data",
      `${source}: log_start without log_end is not supported: set log_end too`,
    );
  }
  return { start, end, targets: targets.length === 0 ? undefined : new Set(targets) };
}
