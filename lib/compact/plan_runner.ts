/** Carries out one plan: fetch, merge, upload, and only then mark the sources. */
import { type Clock, errorKind, errorMessage, Gate, mapPool, throwIfAborted } from "../base/mod.ts";
import { NO_COMPACT_OUT_OF_ORDER, uploadBlock } from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import { type BlockMeta, CREATION_SUFFIX, type Files, META_FILE } from "../tsdb/mod.ts";
import type { CompactOrder, CompactOutcome } from "./compact_job.ts";
import type { BlockGroup } from "./group.ts";
import type { JobRunner } from "./job_runner.ts";
import type { LocalBlocks } from "./local_blocks.ts";
import { COMPACTED_DETAILS, type Marker, REPAIRED_DETAILS } from "./marker.ts";
import type { CompactMetrics } from "./metrics.ts";
import type { CompactorOptions } from "./options.ts";
import type { PlanStep } from "./plan_chain.ts";
import { byStart, overlapping } from "./planner.ts";
import { SetAsideError } from "./set_aside.ts";
import { bytesOf } from "./sizes.ts";

const MARKS_AT_ONCE = 8;

/** What came of a plan. */
export type PlanResult =
  | { readonly kind: "made"; readonly meta: BlockMeta }
  /** Blocks were marked or replaced; the bucket must be looked at again. */
  | { readonly kind: "changed" };

/** What a runner needs. */
export interface PlanRunnerParts {
  readonly bucket: Bucket;
  readonly files: Files;
  readonly clock: Clock;
  readonly makeUlid: () => string;
  readonly logger: Logger;
  readonly metrics: CompactMetrics;
  readonly options: CompactorOptions;
  readonly jobs: JobRunner;
  readonly local: LocalBlocks;
  readonly marker: Marker;
}

/** Runs plans, a few at once. */
export class PlanRunner {
  readonly #parts: PlanRunnerParts;
  readonly #gate: Gate;

  constructor(parts: PlanRunnerParts) {
    this.#parts = parts;
    this.#gate = new Gate(parts.options.mergeConcurrency);
  }

  /**
   * Compacts the blocks of a step into one.
   *
   * `rest` are the other blocks that the group will have. Throws: SetAsideError when the blocks cannot be
   * compacted as they are; other errors may pass by themselves.
   */
  async run(
    group: BlockGroup,
    plan: PlanStep,
    rest: readonly BlockMeta[],
    signal?: AbortSignal,
  ): Promise<PlanResult> {
    const { local, metrics, files } = this.#parts;
    const directory = local.groupDirectory(group.key);
    const { ulid } = plan;
    try {
      return await this.#run(group, plan, directory, rest, signal);
    } catch (error) {
      // What was fetched may be what is wrong, and a full disk needs the room.
      files.remove(`${directory}/${ulid}`);
      files.remove(`${directory}/${ulid}${CREATION_SUFFIX}`);
      for (const meta of plan.blocks) if (!isHashed(meta)) local.drop(meta.ulid, group.key);
      if (isDiskFull(error)) metrics.diskFull.inc();
      throw error;
    }
  }

  async #run(
    group: BlockGroup,
    plan: PlanStep,
    directory: string,
    rest: readonly BlockMeta[],
    signal: AbortSignal | undefined,
  ): Promise<PlanResult> {
    const { ulid } = plan;
    const { logger, options, metrics, clock } = this.#parts;
    this.#checkSources(group, plan);
    const ids = plan.blocks.map((meta) => meta.ulid);
    logger.info("compaction starts", {
      group: group.key,
      reason: plan.kind,
      blocks: ids.join(","),
      read_bytes: plan.blocks.reduce((sum, meta) => sum + bytesOf(meta), 0),
      result: ulid,
    });
    const started = clock.now();
    const sources = await mapPool(
      ids,
      options.fetchConcurrency,
      (id) => this.#fetch(id, group.key, signal),
    );
    const outcome = await this.#job(
      group,
      sources,
      directory,
      { ulid, level: plan.meta.compaction.level, repair: false },
      signal,
    );
    if (outcome.kind !== "compacted") {
      return await this.#odd(group, plan, directory, outcome, signal);
    }
    const { report } = outcome;
    if (report.repaired > 0) {
      metrics.repairedSeries.inc(report.repaired);
      logger.warn("series with chunks out of order were put in order", {
        group: group.key,
        series: report.repaired,
        blocks: ids.join(","),
      });
    }
    if (report.meta === undefined) return await this.#nothingLeft(group, plan);
    if (!options.vertical) this.#checkOverlap(report.meta, rest, plan);
    const uploaded = await this.#upload(directory, ulid, signal);
    metrics.mergedSamples.inc(report.samplesWritten);
    await this.#markSources(ids, group.key, COMPACTED_DETAILS);
    logger.info("compaction done", {
      group: group.key,
      result: ulid,
      blocks: ids.length,
      samples: report.samplesWritten,
      chunks_copied: report.copied,
      chunks_merged: report.merged,
      write_bytes: bytesOf(uploaded),
      duration_seconds: (clock.now() - started) / 1000,
    });
    return { kind: "made", meta: uploaded };
  }

  /** A copy of a block. Throws: SetAsideError when the block is not whole in the bucket. */
  async #fetch(id: string, key: string, signal: AbortSignal | undefined): Promise<string> {
    const { local, options, bucket } = this.#parts;
    const call = signal === undefined ? {} : { signal };
    try {
      return await local.fetch(id, key, { concurrency: options.fileConcurrency, ...call });
    } catch (error) {
      throwIfAborted(signal);
      const kind = errorKind(error);
      // A block that is deleted meanwhile loses its meta.json first, and is planned no more.
      const broken = kind === "corruption" ||
        (kind === "not_found" && await bucket.exists(`${id}/${META_FILE}`, call));
      if (!broken) throw error;
      throw new SetAsideError("broken-block", `block ${id}: ${errorMessage(error)}`, [id], {
        cause: error,
      });
    }
  }

  #job(
    group: BlockGroup,
    sources: readonly string[],
    directory: string,
    result: Pick<CompactOrder, "ulid" | "level" | "repair">,
    signal: AbortSignal | undefined,
  ): Promise<CompactOutcome> {
    const { options, jobs, clock, metrics } = this.#parts;
    const { labels, resolution, extensions } = group;
    const order: CompactOrder = {
      ...result,
      sources,
      directory,
      dedup: options.dedup,
      group: { labels, resolution, extensions },
      dropEndChunks: result.repair,
      skipOutOfOrder: options.skipOutOfOrder,
      acceptMalformedIndex: options.acceptMalformedIndex,
    };
    return this.#gate.run(async () => {
      const started = clock.now();
      metrics.tsdbPopulating.inc();
      try {
        return await jobs.run(order, signal);
      } finally {
        metrics.tsdbPopulating.dec();
        const seconds = (clock.now() - started) / 1000;
        metrics.mergeSeconds.inc(seconds);
        metrics.tsdbSeconds.observe(seconds);
      }
    }, signal);
  }

  /** Blocks that share a source would count its samples twice, or hide that some are lost. */
  #checkSources(group: BlockGroup, plan: PlanStep): void {
    const { options, logger } = this.#parts;
    const ids = plan.blocks.map((meta) => meta.ulid);
    if (group.labels.length === 0) {
      throw new SetAsideError(
        "no-external-labels",
        `blocks ${ids.join(", ")} have no external labels`,
        ids,
      );
    }
    const owners = new Map<string, string>();
    for (const meta of plan.blocks) {
      for (const source of meta.compaction.sources) {
        const owner = owners.get(source);
        if (owner === undefined) {
          owners.set(source, meta.ulid);
          continue;
        }
        const message = `overlapping sources detected for plan: blocks ${owner} and ${meta.ulid} ` +
          `were both made of ${source}`;
        if (!options.vertical) {
          throw new SetAsideError("shared-sources", message, [owner, meta.ulid]);
        }
        logger.warn(message, { group: group.key });
        return;
      }
    }
  }

  #checkOverlap(made: BlockMeta, rest: readonly BlockMeta[], plan: PlanStep): void {
    const overlap = overlapping(byStart([...rest, made]));
    if (overlap.length === 0) return;
    throw new SetAsideError(
      "result-check",
      `the block made of ${plan.blocks.map((m) => m.ulid).join(", ")} would overlap ` +
        overlap.filter((m) => m.ulid !== made.ulid).map((m) => m.ulid).join(", "),
      overlap.map((m) => m.ulid),
    );
  }

  /** A source is not what a block should be. */
  async #odd(
    group: BlockGroup,
    plan: PlanStep,
    directory: string,
    outcome: Exclude<CompactOutcome, { kind: "compacted" }>,
    signal: AbortSignal | undefined,
  ): Promise<PlanResult> {
    const { marker, local } = this.#parts;
    const block = plan.blocks[outcome.source];
    const name = block === undefined ? "" : `block ${block.ulid}: `;
    switch (outcome.kind) {
      case "out-of-order":
        await marker.noCompact(block!.ulid, NO_COMPACT_OUT_OF_ORDER, outcome.message);
        local.drop(block!.ulid, group.key);
        return { kind: "changed" };
      case "end-chunks":
        await this.#repair(group, block!, directory, signal);
        return { kind: "changed" };
      case "refused":
        throw new SetAsideError(
          outcome.reason,
          name + outcome.message,
          block === undefined ? plan.blocks.map((m) => m.ulid) : [block.ulid],
        );
    }
  }

  /** Writes a block again without the chunks at its end, and marks the old one. */
  async #repair(
    group: BlockGroup,
    block: BlockMeta,
    directory: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { makeUlid, local, logger } = this.#parts;
    const ulid = makeUlid();
    const source = local.whole(block.ulid)!;
    const outcome = await this.#job(
      group,
      [source],
      directory,
      { ulid, level: block.compaction.level, repair: true },
      signal,
    );
    if (outcome.kind !== "compacted" || outcome.report.meta === undefined) {
      const reason = outcome.kind === "compacted" ? "nothing is left of it" : outcome.message;
      throw new SetAsideError(
        "outside-chunks",
        `block ${block.ulid} cannot be repaired: ${reason}`,
        [block.ulid],
      );
    }
    await this.#upload(directory, ulid, signal);
    logger.warn("block was written again without the chunks at its end", {
      group: group.key,
      block: block.ulid,
      result: ulid,
      chunks: outcome.report.dropped,
    });
    await this.#markSources([block.ulid], group.key, REPAIRED_DETAILS);
  }

  /** No sample was left: blocks that say so themselves go, the others are a riddle. */
  async #nothingLeft(group: BlockGroup, plan: PlanStep): Promise<PlanResult> {
    const empty = plan.blocks.filter((meta) => meta.stats.numSamples === 0).map((m) => m.ulid);
    if (empty.length === 0) {
      throw new SetAsideError(
        "result-check",
        `no sample was left of blocks ${plan.blocks.map((m) => m.ulid).join(", ")}`,
        plan.blocks.map((m) => m.ulid),
      );
    }
    await this.#markSources(empty, group.key, COMPACTED_DETAILS);
    return { kind: "changed" };
  }

  async #upload(
    directory: string,
    ulid: string,
    signal: AbortSignal | undefined,
  ): Promise<BlockMeta> {
    const { bucket, files, options, clock, local } = this.#parts;
    throwIfAborted(signal);
    // Sizes are asked for afterwards: the sources go once this block is believed to be there.
    const meta = await uploadBlock(bucket, files, `${directory}/${ulid}`, {
      hash: options.hash,
      concurrency: options.fileConcurrency,
      verifySizes: true,
      clock,
      ...(signal === undefined ? {} : { signal }),
    });
    local.keep(ulid, `${directory}/${ulid}`);
    return meta;
  }

  async #markSources(ids: readonly string[], key: string, details: string): Promise<void> {
    const { local, marker, metrics } = this.#parts;
    await mapPool(ids, MARKS_AT_ONCE, async (id) => {
      local.drop(id, key);
      if (await marker.deletion(id, details)) metrics.garbageBlocks.inc();
    });
  }
}

/** The copy of such a block is compared file by file before it is used again. */
function isHashed(meta: BlockMeta): boolean {
  return meta.thanos?.files.some((file) => file.hash?.func === "SHA256") === true;
}

function isDiskFull(error: unknown): boolean {
  return errorKind(error) === "unavailable" &&
    /no space left|file too large|quota exceeded/i.test(errorMessage(error));
}
