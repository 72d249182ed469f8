/** `bench block plan` and `bench block gen`: what to generate, and generating it. */
import { MnemeError } from "../lib/base/mod.ts";
import { type ConfigOf, flag } from "../lib/config/mod.ts";
import { uploadBlock } from "../lib/block/mod.ts";
import {
  type BlockSpec,
  generateBlocks,
  hasFixedTimes,
  plannedSamples,
  planProfile,
  printPlan,
  PROFILES,
  Progress,
  readPlanList,
  readPlanStream,
} from "../lib/benchgen/mod.ts";
import { labelsFromPairs } from "../lib/model/mod.ts";
import { type Bucket, openBucket } from "../lib/objstore/mod.ts";
import type { Logger } from "../lib/telemetry/mod.ts";
import { type Files, SystemFiles } from "../lib/tsdb/mod.ts";
import type { CommandEnv } from "./command.ts";

/** Flags of `bench block plan`. */
export const planFlags = {
  profile: flag.required(flag.enumKind(PROFILES), "profile", "Name of the plan to print.", {
    short: "p",
    placeholder: "<profile>",
  }),
  maxTime: flag.pastTime(
    "max-time",
    undefined,
    "The newest block covers this time: RFC 3339, or a duration before now, with or without a " +
      "minus sign. 30m when not given. Profiles with fixed times ignore it.",
  ),
  labels: flag.repeated(
    flag.kinds.label,
    "labels",
    'External labels of the blocks (repeated), as name="value".',
  ),
} as const;

const DEFAULT_MAX_TIME = 30 * 60_000;

/** Prints the plan of a profile to standard output. */
export async function runBlockPlan(
  config: ConfigOf<typeof planFlags>,
  env: CommandEnv,
): Promise<void> {
  const { profile, maxTime } = config;
  const now = env.clock.now();
  if (maxTime !== undefined && hasFixedTimes(profile)) {
    env.logger.warn("--max-time has no effect: the profile has fixed times", { profile });
  }
  const blocks = planProfile(profile, {
    maxTime: maxTime === undefined ? now - DEFAULT_MAX_TIME : maxTime.at(now),
    externalLabels: labelsFromPairs(config.labels.map((l) => [l.name, l.value] as const)),
  });
  const writer = Deno.stdout.writable.getWriter();
  const encoder = new TextEncoder();
  try {
    for (const document of printPlan(blocks)) await writer.write(encoder.encode(document));
  } catch (error) {
    // The reader has seen enough, as `head` does.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  } finally {
    writer.releaseLock();
  }
}

/** Flags of `bench block gen`. */
export const genFlags = {
  outputDir: flag.required(flag.kinds.path, "output.dir", "Directory in which the blocks appear."),
  config: flag.pathOrContent(
    "config",
    "YAML file with a list of blocks. Without it standard input is read, one document a block, as " +
      "'block plan' prints them.",
  ),
  workers: flag.uint("workers", "0", "Blocks generated at once; 0 = one for each CPU."),
  objstore: flag.pathOrContent(
    "objstore.config",
    "YAML file that contains object store configuration. If set, each block is also uploaded; it " +
      "needs external labels then.",
    { secret: true },
  ),
} as const;

/** Generates the blocks of a plan, and uploads them when a bucket is given. */
export async function runBlockGen(
  config: ConfigOf<typeof genFlags>,
  env: CommandEnv,
): Promise<void> {
  const document = config.objstore.load();
  const plan = config.config.given
    ? readPlanList(config.config.load(), config.config.source)
    : await readStandardInput();
  if (plan.length === 0) env.logger.warn("the plan has no blocks");
  const bucket = await openUpload(document, config.objstore.source, plan, env.logger);
  const files = new SystemFiles();
  files.mkdir(config.outputDir);
  try {
    const run = (signal: AbortSignal) => generate(plan, config, bucket, files, env, signal);
    await env.runGroup([{ name: "generator", run }]);
  } finally {
    await bucket?.close();
  }
}

async function generate(
  plan: readonly BlockSpec[],
  config: ConfigOf<typeof genFlags>,
  bucket: Bucket | undefined,
  files: Files,
  env: CommandEnv,
  signal: AbortSignal,
): Promise<void> {
  const { logger, clock } = env;
  const samples = plan.reduce((n, block) => n + plannedSamples(block), 0);
  const progress = new Progress(clock, plan.length, samples);
  using report = new Report(progress, logger);
  const generated = generateBlocks(plan, {
    directory: config.outputDir.replace(/(?<=.)\/+$/, ""),
    files,
    workers: config.workers === 0 ? navigator.hardwareConcurrency : config.workers,
    clock,
    signal,
    onStart: () => report.note("generating block", {}),
    onSamples: (n) => progress.doneSamples += n,
    async onBlock({ path, meta }) {
      report.note("generated block", { path, count: meta.stats.numSeries });
      if (bucket !== undefined) {
        await uploadBlock(bucket, files, path, { clock, signal });
        report.note("uploaded block", { block: meta.ulid, bucket: bucket.name });
      }
      progress.doneBlocks++;
    },
  });
  const count = await generated.catch((error) => {
    if (!signal.aborted) throw error;
    // Whoever waits for the data must not take a part for the whole.
    const { doneBlocks, blocks } = progress;
    throw new MnemeError("execution", `interrupted after ${doneBlocks} of ${blocks} blocks`);
  });
  report.end();
  logger.info("all blocks done", { count, ...progress.fields() });
}

async function readStandardInput(): Promise<readonly BlockSpec[]> {
  if (Deno.stdin.isTerminal()) {
    throw new MnemeError(
      "bad_data",
      "no plan: pipe the output of 'block plan' into standard input, or give --config-file",
    );
  }
  const text = Deno.stdin.readable.pipeThrough(new TextDecoderStream("utf-8", { fatal: true }));
  return await Array.fromAsync(readPlanStream(text, "standard input"));
}

/** The bucket to upload to, if any; blocks that it would refuse are refused before work begins. */
async function openUpload(
  document: string,
  source: string,
  plan: readonly BlockSpec[],
  logger: Logger,
): Promise<Bucket | undefined> {
  if (document.trim() === "") return undefined;
  if (plan.some((block) => block.externalLabels.length === 0)) {
    throw new MnemeError(
      "bad_data",
      "blocks to upload need external labels: plan them with --labels",
    );
  }
  return await openBucket(document, { source, logger });
}

const BAR_EVERY = 200;
const LOG_EVERY = 10_000;

/** Tells how far the work is: a bar on a terminal, else a log line now and then. */
class Report implements Disposable {
  readonly #progress: Progress;
  readonly #logger: Logger;
  readonly #isTerminal = Deno.stderr.isTerminal();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #encoder = new TextEncoder();

  constructor(progress: Progress, logger: Logger) {
    this.#progress = progress;
    this.#logger = logger;
    this.#timer = this.#isTerminal
      ? setInterval(() => this.#draw(), BAR_EVERY)
      : setInterval(() => logger.info("generating", progress.fields()), LOG_EVERY);
  }

  /** A step of the work; on a terminal the bar says enough. */
  note(message: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#isTerminal) this.#logger.debug(message, fields);
    else this.#logger.info(message, fields);
  }

  #draw(): void {
    this.#write(`\r\x1b[K${this.#progress.bar(terminalWidth() - 1)}`);
  }
  #write(text: string): void {
    Deno.stderr.writeSync(this.#encoder.encode(text));
  }

  /** Stops telling; may be called twice. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#isTerminal) this.#write("\r\x1b[K");
  }
  [Symbol.dispose](): void {
    this.end();
  }
}

/** Columns of the terminal; 80 when it does not tell. */
function terminalWidth(): number {
  try {
    const { columns } = Deno.consoleSize();
    return columns > 0 ? columns : 80;
  } catch {
    return 80;
  }
}
