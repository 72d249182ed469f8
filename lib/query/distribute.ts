/**
 * Distributed mode: parts of a query are evaluated by the queriers below, and their results become
 * the series that the rest of the query is evaluated over.
 *
 * Where the queriers cannot give a whole answer (an endpoint below is no querier, or two of the same
 * partition leave a gap between them), the query is evaluated here over all series as in local mode.
 */
import { errorMessage, MnemeError } from "../base/mod.ts";
import {
  bitsOf,
  compareLabels,
  dropLabels,
  keepLabels,
  type Labels,
  labelsKey,
  type Matcher,
  MAX_TIME,
  MIN_TIME,
  SampleBatch,
  setStaleAt,
} from "../model/mod.ts";
import {
  type Engine,
  type Expr,
  type SelectedSeries,
  type SelectHints,
  type Storage,
  walkExpr,
} from "../promql/mod.ts";
import {
  canMatch,
  type ComponentInfo,
  type QueryApi,
  type SampledSeries,
} from "../storeapi/mod.ts";
import { type PushedPart, REMOTE_LABEL, splitQuery } from "./distribute_plan.ts";
import type { QueryRequest } from "./query_runner.ts";

/** An endpoint as distributed mode sees it. */
export interface DistributedEndpoint {
  readonly address: string;
  readonly info: ComponentInfo;
  readonly unhealthy: string | undefined;
  /** Evaluates queries there; undefined for an endpoint that is no querier. */
  readonly query: QueryApi | undefined;
}

/** Settings of distributed mode. */
export interface DistributorOptions {
  readonly engine: Engine;
  readonly endpoints: () => readonly DistributedEndpoint[];
  /** Labels in which the queriers below differ; empty = all external labels but replica labels. */
  readonly partitionLabels: readonly string[];
  /** Queriers of one partition may cover the same times in part (the oldest start then counts). */
  readonly overlapping: boolean;
  /** Why a query is evaluated here after all. */
  readonly onLocal?: (reason: string) => void;
}

/** One engine with the times that it covers, by partition. */
interface RemoteEngine {
  readonly endpoint: DistributedEndpoint;
  readonly query: QueryApi;
  /** Partition label sets. */
  readonly partitions: ReadonlyMap<string, Labels>;
  /** From when on it has anything, and from when on everything. */
  readonly firstTime: number;
  readonly minTime: number;
  readonly maxTime: number;
}

/** Plans and runs the parts of queries at other queriers. */
export class Distributor {
  readonly #options: DistributorOptions;
  constructor(options: DistributorOptions) {
    this.#options = options;
  }

  /** What is evaluated here for a request: a query over remote results, or the query as it is. */
  plan(request: QueryRequest, local: Storage): { query: string; storage: Storage } {
    const asIs = (reason: string) => {
      this.#options.onLocal?.(reason);
      return { query: request.query, storage: local };
    };
    const { start, end, step } = request.times;
    const { storeMatchers, shardInfo } = request.options;
    if (storeMatchers.length > 0 || shardInfo !== undefined) {
      return asIs("a choice of stores or series is made here");
    }
    if (step > 0 && (start % 1000 !== 0 || end % 1000 !== 0 || step % 1000 !== 0)) {
      return asIs("times between whole seconds cannot be asked of other queriers");
    }
    const expr = this.#options.engine.parse(request.query);
    const matching = this.#matching(expr);
    if (matching.length === 0) return asIs("no endpoint has matching series");
    const stranger = matching.find((e) => e.query === undefined);
    if (stranger !== undefined) return asIs(`${stranger.address} is no querier`);
    const replicas = new Set(request.options.deduplicate ? request.options.replicaLabels : []);
    const engines = matching.map((e) => this.#engine(e, replicas));
    const partition = this.#partitionNames(engines);
    const split = splitQuery(expr, partition, request.lookbackDelta);
    if (split === undefined) return asIs("nothing of it can be pushed down");
    const gap = split.parts.map((part) => findGap(engines, part, start, end))
      .find((text) => text !== undefined);
    if (gap !== undefined) return asIs(gap);
    const parts = split.parts.map((part) => new RemotePart(part, engines, partition, request));
    return { query: split.query, storage: new DistributedStorage(local, parts) };
  }

  /** Endpoints that may have series for some selector of the query, dead ones included. */
  #matching(expr: Expr): DistributedEndpoint[] {
    const selectors: (readonly Matcher[])[] = [];
    walkExpr(expr, (node) => {
      if (node.type === "VectorSelector") selectors.push(node.matchers);
    });
    return this.#options.endpoints().filter(({ info }) =>
      info.store !== undefined &&
      (info.labelSets.length === 0 ||
        selectors.some((m) => info.labelSets.some((labels) => canMatch(labels, m))))
    );
  }

  #engine(endpoint: DistributedEndpoint, replicas: ReadonlySet<string>): RemoteEngine {
    const { partitionLabels, overlapping } = this.#options;
    const { info } = endpoint;
    const wanted = new Set(partitionLabels);
    const partitionOf = (labels: Labels) => {
      const bare = dropLabels(labels, replicas);
      return wanted.size === 0 ? bare : keepLabels(bare, wanted);
    };
    const tsdbs = info.store!.tsdbInfos.length > 0
      ? info.store!.tsdbInfos
      : (info.labelSets.length > 0 ? info.labelSets : []).map((labels) => ({
        labels,
        minTime: info.store!.minTime,
        maxTime: info.store!.maxTime,
      }));
    // One TSDB may announce its blocks one by one: it begins with the first of them.
    const begins = new Map<string, { readonly labels: Labels; minTime: number }>();
    for (const { labels, minTime } of tsdbs) {
      const key = labelsKey(labels);
      const known = begins.get(key);
      if (known === undefined) begins.set(key, { labels, minTime });
      else known.minTime = Math.min(known.minTime, minTime);
    }
    const partitions = new Map<string, Labels>();
    const starts = new Map<string, number>();
    for (const { labels, minTime } of begins.values()) {
      const own = partitionOf(labels);
      const key = labelsKey(own);
      partitions.set(key, own);
      const known = starts.get(key) ?? minTime;
      // All TSDBs of a partition are complete only from the latest start on.
      starts.set(key, overlapping ? Math.min(known, minTime) : Math.max(known, minTime));
    }
    return {
      endpoint,
      query: endpoint.query!,
      partitions,
      firstTime: tsdbs.length === 0 ? MIN_TIME : Math.min(...tsdbs.map((tsdb) => tsdb.minTime)),
      minTime: starts.size === 0 ? MIN_TIME : Math.min(...starts.values()),
      maxTime: tsdbs.length === 0 ? MAX_TIME : Math.max(...tsdbs.map((tsdb) => tsdb.maxTime)),
    };
  }

  #partitionNames(engines: readonly RemoteEngine[]): string[] {
    const { partitionLabels } = this.#options;
    if (partitionLabels.length > 0) return [...partitionLabels];
    const names = new Set<string>();
    for (const { partitions } of engines) {
      for (const labels of partitions.values()) {
        for (let i = 0; i < labels.length; i += 2) names.add(labels[i]!);
      }
    }
    return [...names].sort();
  }
}

/** The engines of one partition from the oldest start on. */
function enginesOf(engines: readonly RemoteEngine[], partition: string): RemoteEngine[] {
  return engines.filter((e) => e.partitions.has(partition)).sort((a, b) => a.minTime - b.minTime);
}

/** Why two engines of a partition together would not answer a part as one would; else undefined. */
function findGap(
  engines: readonly RemoteEngine[],
  part: PushedPart,
  start: number,
  end: number,
): string | undefined {
  const keys = new Set(engines.flatMap((e) => [...e.partitions.keys()]));
  for (const key of keys) {
    const row = enginesOf(engines, key);
    for (let i = 1; i < row.length; i++) {
      const older = row[i - 1]!;
      const from = row[i]!.minTime + part.reach;
      // A newer engine whose part of the time is not asked for plays no role.
      if (from > end || from <= start || older.maxTime >= from) continue;
      return `${older.endpoint.address} and ${row[i]!.endpoint.address} leave a gap between them`;
    }
  }
  return undefined;
}

/** One part of a query at all engines. */
class RemotePart {
  readonly #part: PushedPart;
  readonly #engines: readonly RemoteEngine[];
  readonly #partition: ReadonlySet<string>;
  readonly #request: QueryRequest;

  constructor(
    part: PushedPart,
    engines: readonly RemoteEngine[],
    partition: readonly string[],
    request: QueryRequest,
  ) {
    this.#part = part;
    this.#engines = engines;
    this.#partition = new Set(partition);
    this.#request = request;
  }

  async select(signal: AbortSignal): Promise<SelectedSeries> {
    const warnings: string[] = [];
    const infos: string[] = [];
    const answers = await Promise.all(
      this.#engines.map((engine) => this.#ask(engine, signal, warnings, infos)),
    );
    const { start, end, step } = this.#request.times;
    const joined = this.#join(answers);
    const filled = joined.map(({ labels, batch }) => ({
      labels,
      batch: step === 0 ? stamped(batch, start) : withMarkers(batch, step, end),
    }));
    return {
      labels: filled.map((s) => s.labels),
      warnings,
      infos,
      bytes: 0,
      read(i, batch) {
        const from = filled[i]!.batch;
        batch.clear();
        batch.appendRange(from, 0, from.length);
      },
      close() {},
    };
  }

  async #ask(
    engine: RemoteEngine,
    signal: AbortSignal,
    warnings: string[],
    infos: string[],
  ): Promise<readonly SampledSeries[]> {
    const { options, times, timeout, lookbackDelta } = this.#request;
    const { address, unhealthy } = engine.endpoint;
    if (engine.maxTime < times.start - this.#part.reach || engine.firstTime > times.end) return [];
    const began = performance.now();
    let series: readonly SampledSeries[] = [];
    let failure = unhealthy;
    if (failure === undefined) {
      try {
        const answer = await engine.query.query({
          query: this.#part.query,
          ...times,
          timeout,
          maxResolution: options.maxResolution,
          replicaLabels: options.replicaLabels,
          storeMatchers: [],
          deduplicate: options.deduplicate,
          partialResponse: options.partialResponse === "warn",
          lookbackDelta,
          engine: "thanos",
          batchSize: 64,
        }, { signal, tenant: options.tenant });
        series = answer.series;
        for (const text of answer.warnings) {
          if (text.startsWith("PromQL ")) infos.push(`${address}: ${text}`);
          else warnings.push(text);
        }
      } catch (error) {
        if (signal.aborted) throw error;
        failure = errorMessage(error);
      }
    }
    options.recorder?.store({
      address,
      milliseconds: performance.now() - began,
      firstFrame: failure === undefined ? performance.now() - began : undefined,
      bytes: 0,
      frames: 1,
      series: series.length,
      chunks: 0,
      samples: series.reduce((n, s) => n + s.batch.length, 0),
      error: failure,
    });
    if (failure === undefined) return series;
    const text = `remote query error (${address}): ${failure}`;
    if (options.partialResponse === "abort") throw new MnemeError("execution", text);
    warnings.push(text);
    return [];
  }

  /** One series for each label set; of engines of one partition, the newest that is complete. */
  #join(answers: readonly (readonly SampledSeries[])[]): SampledSeries[] {
    const found = new Map<string, { labels: Labels; from: Map<RemoteEngine, SampleBatch> }>();
    answers.forEach((series, i) => {
      for (const { labels, batch } of series) {
        const key = labelsKey(labels);
        let entry = found.get(key);
        if (entry === undefined) found.set(key, entry = { labels, from: new Map() });
        entry.from.set(this.#engines[i]!, batch);
      }
    });
    const rows = new Map<string, RemoteEngine[]>();
    const out: SampledSeries[] = [];
    for (const { labels, from } of found.values()) {
      const key = labelsKey(keepLabels(labels, this.#partition));
      let row = rows.get(key);
      if (row === undefined) {
        row = enginesOf(this.#engines, key);
        // An engine may add series of partitions that it did not announce.
        rows.set(key, row.length > 0 ? row : row = [...this.#engines]);
      }
      const batch = row.length === 1 && from.size === 1
        ? [...from.values()][0]!
        : this.#byTime(row, from);
      if (batch.length > 0) out.push({ labels, batch });
    }
    return out.sort((a, b) => compareLabels(a.labels, b.labels));
  }

  #byTime(
    row: readonly RemoteEngine[],
    from: ReadonlyMap<RemoteEngine, SampleBatch>,
  ): SampleBatch {
    const out = new SampleBatch(64);
    row.forEach((engine, i) => {
      const batch = from.get(engine);
      if (batch === undefined) return;
      const first = i === 0 ? -Infinity : engine.minTime + this.#part.reach;
      const next = row[i + 1];
      const last = next === undefined ? Infinity : next.minTime + this.#part.reach;
      const { t, length } = batch;
      let a = 0;
      while (a < length && t[a]! < first) a++;
      let b = a;
      while (b < length && t[b]! < last) b++;
      out.appendRange(batch, a, b);
    });
    return out;
  }
}

/** The first sample at the time of the question, as clients of instant queries stamp it. */
function stamped(batch: SampleBatch, time: number): SampleBatch {
  const out = new SampleBatch(1);
  out.appendRange(batch, 0, Math.min(1, batch.length));
  if (out.length > 0) out.t[0] = time;
  return out;
}

/** The samples with a marker in each gap, so that none is looked back at from a later step. */
function withMarkers(batch: SampleBatch, step: number, end: number): SampleBatch {
  const { t, length } = batch;
  const out = new SampleBatch(length + 8);
  for (let i = 0; i < length; i++) {
    out.appendRange(batch, i, i + 1);
    const next = i + 1 < length ? t[i + 1]! : end + step;
    if (next - t[i]! > step || (i + 1 === length && t[i]! + step <= end)) {
      out.reserve(1);
      const at = out.length++;
      out.t[at] = t[i]! + step;
      setStaleAt(bitsOf(out.v), at);
      if (out.h !== null) out.h[at] = undefined;
    }
  }
  return out;
}

/** The local storage, and the parts' results under their marks. */
class DistributedStorage implements Storage {
  readonly #local: Storage;
  readonly #parts: readonly RemotePart[];
  constructor(local: Storage, parts: readonly RemotePart[]) {
    this.#local = local;
    this.#parts = parts;
  }

  select(
    matchers: readonly Matcher[],
    hints: SelectHints,
    signal: AbortSignal,
  ): Promise<SelectedSeries> {
    const mark = matchers.find((m) => m.name === REMOTE_LABEL);
    const part = mark === undefined ? undefined : this.#parts[Number(mark.value)];
    return part === undefined ? this.#local.select(matchers, hints, signal) : part.select(signal);
  }
}
