/**
 * Addresses behind names: `dns+host:port` (A and AAAA), `dnssrv+name` (SRV, then A and AAAA of its
 * targets), `dnssrvnoa+name` (SRV targets as they are), `dnsdualstack+host:port` (all of both kinds).
 */
import { lookup as lookupHost, Resolver, resolveSrv } from "node:dns/promises";
import { errorMessage, MnemeError } from "../base/mod.ts";
import type { EndpointSpec } from "./endpoint_set.ts";

/** Lookups of a resolver; injected for tests. */
export interface Lookup {
  a(name: string): Promise<string[]>;
  aaaa(name: string): Promise<string[]>;
  srv(name: string): Promise<{ readonly name: string; readonly port: number }[]>;
}

/** Addresses as programs on this machine see them: hosts file and search domains included. */
async function lookupFamily(name: string, family: 4 | 6): Promise<string[]> {
  const found = await lookupHost(name, { all: true, family });
  return found.filter((f) => f.family === family).map((f) => f.address);
}

/** The machine's resolver. */
export const systemLookup: Lookup = {
  a: (name) => lookupFamily(name, 4),
  aaaa: (name) => lookupFamily(name, 6),
  srv: (name) => resolveSrv(name),
};

/** Name servers alone, those of the machine unless others are given as `host:port`. */
export function nameServerLookup(servers: readonly string[] = []): Lookup {
  const resolver = new Resolver();
  if (servers.length > 0) resolver.setServers(servers);
  return {
    a: (name) => resolver.resolve4(name),
    aaaa: (name) => resolver.resolve6(name),
    srv: (name) => resolver.resolveSrv(name),
  };
}

/** Told of lookups, for metrics. */
export interface LookupMetrics {
  looked(failed: boolean): void;
  /** What each name has resolved to; names that are gone are left out. */
  results(counts: ReadonlyMap<string, number>): void;
}

/** Surroundings of a resolver. */
export interface ResolverOptions {
  readonly lookup?: Lookup;
  /** Pause between lookups, ms. */
  readonly interval: number;
  readonly now: () => number;
  readonly onFailure: (name: string, cause: string) => void;
  /** Lookups of single endpoints, and those of groups. */
  readonly metrics?: { readonly endpoints: LookupMetrics; readonly groups: LookupMetrics };
}

interface Resolved {
  readonly addresses: readonly string[];
  readonly due: number;
}

/** In front of a group's name, as gRPC programs show it. */
const GROUP_SCHEME = "thanos:///";

/** Resolves names now and then; a name whose lookup fails keeps what it resolved to last. */
export class EndpointResolver {
  readonly #specs: () => readonly EndpointSpec[];
  readonly #options: ResolverOptions;
  readonly #resolved = new Map<string, Resolved>();

  constructor(specs: () => readonly EndpointSpec[], options: ResolverOptions) {
    this.#specs = specs;
    this.#options = options;
  }

  /** The endpoints of the moment. */
  async endpoints(): Promise<EndpointSpec[]> {
    const specs = this.#specs();
    const named = specs.filter((spec) => spec.address.includes("+"));
    const names = new Map(named.map((spec) => [spec.address, spec.group === true]));
    for (const name of this.#resolved.keys()) if (!names.has(name)) this.#resolved.delete(name);
    await Promise.all([...names].map(([name, group]) => this.#refresh(name, group)));
    this.#report(names);
    return specs.flatMap((spec) => {
      const addresses = () =>
        spec.address.includes("+") ? this.#resolved.get(spec.address)?.addresses ?? [] : [
          spec.address,
        ];
      return spec.group === true
        ? [{ ...spec, address: `${GROUP_SCHEME}${spec.address}`, members: addresses }]
        : addresses().map((address) => ({ ...spec, address }));
    });
  }

  async #refresh(name: string, group: boolean): Promise<void> {
    const { now, interval, lookup = systemLookup, onFailure, metrics } = this.#options;
    const known = this.#resolved.get(name);
    if (known !== undefined && now() < known.due) return;
    const due = now() + interval;
    let failed = false;
    try {
      this.#resolved.set(name, { addresses: await resolveAddress(name, lookup), due });
    } catch (error) {
      failed = true;
      this.#resolved.set(name, { addresses: known?.addresses ?? [], due });
      onFailure(name, errorMessage(error));
    }
    metrics?.[group ? "groups" : "endpoints"].looked(failed);
  }

  #report(names: ReadonlyMap<string, boolean>): void {
    const { metrics } = this.#options;
    if (metrics === undefined) return;
    for (const group of [false, true]) {
      const counts = new Map<string, number>();
      for (const [name, isGroup] of names) {
        if (isGroup === group) counts.set(name, this.#resolved.get(name)?.addresses.length ?? 0);
      }
      metrics[group ? "groups" : "endpoints"].results(counts);
    }
  }
}

/** Resolves one address with a `+` prefix. */
export async function resolveAddress(address: string, lookup: Lookup): Promise<string[]> {
  const plus = address.indexOf("+");
  const kind = address.slice(0, plus);
  const rest = address.slice(plus + 1);
  const colon = rest.lastIndexOf(":");
  const host = colon < 0 ? rest : rest.slice(0, colon);
  const port = colon < 0 ? "" : rest.slice(colon + 1);
  const join = (ip: string, p: string | number) => ip.includes(":") ? `[${ip}]:${p}` : `${ip}:${p}`;
  switch (kind) {
    case "dns":
    case "dnsdualstack": {
      if (port === "") {
        throw new MnemeError(
          "bad_data",
          `missing port in address given for ${kind} lookup: ${rest}`,
        );
      }
      const ips = kind === "dns"
        ? await firstOf(host, lookup)
        : [...await lookup.aaaa(host).catch(() => []), ...await lookup.a(host).catch(() => [])];
      if (ips.length === 0) throw new MnemeError("not_found", `no address found for ${host}`);
      return ips.map((ip) => join(ip, port));
    }
    case "dnssrv":
    case "dnssrvnoa": {
      const out: string[] = [];
      for (const target of await lookup.srv(host)) {
        const p = port === "" ? target.port : port;
        const name = target.name.replace(/\.$/, "");
        if (kind === "dnssrvnoa") out.push(`${name}:${p}`);
        else for (const ip of await firstOf(name, lookup)) out.push(join(ip, p));
      }
      return out;
    }
    default:
      throw new MnemeError(
        "bad_data",
        `invalid lookup scheme ${JSON.stringify(kind)} in ${address}`,
      );
  }
}

/** A records, or AAAA where there are none. */
async function firstOf(host: string, lookup: Lookup): Promise<string[]> {
  try {
    const ips = await lookup.a(host);
    if (ips.length > 0) return ips;
  } catch (error) {
    const six = await lookup.aaaa(host).catch(() => []);
    if (six.length === 0) throw error;
    return six;
  }
  return await lookup.aaaa(host);
}
