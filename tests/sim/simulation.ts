/**
 * Runs of a scenario: one without a crash, in which the state at every operation is kept, then one
 * from each of these states, as if everything had lost power there.
 */
import { makeUlid } from "../../lib/base/mod.ts";
import { Random } from "../../lib/base/testing/random.ts";
import {
  CompactMetrics,
  Compactor,
  DEFAULT_COMPACTOR_OPTIONS,
  DownsampleMetrics,
  type DownsamplePass,
  Downsampling,
  InlineJobs,
  type JobRunner,
} from "../../lib/compact/mod.ts";
import type { Clock } from "../../lib/base/mod.ts";
import type { Bucket } from "../../lib/objstore/mod.ts";
import { createLogger, Metrics, silentLogger } from "../../lib/telemetry/mod.ts";
import { StoreMetrics } from "../../lib/store/mod.ts";
import { type ReaderMutant, SimReader } from "./reader.ts";
import { type ShipperMutant, shippersOf, type SimShipper } from "./shippers.ts";
import { Library, type Memory, Oracle, Violation } from "./oracle.ts";
import { DELETE_DELAY, type InputBlock, makeScenario, type Scenario } from "./scenario.ts";
import {
  type BucketListener,
  type DiskState,
  EMPTY_DISK,
  NO_FAULTS,
  type Objects,
  rebooted,
  SimBucket,
  SimClock,
  SimDisk,
  type StoredObject,
} from "./world.ts";

/** Share of the crash runs that are read from meanwhile; it takes as long as all the rest. */
const READERS = 1 / 16;

/** A bug that is planted around the compactor; each part is replaced by one that goes wrong. */
export interface Mutant {
  readonly name: string;
  /** The rule that must find it; any when absent. */
  readonly rule?: string;
  readonly bucket?: (bucket: Bucket, world: SimBucket, clock: Clock) => Bucket;
  readonly jobs?: (jobs: JobRunner, disk: SimDisk) => JobRunner;
  readonly clock?: (clock: Clock) => Clock;
  readonly downsample?: (pass: DownsamplePass) => DownsamplePass;
  readonly options?: Partial<typeof DEFAULT_COMPACTOR_OPTIONS>;
  readonly shipper?: ShipperMutant;
  readonly reader?: ReaderMutant;
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder().decode(bytes));
    return true;
  } catch {
    return false;
  }
}

/** Everything at one moment. */
export interface State {
  /** A block whose meta.json is cut off. */
  readonly cut?: string;
  readonly objects: Objects;
  readonly disks: readonly DiskState[];
  /** Those of the shippers. */
  readonly data: readonly DiskState[];
  readonly time: number;
  readonly phase: number;
  readonly memory: Memory | undefined;
}

/** Where a crash happens. */
export interface CrashPoint {
  readonly label: string;
  readonly state: State;
}

/** What a seed came to. */
export interface SeedReport {
  readonly seed: number;
  /** Operations of the bucket and of disks in the run without a crash. */
  readonly operations: number;
  /** Crashes followed by a restart and a run to the end. */
  readonly crashRuns: number;
  /** Of these, those from states that no other of the seed has. */
  readonly distinct: number;
  readonly simulatedHours: number;
  /** Answers that readers got: whole ones, and those that said they were not. */
  readonly answers: { readonly whole: number; readonly partial: number };
  /** Hash of all operations of the run without a crash. */
  readonly trace: string;
}

/** A failure with all that is needed to see it again. */
export class SimulationError extends Error {
  readonly rule: string;
  constructor(seed: number, label: string, cause: unknown, trace: readonly string[]) {
    const rule = cause instanceof Violation ? cause.rule : "error";
    const text = cause instanceof Violation
      ? cause.message
      : String((cause as Error).stack ?? cause);
    super(`seed ${seed}, ${label}: ${text}\nlast operations:\n  ${trace.join("\n  ")}`, { cause });
    this.name = "SimulationError";
    this.rule = rule;
  }
}

/** One world from a state to the end of its phases. */
class Run {
  readonly #scenario: Scenario;
  readonly #clock: SimClock;
  readonly #bucket: SimBucket;
  readonly #disks: SimDisk[];
  readonly #compactors: Compactor[];
  readonly #shippers: readonly SimShipper[];
  readonly #reader: SimReader | undefined;
  readonly #oracle: Oracle;
  readonly #phase: number;
  readonly #random: Random;
  phase: number;
  operations = 0;
  readonly trace: string[] = [];
  hash = 0;
  /** Asked at each operation, with its name; the state can be had by capture(). */
  observe: ((label: string, torn?: readonly [string, StoredObject]) => void) | undefined;
  #failure: unknown;

  constructor(
    scenario: Scenario,
    library: Library,
    state: State,
    parts: Parts,
    random: Random,
    options: {
      readonly compactors: number;
      readonly faults: boolean;
      /** Somebody reads all the time. */
      readonly reader: boolean;
    },
  ) {
    this.#scenario = scenario;
    this.#random = random;
    this.#phase = this.phase = state.phase;
    this.#clock = new SimClock(state.time);
    this.#bucket = new SimBucket(this.#clock, new Random(random.bits()), state.objects);
    this.#disks = Array.from(
      { length: options.compactors },
      (_, i) => new SimDisk(state.disks[i] ?? EMPTY_DISK),
    );
    this.#oracle = new Oracle(
      scenario,
      library,
      this.#bucket.objects,
      () => this.#clock.now(),
      DELETE_DELAY,
      state.memory,
    );
    this.#bucket.listener = this.#listener();
    this.#disks.forEach((disk, i) => {
      disk.changed = (operation, path) => this.#note(`disk${i} ${operation} ${path}`);
    });
    if (options.faults) this.#bucket.faults = scenario.faults;
    this.#compactors = this.#disks.map((disk) => this.#compactor(disk, parts));
    this.#shippers = shippersOf({
      scenario,
      bucket: this.#bucket,
      clock: this.#clock,
      disks: state.data,
      mutant: parts.mutant?.shipper,
      changed: (shipper, operation, path) => this.#note(`shipper${shipper} ${operation} ${path}`),
    });
    if (!options.reader) return;
    this.#reader = new SimReader({
      scenario,
      library,
      oracle: this.#oracle,
      bucket: this.#bucket,
      clock: this.#clock,
      random: new Random(random.bits()),
      metrics: parts.storeMetrics,
      mutant: parts.mutant?.reader,
    });
  }

  /** Answers that the reader got. */
  get answers(): SimReader["answers"] {
    return this.#reader?.answers ?? { whole: 0, partial: 0 };
  }

  #listener(): BucketListener {
    const watch = (check: () => void) => {
      // A violation inside of the compactor's calls would be taken for an error of the bucket.
      try {
        check();
      } catch (error) {
        this.#failure ??= error;
      }
    };
    return {
      operation: (kind, name, phase) => {
        this.#note(`${kind} ${name} ${phase}`);
      },
      torn: (name, object) => {
        this.observe?.(`upload ${name} torn`, [name, object]);
      },
      changed: (name, before, after) =>
        watch(() => {
          this.#oracle.changed(name, before, after);
        }),
    };
  }

  #note(label: string): void {
    this.operations++;
    for (let i = 0; i < label.length; i++) {
      this.hash = (Math.imul(this.hash, 31) + label.charCodeAt(i)) | 0;
    }
    this.trace.push(label);
    if (this.trace.length > 25) this.trace.shift();
    this.observe?.(label);
  }

  #compactor(disk: SimDisk, { metrics, downsampleMetrics, mutant, log }: Parts): Compactor {
    const random = new Random(this.#random.bits());
    const clock = mutant?.clock?.(this.#clock) ?? this.#clock;
    const bucket = mutant?.bucket?.(this.#bucket, this.#bucket, this.#clock) ?? this.#bucket;
    const inline = new InlineJobs(disk);
    if (disk.stat("data") === undefined) disk.mkdir("data");
    const retention = { raw: this.#scenario.rawRetention, fiveMinutes: 0, oneHour: 0 };
    const shared = {
      bucket,
      files: disk,
      dataDirectory: "data",
      clock,
      makeUlid: () =>
        makeUlid(clock.now(), (target) => {
          for (let i = 0; i < target.length; i++) target[i] = random.below(256);
        }),
      logger: log === undefined ? silentLogger : createLogger({
        level: "info",
        format: "logfmt",
        sink: log,
        now: () => this.#clock.now(),
      }),
      jobs: mutant?.jobs?.(inline, disk) ?? inline,
    };
    const pass = new Downsampling({
      ...shared,
      metrics: downsampleMetrics,
      concurrency: 2,
      fileConcurrency: 1,
      hash: "",
      acceptMalformedIndex: false,
      retention,
    });
    return new Compactor({
      ...shared,
      metrics,
      observer: { synced() {}, cacheBust() {}, warn() {} },
      downsample: mutant?.downsample?.(pass) ?? pass,
      options: {
        ...DEFAULT_COMPACTOR_OPTIONS,
        consistencyDelay: 0,
        deleteDelay: DELETE_DELAY,
        retention,
        replicaLabels: this.#scenario.replicaLabels,
        vertical: this.#scenario.replicaLabels.length > 0,
        groupConcurrency: 2,
        clockTolerance: 0,
        ...mutant?.options,
      },
    });
  }

  /**
   * The state now, with an object of which only a part arrived.
   *
   * Marks are small enough to arrive whole or not at all, and who uploads a block again does so with
   * all of its files; but a meta.json of the compactor may be cut off.
   */
  capture(torn?: readonly [string, StoredObject]): State {
    let objects = this.#bucket.copy();
    let cut: string | undefined;
    if (torn !== undefined) {
      const [name, object] = torn;
      const ulid = name.slice(0, 26);
      if (!name.endsWith(".json")) objects = new Map([...objects, torn]);
      else if (
        name.endsWith("/meta.json") && !this.#scenario.late.some((block) => block.ulid === ulid) &&
        !isJson(object.bytes)
      ) {
        objects = new Map([...objects, torn]);
        cut = ulid;
      }
    }
    return {
      objects,
      ...(cut === undefined ? {} : { cut }),
      disks: this.#disks.map((disk) => disk.copy()),
      data: this.#shippers.map((shipper) => shipper.disk.copy()),
      time: this.#clock.now(),
      phase: this.phase,
      memory: this.#oracle.memory(),
    };
  }

  /** Runs all phases that are left; returns the bucket at rest. */
  async finish(strict: boolean): Promise<string> {
    const { phases } = this.#scenario;
    for (this.phase = this.#phase; this.phase < phases.length; this.phase++) {
      this.#clock.time = Math.max(this.#clock.time, phases[this.phase]!);
      await Promise.all([
        this.#iterate(strict),
        this.#reader?.read(),
        ...this.#shippers.map((shipper) => shipper.ship()),
      ]);
      this.#check();
    }
    this.phase = phases.length - 1;
    this.#bucket.faults = NO_FAULTS;
    // Until nothing is written any more; the bound is that of the rule.
    for (let n = 0, quiet = 0; quiet < 2; n++) {
      const writes = this.#bucket.writes;
      await this.#iterate(false);
      this.#check();
      quiet = this.#bucket.writes === writes ? quiet + 1 : 0;
      if (n === 10) throw new Violation("I11", "ten iterations later there is still work");
      // What was marked now is to go, too.
      this.#clock.time += DELETE_DELAY + 60_000;
    }
    return this.#oracle.finalState();
  }

  async #iterate(strict: boolean): Promise<void> {
    this.#oracle.iterationStart = this.#clock.now();
    const reports = await Promise.all(this.#compactors.map((compactor) => compactor.iterate()));
    this.#check();
    if (!strict) return;
    const error = reports.flatMap((report) => report.errors)[0];
    if (error !== undefined) throw new Violation("I11", `an iteration failed: ${error.message}`);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** What all runs of a process share. */
export interface Parts {
  readonly metrics: CompactMetrics;
  readonly downsampleMetrics: DownsampleMetrics;
  readonly storeMetrics: StoreMetrics;
  readonly mutant?: Mutant;
  /** Gets the log lines of the compactors. */
  readonly log?: (line: string) => void;
}

/** Makes what all runs share. */
export function makeParts(mutant?: Mutant, log?: (line: string) => void): Parts {
  const metrics = new Metrics();
  return {
    metrics: new CompactMetrics(metrics),
    downsampleMetrics: new DownsampleMetrics(metrics),
    storeMetrics: new StoreMetrics(metrics),
    ...(mutant === undefined ? {} : { mutant }),
    ...(log === undefined ? {} : { log }),
  };
}

/** The bucket in the beginning. */
function beginning(scenario: Scenario): State {
  const objects = new Map<string, StoredObject>();
  const add = (block: InputBlock) => {
    for (const [path, bytes] of block.files) {
      objects.set(`${block.ulid}/${path}`, { bytes, modified: block.maxTime });
    }
  };
  scenario.blocks.forEach(add);
  return {
    objects,
    disks: [],
    data: [],
    time: scenario.phases[0]!,
    phase: 0,
    memory: undefined,
  };
}

/** Which crashes to make of all that there are. */
export interface SeedOptions {
  /** Every n-th crash point; 1 = all. */
  readonly stride?: number;
  /** True when time is up: the rest is left out. */
  readonly expired?: () => boolean;
  /** False: only the runs without a crash. */
  readonly crashes?: boolean;
  /** Only this crash point. */
  readonly only?: number;
}

/**
 * Runs a seed: without crash, then from every crash point.
 *
 * Throws: SimulationError when a rule is broken.
 */
export async function runSeed(
  seed: number,
  parts: Parts,
  options: SeedOptions = {},
): Promise<SeedReport> {
  const scenario = makeScenario(seed);
  const library = new Library(scenario);
  const start = beginning(scenario);
  const attempt = async <T>(label: string, run: () => Run, work: (run: Run) => Promise<T>) => {
    let made: Run | undefined;
    try {
      made = run();
      return await work(made);
    } catch (error) {
      throw new SimulationError(seed, label, error, made?.trace ?? []);
    }
  };

  // What the bucket comes to when nothing goes wrong and one compactor is at work.
  const expected = await attempt(
    "nothing goes wrong",
    () =>
      new Run(scenario, library, start, parts, new Random(seed), {
        compactors: 1,
        faults: false,
        reader: false,
      }),
    (run) => run.finish(true),
  );
  checkExpectation(scenario, expected);

  const points: CrashPoint[] = [];
  const { compactors } = scenario;
  const random = new Random(seed ^ 0x5eed);
  const base = await attempt(
    "without a crash",
    () =>
      new Run(scenario, library, start, parts, random, {
        compactors,
        faults: true,
        reader: true,
      }),
    async (run) => {
      run.observe = (label, torn) => points.push({ label, state: run.capture(torn) });
      const state = await run.finish(false);
      assertSame(expected, state);
      return run;
    },
  );

  const answers = { ...base.answers };
  const read = (run: Run) => {
    answers.whole += run.answers.whole;
    answers.partial += run.answers.partial;
  };
  let crashRuns = 0;
  let distinct = 0;
  const stride = options.stride ?? 1;
  let last: Objects | undefined;
  for (let i = options.only ?? 0; i < points.length; i += stride) {
    if (options.crashes === false || options.expired?.() === true) break;
    const { label, state } = points[i]!;
    const again = new Random(seed * 100_003 + i);
    const restart = (from: State): Run =>
      new Run(
        from.cut === undefined
          ? scenario
          : { ...scenario, unreadable: new Set([...scenario.unreadable, from.cut]) },
        library,
        {
          ...from,
          time: from.time + again.below(60_000),
          disks: from.disks.map((disk) => rebooted(disk, again)),
          data: from.data.map((disk) => rebooted(disk, again)),
        },
        parts,
        again,
        { compactors, faults: false, reader: again.chance(READERS) },
      );
    // Sometimes the power fails again before everything is as it was.
    let second: State | undefined;
    const secondAt = again.chance(0.05) ? again.below(400) : -1;
    const name = `crash ${i} (${label})`;
    await attempt(name, () => restart(state), async (run) => {
      let n = 0;
      if (secondAt >= 0) {
        run.observe = (_, torn) => {
          if (n++ === secondAt && state.cut === undefined) second = run.capture(torn);
        };
      }
      assertSame(expected, await run.finish(false), state.cut);
      read(run);
    });
    crashRuns++;
    if (
      last === undefined || !sameObjects(last, state.objects) || /^(?:disk|shipper)/.test(label)
    ) {
      distinct++;
    }
    last = state.objects;
    if (second !== undefined) {
      const from = second;
      await attempt(
        `${name} and again`,
        () => restart(from),
        async (run) => assertSame(expected, await run.finish(false), from.cut),
      );
      crashRuns++;
      distinct++;
    }
    if (options.only !== undefined) break;
  }
  return {
    seed,
    operations: base.operations,
    crashRuns,
    distinct,
    simulatedHours: Math.round((scenario.phases.at(-1)! - scenario.phases[0]!) / 3_600_000) *
      (crashRuns + 2),
    answers,
    trace: (base.hash >>> 0).toString(16).padStart(8, "0"),
  };
}

function sameObjects(a: Objects, b: Objects): boolean {
  if (a.size !== b.size) return false;
  for (const [name, object] of a) if (b.get(name) !== object) return false;
  return true;
}

/** Every scenario has a compaction, a downsampling and a deletion in it. */
function checkExpectation(scenario: Scenario, state: string): void {
  const lines = state.split("\n");
  const has = (test: RegExp) => lines.some((line) => test.test(line));
  const long = scenario.blocks[0]!.ulid;
  if (
    !has(/cluster=good 0 \d+ \d+ \S+\+\S+$/) || !has(/cluster=good 300000 /) ||
    lines.some((line) => / 0 \d+ \d+ /.test(line) && line.includes(long))
  ) {
    throw new SimulationError(
      scenario.seed,
      "nothing goes wrong",
      new Violation("I11", `not everything was done:\n${state}`),
      [],
    );
  }
}

function assertSame(expected: string, state: string, cut?: string): void {
  // A block that nobody can read is kept, for good.
  const actual = cut === undefined ? state : state.replace(`\nunreadable ${cut}`, "");
  if (expected === actual) return;
  throw new Violation("I5", `the bucket came to\n${actual}\ninstead of\n${expected}`);
}
