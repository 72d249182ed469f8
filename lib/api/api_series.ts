/** `/series`, `/labels` and `/label/<name>/values` under `/api/v1`. */
import type { Context, Hono } from "hono";
import { MnemeError } from "../base/mod.ts";
import { labelsToRecord, quoteGo } from "../model/mod.ts";
import type { Querier } from "../query/mod.ts";
import { dataResponse } from "./envelope.ts";
import { labelName } from "./label_name.ts";
import { readParams } from "./params.ts";
import type { QuerySettings } from "./query_settings.ts";
import { route } from "./route.ts";

/** What the routes need. */
export interface SeriesApiParts {
  readonly querier: Querier;
  readonly settings: QuerySettings;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Adds the routes. */
export function addSeriesRoutes(app: Hono, parts: SeriesApiParts): void {
  const api = new SeriesApi(parts);
  route(app, "/series", ["GET", "POST"], (c) => api.series(c));
  route(app, "/labels", ["GET", "POST"], (c) => api.labels(c));
  route(app, "/label/:name/values", ["GET"], (c) => api.values(c));
}

class SeriesApi {
  readonly #parts: SeriesApiParts;
  constructor(parts: SeriesApiParts) {
    this.#parts = parts;
  }

  async series(c: Context): Promise<Response> {
    const params = await readParams(c.req.raw);
    if (params.malformed !== undefined) {
      throw new MnemeError("internal", `parse form: invalid pair ${quoteGo(params.malformed)}`);
    }
    if (params.all("match[]").length === 0) {
      throw new MnemeError("bad_data", "no match[] parameter provided");
    }
    const { settings, querier, now } = this.#parts;
    const options = settings.options(c, params);
    const request = settings.metadata(params, options.tenant, now());
    if (request.matcherSets.some((matchers) => matchers.length === 0)) {
      throw new MnemeError(
        "execution",
        "proxy Series(): rpc error: code = InvalidArgument desc = " +
          "no matchers specified (excluding selector labels)",
      );
    }
    const { value, warnings } = await querier.series(request, options, c.req.raw.signal);
    return dataResponse(value.map((labels) => labelsToRecord(labels)), warnings);
  }

  async labels(c: Context): Promise<Response> {
    const params = await readParams(c.req.raw);
    const { settings, querier, now } = this.#parts;
    const options = settings.options(c, params);
    const request = settings.metadata(params, options.tenant, now());
    const { value, warnings } = await querier.labelNames(request, options, c.req.raw.signal);
    return dataResponse(value, warnings);
  }

  async values(c: Context): Promise<Response> {
    const name = labelName(c.req.raw.url);
    if (name === undefined) return c.notFound();
    const params = await readParams(c.req.raw);
    const { settings, querier, now } = this.#parts;
    const options = settings.options(c, params);
    const request = settings.metadata(params, options.tenant, now());
    const { value, warnings } = await querier.labelValues(
      name,
      request,
      options,
      c.req.raw.signal,
    );
    return dataResponse(value, warnings);
  }
}
