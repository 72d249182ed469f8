/** The configured endpoints: flags, the endpoint configuration, and discovery files, as one list. */
import { errorMessage } from "../base/mod.ts";
import { type ClientSettings } from "./client_settings.ts";
import { parseEndpointConfig } from "./endpoint_config.ts";
import type { EndpointSpec } from "./endpoint_set.ts";
import type { FileDiscovery } from "./file_sd.ts";

/** Where the list comes from. Times in ms. */
export interface EndpointSourceOptions {
  /** From flags, without settings of their own. */
  readonly fixed: readonly EndpointSpec[];
  /** Settings of calls from flags. */
  readonly client: ClientSettings;
  /** The endpoint configuration, if there is one. */
  readonly config?: { readonly source: string; readonly load: () => string };
  readonly configInterval: number;
  readonly files?: FileDiscovery;
  readonly now: () => number;
  readonly onReload: (outcome: { readonly error?: string }) => void;
}

/** The list; the configuration is read again at intervals and when told to. */
export class EndpointSources {
  readonly #options: EndpointSourceOptions;
  #client: ClientSettings;
  #configured: readonly EndpointSpec[] = [];
  #text = "";
  #due: number;

  /** Throws: bad_data when the configuration cannot be used. */
  constructor(options: EndpointSourceOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#due = options.now() + options.configInterval;
    if (options.config !== undefined) this.#read(options.config);
  }

  #read(config: NonNullable<EndpointSourceOptions["config"]>): boolean {
    const text = config.load();
    if (text === this.#text) return false;
    const { client, endpoints } = parseEndpointConfig(text, config.source, this.#options.client);
    this.#client = client;
    this.#configured = endpoints;
    this.#text = text;
    return true;
  }

  /** Reads the configuration again; one that cannot be used leaves everything as it is. */
  reload(): void {
    const { config, onReload, now, configInterval } = this.#options;
    this.#due = now() + configInterval;
    if (config === undefined) return;
    try {
      if (this.#read(config)) onReload({});
    } catch (error) {
      onReload({ error: errorMessage(error) });
    }
  }

  /** The endpoints of the moment, names not yet looked up. */
  specs(): EndpointSpec[] {
    const { fixed, files, now } = this.#options;
    if (now() >= this.#due) this.reload();
    const found = (files?.addresses() ?? []).map((address) => ({ address, strict: false }));
    const bare = [...fixed, ...found].map((spec) => ({ ...spec, client: this.#client }));
    return [...this.#configured, ...bare];
  }
}
