/**
 * The soak: everything runs with a real Prometheus pair and S3, four clients ask questions whose
 * answers are known, and one thing a second goes wrong.
 *
 *   deno task soak [--seconds=60] [--seed=1] [--verbose]
 *
 * Fails when a process of ours ends by itself, when an answer is wrong or incomplete without a word,
 * when the answers are not all right again soon after the last fault, or when memory keeps growing
 * (in runs of ten minutes and more). Prints what was asked, what went wrong, and each memory's slope.
 */
import { Random } from "../../lib/base/testing/random.ts";
import { isOnPath } from "../../lib/runtime/mod.ts";
import { hurt } from "./faults.ts";
import { Fleet, type Member } from "./fleet.ts";
import { Inquiry, newTally, type Tally } from "./truth.ts";

/** How a soak went. */
export interface SoakReport {
  readonly tally: Tally;
  readonly faults: number;
  readonly crashes: readonly string[];
  /** Everything was right again at the end. */
  readonly healed: boolean;
  /** By member: memory of its present life. */
  readonly memory: ReadonlyMap<string, MemoryReport>;
}

/** How a process' memory went since it was started. */
export interface MemoryReport {
  /** How long it has lived, s. */
  readonly age: number;
  /** At the end, bytes. */
  readonly bytes: number;
  /** Through the later two thirds of its life, bytes a minute. */
  readonly slope: number;
  /** Once a minute, bytes. */
  readonly minutes: readonly number[];
}

const CLIENTS = 4;
/** Longest time for everything to be well again after the last fault, ms. */
const HEALING = 90_000;
/** Slope that counts as growing, bytes a minute, and the age of a process that can tell, s. */
const GROWTH = 2 * 1024 * 1024;
const TELLING = 600;

/** Runs a soak. */
export async function soak(options: {
  readonly seconds: number;
  readonly seed: number;
  readonly log: (line: string) => void;
}): Promise<SoakReport> {
  const { seconds, seed, log } = options;
  const random = new Random(seed);
  const folder = await Deno.makeTempDir({ prefix: "mneme-soak-" });
  try {
    await using fleet = await Fleet.start(folder);
    const inquiry = new Inquiry(`http://${fleet.address("query")}`);
    await inquiry.learn(60_000);
    log("all parts are up and the answers are known");
    const tally = newTally();
    const began = Date.now();
    const end = began + seconds * 1000;
    const since = () => (Date.now() - began) / 1000;
    const clients = Array.from({ length: CLIENTS }, async (_, i) => {
      const own = new Random(seed + 1000 + i);
      while (Date.now() < end) {
        await inquiry.once(own, tally);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    let faults = 0;
    while (Date.now() < end) {
      log(`${since().toFixed(1)} s: ${await hurt(fleet, random)}`);
      faults++;
      fleet.measure(since());
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    await Promise.all(clients);
    const healed = await heals(inquiry, tally);
    fleet.measure(since());
    const memory = new Map(
      [...fleet.members.values()].filter((m) => m.ours && m.memory.length > 0)
        .map((m) => [m.name, memoryOf(m)]),
    );
    return { tally, faults, crashes: fleet.crashes, healed, memory };
  } finally {
    await Deno.remove(folder, { recursive: true }).catch(() => undefined);
  }
}

async function heals(inquiry: Inquiry, tally: Tally): Promise<boolean> {
  const end = Date.now() + HEALING;
  while (Date.now() < end) {
    if (await inquiry.all(tally)) return true;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return false;
}

function memoryOf(member: Member): MemoryReport {
  const { memory } = member;
  const first = memory[0]!;
  const last = memory.at(-1)!;
  const minutes: number[] = [];
  for (const { at, bytes } of memory) if (at - first.at >= 60 * minutes.length) minutes.push(bytes);
  return { age: last.at - first.at, bytes: last.bytes, slope: slopeOf(member), minutes };
}

/** Slope of a straight line through the later two thirds of a member's memory, bytes a minute. */
function slopeOf({ memory }: Member): number {
  const points = memory.slice(Math.floor(memory.length / 3));
  const n = points.length;
  const meanX = points.reduce((sum, p) => sum + p.at, 0) / n;
  const meanY = points.reduce((sum, p) => sum + p.bytes, 0) / n;
  const xy = points.reduce((sum, p) => sum + (p.at - meanX) * (p.bytes - meanY), 0);
  const xx = points.reduce((sum, p) => sum + (p.at - meanX) ** 2, 0);
  return xx === 0 ? 0 : (xy / xx) * 60;
}

/** What is wrong with a soak's outcome; empty when all is well. */
export function problemsOf(report: SoakReport): string[] {
  const { tally, crashes, healed, memory } = report;
  const problems = [...crashes, ...tally.wrong.slice(0, 10)];
  if (tally.wrong.length > 10) problems.push(`… and ${tally.wrong.length - 10} more wrong answers`);
  if (!healed) {
    problems.push(`not everything was right again ${HEALING / 1000} s after the last fault`);
  }
  if (tally.right === 0) problems.push("no question was answered");
  for (const [name, { age, slope }] of memory) {
    // The young ones still compile and fill their caches.
    if (age < TELLING || slope <= GROWTH) continue;
    problems.push(`${name} grows by ${(slope / 1024 ** 2).toFixed(1)} MiB a minute`);
  }
  return problems;
}

if (import.meta.main) {
  const option = (name: string, fallback: number) => {
    const given = Deno.args.find((arg) => arg.startsWith(`--${name}=`));
    return given === undefined ? fallback : Number(given.slice(name.length + 3));
  };
  const seconds = option("seconds", 60);
  const seed = option("seed", 1);
  const verbose = Deno.args.includes("--verbose");
  if (!isOnPath("prometheus")) {
    console.log("skipped: no prometheus on PATH");
    Deno.exit(0);
  }
  console.log(`soak of ${seconds} s, seed ${seed}`);
  const report = await soak({ seconds, seed, log: (line) => verbose && console.log(line) });
  const { right, partial, failed, unanswered, wrong } = report.tally;
  console.log(
    `${report.faults} faults; answers: ${right} right, ${partial} partial with a warning, ` +
      `${failed} errors, ${unanswered} broken connections, ${wrong.length} wrong`,
  );
  const mib = (value: number) => (value / 1024 ** 2).toFixed(1);
  for (const [name, { age, bytes, slope, minutes }] of report.memory) {
    console.log(
      `${name.padEnd(10)} ${mib(bytes).padStart(7)} MiB, ${mib(slope)} MiB a minute, ` +
        `${age.toFixed(0)} s old (${minutes.map((m) => Math.round(m / 1024 ** 2)).join(" ")})`,
    );
  }
  const problems = problemsOf(report);
  for (const problem of problems) console.error(`problem: ${problem}`);
  console.log(problems.length === 0 ? "all is well" : `${problems.length} problems`);
  Deno.exit(problems.length === 0 ? 0 : 1);
}
