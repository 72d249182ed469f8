/** Whether names resolve and endpoints of a querier answer and can be told apart. */
import { errorMessage } from "../base/mod.ts";
import { dropLabels, formatLabels, type Labels, labelsKey } from "../model/mod.ts";
import { type Lookup, resolveAddress } from "../query/mod.ts";
import type { ComponentInfo } from "../storeapi/mod.ts";
import { type Finding, findingsOf } from "./finding.ts";

/** What the check needs of the world. */
export interface NetworkChecks {
  readonly lookup: Lookup;
  /** Asks an endpoint for its Info. */
  readonly info: (address: string) => Promise<ComponentInfo>;
  readonly replicaLabels: readonly string[];
}

/** Resolves each address and asks what stands there. */
export async function checkEndpoints(
  addresses: readonly string[],
  { lookup, info, replicaLabels }: NetworkChecks,
): Promise<Finding[]> {
  const dns = findingsOf("dns");
  const say = findingsOf("endpoint");
  const findings: Finding[] = [];
  const known: { address: string; info: ComponentInfo }[] = [];
  for (const address of addresses) {
    let resolved: readonly string[] = [address];
    if (address.includes("+")) {
      try {
        resolved = await resolveAddress(address, lookup);
        findings.push(dns.ok(`${address} is ${resolved.join(", ") || "nothing"}`));
        if (resolved.length === 0) {
          findings.push(dns.warning(
            `${address} resolves to no address`,
            "check the name; a headless service has addresses only while pods are ready",
          ));
        }
      } catch (error) {
        findings.push(dns.error(
          `${address} does not resolve: ${errorMessage(error)}`,
          address.startsWith("dnssrv")
            ? "dnssrv+ needs SRV records, named like _grpc._tcp.<service>.<namespace>; use dns+ for A records"
            : "check the name and the resolver of this machine",
        ));
        continue;
      }
    }
    for (const one of resolved) {
      try {
        const told = await info(one);
        known.push({ address: one, info: told });
        const labels = told.labelSets.map(formatLabels).join(", ") || "no labels";
        findings.push(say.ok(`${one} is a ${told.componentType || "component"} with ${labels}`));
      } catch (error) {
        findings.push(say.error(
          `${one} does not answer: ${errorMessage(error)}`,
          "check that the gRPC port is meant (10901 as a rule, not the HTTP port 10902), that the " +
            "component is ready, and whether it wants TLS",
        ));
      }
    }
  }
  return [...findings, ...judgeLabels(known, replicaLabels)];
}

/** Labels that would merge what is different, or keep apart what is the same. */
function judgeLabels(
  known: readonly { readonly address: string; readonly info: ComponentInfo }[],
  replicaLabels: readonly string[],
): Finding[] {
  const say = findingsOf("labels");
  const findings: Finding[] = [];
  const replica = new Set(replicaLabels);
  const withoutReplica = (labels: Labels) => labelsKey(dropLabels(labels, replica));
  const live = known.filter(({ info }) => info.componentType === "sidecar");
  const seen = new Map<string, { address: string; labels: Labels }>();
  for (const { address, info } of live) {
    for (const labels of info.labelSets) {
      const all = labelsKey(labels);
      const same = seen.get(all);
      if (same !== undefined) {
        findings.push(say.error(
          `${same.address} and ${address} have the same external labels ${formatLabels(labels)}`,
          "give each Prometheus external labels of its own, with a replica label for pairs",
        ));
      }
      const twin = [...seen].find(([key, other]) =>
        key !== all && withoutReplica(other.labels) === withoutReplica(labels)
      );
      if (twin !== undefined) {
        findings.push(say.ok(`${twin[1].address} and ${address} are replicas of each other`));
      }
      seen.set(all, { address, labels });
    }
  }
  if (live.length > 1 && replicaLabels.length === 0) {
    findings.push(say.note(
      "no --query.replica-label is given: replicas of a Prometheus pair are not deduplicated",
    ));
  }
  return findings;
}
