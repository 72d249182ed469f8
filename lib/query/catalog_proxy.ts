/**
 * Many catalogs as one: every endpoint that offers an API is asked at the same time, and what they
 * tell is joined. A failing endpoint is a warning, or with the strategy "abort" the end.
 */
import { errorMessage, MnemeError } from "../base/mod.ts";
import {
  formatMatcher,
  type Labels,
  labelsFromPairs,
  labelValue,
  type Matcher,
  matchesLabels,
} from "../model/mod.ts";
import { type Expr, parseExpr, parseSelector, walkExpr } from "../promql/mod.ts";
import type {
  CallContext,
  Catalog,
  ComponentInfo,
  ExemplarData,
  ExemplarsRequest,
  MetricMetadata,
  MetricMetadataRequest,
  PartialResponseStrategy,
  Rule,
  RuleGroup,
  RulesRequest,
  TargetDiscovery,
  TargetsRequest,
  Told,
  TsdbStatistics,
  TsdbStatisticsRequest,
} from "../storeapi/mod.ts";
import {
  mergeExemplars,
  mergeMetadata,
  mergeRuleGroups,
  mergeStatistics,
  mergeTargets,
} from "./catalog_merge.ts";

/** An endpoint as the proxy sees it. */
export interface CatalogEndpoint {
  readonly address: string;
  readonly info: ComponentInfo;
  readonly catalog: Catalog;
  /** Why it cannot be asked at the moment, undefined while it is healthy. */
  readonly unhealthy: string | undefined;
}

/** Parts of a proxy. */
export interface CatalogProxyOptions {
  readonly endpoints: () => readonly CatalogEndpoint[];
  /** Labels in which replicas differ; empty leaves all as it is. */
  readonly replicaLabels: readonly string[];
  /** Longest wait for an endpoint, ms; 0 = no limit. */
  readonly timeout?: number;
}

/** Length of the lists of TSDB statistics when none is asked for. */
const STATISTICS_LIMIT = 10;

/** The proxy. */
export class CatalogProxy implements Catalog {
  readonly #options: CatalogProxyOptions;
  readonly #replicaLabels: ReadonlySet<string>;
  constructor(options: CatalogProxyOptions) {
    this.#options = options;
    this.#replicaLabels = new Set(options.replicaLabels);
  }

  /** Throws: unavailable when an endpoint fails under "abort". */
  async #ask<T>(
    what: string,
    offers: (info: ComponentInfo) => boolean,
    partialResponse: PartialResponseStrategy,
    context: CallContext,
    ask: (endpoint: CatalogEndpoint, context: CallContext) => Promise<Told<T>> | undefined,
  ): Promise<Told<T[]>> {
    const { timeout = 0 } = this.#options;
    const value: T[] = [];
    const warnings: string[] = [];
    const stop = new AbortController();
    const signals = [context.signal, stop.signal];
    if (timeout > 0) signals.push(AbortSignal.timeout(timeout));
    const inner = { ...context, signal: AbortSignal.any(signals) };
    const one = async (endpoint: CatalogEndpoint): Promise<Told<T> | undefined> => {
      let cause = endpoint.unhealthy;
      if (cause === undefined) {
        try {
          return await ask(endpoint, inner);
        } catch (error) {
          if (context.signal.aborted) throw error;
          cause = errorMessage(error);
        }
      }
      const text = `fetching ${what} from ${endpoint.address}: ${cause}`;
      if (partialResponse === "abort") throw new MnemeError("unavailable", text);
      return { value: undefined as never, warnings: [text] };
    };
    try {
      const endpoints = this.#options.endpoints().filter((e) => offers(e.info));
      // In the endpoints' order, so that equal questions get equal answers.
      for (const told of await Promise.all(endpoints.map(one))) {
        if (told === undefined) continue;
        warnings.push(...told.warnings);
        if (told.value !== undefined) value.push(told.value);
      }
    } finally {
      stop.abort();
    }
    return { value, warnings };
  }

  async rules(request: RulesRequest, context: CallContext): Promise<Told<readonly RuleGroup[]>> {
    const selectors = request.matchers.map((text) => parseSelector(text, true));
    const { value, warnings } = await this.#ask(
      "rules",
      (info) => info.rules === true,
      request.partialResponse,
      context,
      ({ catalog }, inner) => catalog.rules(request, inner),
    );
    const groups = mergeRuleGroups(value.flat(), this.#replicaLabels);
    return { value: filterGroups(groups, request, selectors.flat()), warnings };
  }

  async targets(request: TargetsRequest, context: CallContext): Promise<Told<TargetDiscovery>> {
    const { value, warnings } = await this.#ask(
      "targets",
      (info) => info.targets === true,
      request.partialResponse,
      context,
      ({ catalog }, inner) => catalog.targets(request, inner),
    );
    return { value: mergeTargets(value, this.#replicaLabels), warnings };
  }

  async metricMetadata(
    request: MetricMetadataRequest,
    context: CallContext,
  ): Promise<Told<MetricMetadata>> {
    const { value, warnings } = await this.#ask(
      "metric metadata",
      (info) => info.metricMetadata === true,
      request.partialResponse,
      context,
      ({ catalog }, inner) => catalog.metricMetadata(request, inner),
    );
    return { value: mergeMetadata(value, request.limit), warnings };
  }

  async exemplars(
    request: ExemplarsRequest,
    context: CallContext,
  ): Promise<Told<readonly ExemplarData[]>> {
    const selectors = selectorsOf(parseExpr(request.query));
    const { value, warnings } = await this.#ask(
      "exemplars",
      (info) => info.exemplars !== undefined,
      request.partialResponse,
      context,
      ({ catalog, info }, inner) => {
        const query = queryFor(selectors, info);
        return query === "" ? undefined : catalog.exemplars({ ...request, query }, inner);
      },
    );
    return { value: mergeExemplars(value.flat(), this.#replicaLabels), warnings };
  }

  async tsdbStatistics(
    request: TsdbStatisticsRequest,
    context: CallContext,
  ): Promise<Told<ReadonlyMap<string, TsdbStatistics>>> {
    const limit = request.limit > 0 ? request.limit : STATISTICS_LIMIT;
    const ofBlocks = (request.end ?? 0) !== 0;
    const { value, warnings } = await this.#ask(
      "TSDB statistics",
      // Only stores and queriers know the blocks of a bucket; all others would tell their heads.
      (info) =>
        info.status === true &&
        (!ofBlocks || info.componentType === "store" || info.componentType === "query"),
      request.partialResponse,
      context,
      ({ catalog }, inner) => catalog.tsdbStatistics({ ...request, limit }, inner),
    );
    return { value: mergeStatistics(value, limit), warnings };
  }
}

/** Keeps the rules that all filters want; a filtered group without rules goes. */
function filterGroups(
  groups: readonly RuleGroup[],
  request: RulesRequest,
  matchers: readonly Matcher[],
): RuleGroup[] {
  const names = new Set(request.ruleNames);
  const groupNames = new Set(request.ruleGroups);
  const files = new Set(request.files);
  const isFiltered = names.size > 0 || groupNames.size > 0 || files.size > 0 ||
    matchers.length > 0;
  const wanted = (rule: Rule): boolean => {
    if (request.type === "alert" && rule.alert === undefined) return false;
    if (request.type === "record" && rule.recording === undefined) return false;
    const { name, labels } = rule.alert ?? rule.recording!;
    return (names.size === 0 || names.has(name)) &&
      matchesLabels(matchers, withoutTemplates(labels));
  };
  return groups
    .filter((group) =>
      (groupNames.size === 0 || groupNames.has(group.name)) &&
      (files.size === 0 || files.has(group.file))
    )
    .map((group) => ({ ...group, rules: group.rules.filter(wanted) }))
    .filter((group) => !isFiltered || group.rules.length > 0);
}

/** A label whose value is a template has no value yet. */
function withoutTemplates(labels: Labels): Labels {
  const pairs: [string, string][] = [];
  for (let i = 0; i < labels.length; i += 2) {
    if (!labels[i + 1]!.includes("{{")) pairs.push([labels[i]!, labels[i + 1]!]);
  }
  return labelsFromPairs(pairs);
}

function selectorsOf(expr: Expr): (readonly Matcher[])[] {
  const found: (readonly Matcher[])[] = [];
  walkExpr(expr, (node) => {
    if (node.type === "VectorSelector") found.push(node.matchers);
  });
  return found;
}

/**
 * The selectors that concern an endpoint, as one expression; "" when none does.
 *
 * Only a querier knows the external labels in its series; all others want them taken out.
 */
function queryFor(selectors: readonly (readonly Matcher[])[], info: ComponentInfo): string {
  const isQuerier = info.componentType === "query";
  const sets: readonly Labels[] = info.labelSets.length === 0
    ? [labelsFromPairs([])]
    : info.labelSets;
  const parts = new Set<string>();
  for (const matchers of selectors) {
    for (const external of sets) {
      const onExternal = (m: Matcher) => labelValue(external, m.name) !== "";
      if (!matchers.every((m) => !onExternal(m) || m.matches(labelValue(external, m.name)))) {
        continue;
      }
      const left = isQuerier ? matchers : matchers.filter((m) => !onExternal(m));
      if (left.length > 0) parts.add(`{${left.map(formatMatcher).join(", ")}}`);
    }
  }
  return [...parts].join("+");
}
