/**
 * The endpoints a querier knows: who was configured, what each said about itself, and how it is.
 *
 * Every poll asks all endpoints for Info in parallel. A new endpoint is known from its first answer
 * on (a strict one at once). An endpoint that stops answering keeps its last description and stays
 * part of every answer's verdict, as a failure, until it has been silent for the unhealthy time-out.
 *
 * Differs: Thanos forgets a failed endpoint at the next poll, so its series go missing silently.
 */
import { type Clock, errorMessage, MnemeError } from "../base/mod.ts";
import { formatLabels, type Labels, MAX_TIME, MIN_TIME } from "../model/mod.ts";
import type { Catalog, ComponentInfo, QueryApi, Store } from "../storeapi/mod.ts";
import type { ClientSettings } from "./client_settings.ts";

/** A configured endpoint. */
export interface EndpointSpec {
  /** `host:port`, a name to look up, or once looked up the name of a group. */
  readonly address: string;
  /** Always used, even before it ever answered. */
  readonly strict: boolean;
  /** All addresses behind the name are one endpoint. */
  readonly group?: boolean;
  /** The addresses of a group at the moment. */
  readonly members?: () => readonly string[];
  /** How it is called; clear text when absent. */
  readonly client?: ClientSettings;
}

/** A connection to one endpoint. */
export interface EndpointClient {
  /** Asks for Info; an answer that takes longer than `timeoutMs` is a failure. */
  info(signal: AbortSignal, timeoutMs: number): Promise<ComponentInfo>;
  readonly store: Store;
  /** What it tells beside series; absent where nothing is asked. */
  readonly catalog?: Catalog;
  /** Evaluates queries; absent where none are asked. */
  readonly query?: QueryApi;
  close(): void;
}

/** One endpoint as `/api/v1/stores` shows it. */
export interface EndpointStatus {
  readonly name: string;
  /** Time of the last answer, ms; 0 when it never answered. */
  readonly lastCheck: number;
  readonly lastError: string | undefined;
  readonly labelSets: readonly Labels[];
  readonly minTime: number;
  readonly maxTime: number;
  readonly componentType: string;
  /** Duration of the last Info call, ms. */
  readonly roundTrip: number | undefined;
}

/** An endpoint that queries must account for. */
export interface KnownEndpoint {
  readonly address: string;
  readonly client: EndpointClient;
  readonly info: ComponentInfo;
  /** Why it cannot be asked at the moment, undefined while it is healthy. */
  readonly unhealthy: string | undefined;
  /** Asks for Info out of turn; callers at the same time share one call. */
  probe(): Promise<unknown>;
}

/** Circumstances of an endpoint set; all injected. */
export interface EndpointSetOptions {
  readonly connect: (spec: EndpointSpec) => EndpointClient;
  /** Time-out of an Info call, ms. */
  readonly infoTimeout: number;
  /** How long a silent endpoint stays known, ms. */
  readonly unhealthyTimeout: number;
  /** How long connections stay open for running queries once an endpoint is gone, ms; 0 at once. */
  readonly closeDelay?: number;
  readonly clock: Clock;
  /** Told of changes: message and fields. */
  readonly log: (level: "info" | "warn", message: string, fields: Record<string, unknown>) => void;
  readonly metrics?: EndpointMetrics;
}

/** What is counted about endpoints. */
export interface EndpointMetrics {
  /** An address was configured more than once. */
  duplicate(): void;
  /** After each poll: the endpoints that queries can use. */
  queryable(endpoints: readonly EndpointStatus[]): void;
}

/** What a strict endpoint counts as before its first answer: a store of all times. */
const UNKNOWN_STORE: ComponentInfo = {
  labelSets: [],
  componentType: "unknown-store-api",
  store: {
    minTime: MIN_TIME,
    maxTime: MAX_TIME,
    supportsSharding: false,
    supportsWithoutReplicaLabels: false,
    tsdbInfos: [],
  },
};

class Endpoint implements KnownEndpoint {
  readonly spec: EndpointSpec;
  readonly client: EndpointClient;
  readonly since: number;
  described: ComponentInfo | undefined;
  lastCheck = 0;
  lastError: string | undefined;
  roundTrip: number | undefined;
  readonly #infoTimeout: number;
  #probing: Promise<unknown> | undefined;
  constructor(spec: EndpointSpec, client: EndpointClient, now: number, infoTimeout: number) {
    this.spec = spec;
    this.client = client;
    this.since = now;
    this.#infoTimeout = infoTimeout;
  }
  probe(): Promise<unknown> {
    const never = new AbortController().signal;
    this.#probing ??= this.client.info(never, this.#infoTimeout)
      .finally(() => this.#probing = undefined);
    return this.#probing;
  }
  get address(): string {
    return this.spec.address;
  }
  get info(): ComponentInfo {
    return this.described ?? UNKNOWN_STORE;
  }
  get unhealthy(): string | undefined {
    // A strict endpoint is always asked: its failure then carries today's cause.
    return this.spec.strict ? undefined : this.lastError;
  }
}

/** The set; `update()` is one poll. */
export class EndpointSet {
  readonly #options: EndpointSetOptions;
  readonly #endpoints = new Map<string, Endpoint>();
  /** Addresses given more than once, told once. */
  #duplicates = new Set<string>();
  /** Label sets that several sidecars or rulers announce, told once. */
  #sharedLabels = new Set<string>();
  readonly #leaving: { readonly client: EndpointClient; readonly at: number }[] = [];

  constructor(options: EndpointSetOptions) {
    this.#options = options;
  }

  /** Adopts the configured endpoints and asks each for its Info. */
  async update(specs: readonly EndpointSpec[], signal: AbortSignal): Promise<void> {
    const { clock, connect, log } = this.#options;
    const wanted = new Map<string, EndpointSpec>();
    const duplicates = new Set<string>();
    for (const spec of specs) {
      const known = wanted.get(spec.address);
      if (known !== undefined) duplicates.add(spec.address);
      if (known === undefined || spec.strict) wanted.set(spec.address, spec);
    }
    for (const address of duplicates) {
      if (this.#duplicates.has(address)) continue;
      this.#options.metrics?.duplicate();
      log("warn", "duplicate endpoint address", { address });
    }
    this.#duplicates = duplicates;
    for (const [address, endpoint] of this.#endpoints) {
      const spec = wanted.get(address);
      if (spec !== undefined && isSame(spec, endpoint.spec)) continue;
      this.#endpoints.delete(address);
      // Queries that run still read from it.
      this.#leaving.push({ client: endpoint.client, at: clock.now() });
      log("info", "endpoint removed from configuration", { address });
    }
    this.#closeLeaving();
    for (const [address, spec] of wanted) {
      if (!this.#endpoints.has(address)) {
        const { infoTimeout } = this.#options;
        this.#endpoints.set(address, new Endpoint(spec, connect(spec), clock.now(), infoTimeout));
      }
    }
    await Promise.all([...this.#endpoints.values()].map((e) => this.#poll(e, signal)));
    this.#options.metrics?.queryable(this.statuses().filter((s) => s.lastError === undefined));
    this.#tellSharedLabels();
  }

  #closeLeaving(): void {
    const { clock, closeDelay = 0 } = this.#options;
    while (this.#leaving.length > 0 && clock.now() - this.#leaving[0]!.at >= closeDelay) {
      this.#leaving.shift()!.client.close();
    }
  }

  /** Two sidecars with the same external labels are nearly always a mistake. */
  #tellSharedLabels(): void {
    const byLabels = new Map<string, string[]>();
    for (const { name, componentType, labelSets } of this.statuses()) {
      if (componentType !== "sidecar" && componentType !== "rule") continue;
      const key = labelSets.map(formatLabels).sort().join(",");
      if (key === "") continue;
      const addresses = byLabels.get(key);
      if (addresses === undefined) byLabels.set(key, [name]);
      else addresses.push(name);
    }
    const shared = new Set<string>();
    for (const [labels, addresses] of byLabels) {
      if (addresses.length < 2) continue;
      shared.add(labels);
      if (this.#sharedLabels.has(labels)) continue;
      this.#options.log("warn", "found duplicate storeAPIs with the same external labels", {
        labels,
        addresses: addresses.join(","),
      });
    }
    this.#sharedLabels = shared;
  }

  async #poll(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
    const { clock, infoTimeout, unhealthyTimeout, log } = this.#options;
    const began = clock.now();
    try {
      const info = await endpoint.client.info(signal, infoTimeout);
      if (endpoint.described === undefined || endpoint.lastError !== undefined) {
        log("info", endpoint.described === undefined ? "adding new endpoint" : "endpoint is back", {
          address: endpoint.address,
          component: info.componentType,
          labels: info.labelSets.map(formatLabels).join(","),
        });
      }
      endpoint.described = info;
      endpoint.lastError = undefined;
      endpoint.lastCheck = clock.now();
      endpoint.roundTrip = clock.now() - began;
    } catch (error) {
      if (signal.aborted) return;
      const cause = errorMessage(error);
      if (endpoint.lastError === undefined) {
        log("warn", "endpoint does not answer", { address: endpoint.address, err: cause });
      }
      endpoint.lastError = cause;
      const silentSince = Math.max(endpoint.since, endpoint.lastCheck);
      const forgotten = clock.now() - silentSince >= unhealthyTimeout;
      if (!endpoint.spec.strict && forgotten && endpoint.described !== undefined) {
        log("warn", "endpoint forgotten after being unhealthy for too long", {
          address: endpoint.address,
          err: cause,
        });
        endpoint.described = undefined;
      }
    }
  }

  /** Endpoints that queries must account for: described ones and strict ones. */
  known(): KnownEndpoint[] {
    return [...this.#endpoints.values()].filter((e) => e.described !== undefined || e.spec.strict);
  }

  /** Endpoints that answered at least once, by component type and then address. */
  statuses(): EndpointStatus[] {
    return [...this.#endpoints.values()]
      .filter((e) => e.described !== undefined)
      .map((e) => ({
        name: e.address,
        lastCheck: e.lastCheck,
        lastError: e.lastError,
        labelSets: e.info.labelSets,
        minTime: e.info.store?.minTime ?? MIN_TIME,
        maxTime: e.info.store?.maxTime ?? MAX_TIME,
        componentType: e.info.componentType,
        roundTrip: e.roundTrip,
      }))
      .sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  }

  close(): void {
    for (const endpoint of this.#endpoints.values()) endpoint.client.close();
    for (const { client } of this.#leaving) client.close();
    this.#leaving.length = 0;
    this.#endpoints.clear();
  }
}

/** True when a connection made for one serves the other as well. */
function isSame(a: EndpointSpec, b: EndpointSpec): boolean {
  return a.strict === b.strict && a.group === b.group &&
    JSON.stringify(a.client) === JSON.stringify(b.client);
}

/** Checks an address flag: `host:port`, or a name with a `+` prefix that is resolved by DNS. */
export function checkAddress(address: string): void {
  if (address !== "" && (address.includes("+") || address.includes(":"))) return;
  throw new MnemeError(
    "bad_data",
    `Address ${address} is not of <host>:<port> format or a valid DNS query.`,
  );
}
