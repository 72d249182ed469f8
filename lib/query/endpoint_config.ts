/** The endpoint configuration file of `--endpoint.sd-config`. */
import { MnemeError } from "../base/mod.ts";
import { readConfig, schema } from "../config/mod.ts";
import { checkClient, clientSchema, type ClientSettings, mergeClient } from "./client_settings.ts";
import { checkAddress, type EndpointSpec } from "./endpoint_set.ts";

const configSchema = schema.object({
  default_client_config: schema.optional(clientSchema),
  endpoints: schema.list(schema.object({
    address: schema.string(),
    strict: schema.bool(false),
    group: schema.bool(false),
    service_config: schema.string(""),
    client_config: schema.optional(clientSchema),
  })),
});

/** Endpoints of a document, and the settings of calls that hold where nothing else is said. */
export interface EndpointConfig {
  readonly client: ClientSettings;
  readonly endpoints: readonly EndpointSpec[];
}

/**
 * Reads the document; `base` are the settings that flags give.
 *
 * Throws: bad_data that names the source.
 */
export function parseEndpointConfig(
  text: string,
  source: string,
  base: ClientSettings,
): EndpointConfig {
  const read = readConfig(configSchema, text, { name: source });
  const client = mergeClient(read.default_client_config, base);
  checkClient(client, `${source}: default_client_config`);
  const endpoints = read.endpoints.map((endpoint): EndpointSpec => {
    const { address, strict, group } = endpoint;
    const fail = (reason: string) => new MnemeError("bad_data", `${source}: ${address}: ${reason}`);
    checkAddress(address);
    if (strict && !group && address.includes("+")) {
      throw fail("a strict endpoint cannot be looked up by DNS; use a group or its address");
    }
    if (endpoint.service_config !== "") {
      if (!group) throw fail("service_config is for groups only");
      // Turns and retries are built in; a document that is none is still a mistake.
      try {
        JSON.parse(endpoint.service_config);
      } catch {
        throw fail("service_config is not valid JSON");
      }
    }
    const own = mergeClient(endpoint.client_config, client);
    checkClient(own, `${source}: ${address}`);
    return { address, strict, ...(group ? { group } : {}), client: own };
  });
  return { client, endpoints };
}
