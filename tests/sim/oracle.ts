/**
 * The oracle: watches a bucket and knows what must be true at every moment. It was written from the
 * rules, not from the compactor, and shares no code with it: it reads blocks with a reader of its own.
 *
 * The numbers of the rules (I1 to I12) are those that a violation names:
 * I1 nothing given is lost, I2 nothing is made up, I3 meta.json last in and first out, I4 a rested
 * bucket stays as it is, I5 every crash is recovered from, I6 nothing dead comes back or is used,
 * I7 no sample is in marked blocks alone, I8 nothing goes before its time, I9 a result tells its
 * sources, I10 a younger block of a shipper is never there before an older one, I11 the work ends, I12
 * a reader gets all that was promised, or is told that it does not.
 */
import { type OraclePoint, type OracleSeries, readBlock } from "./block_bytes.ts";
import { HOUR, type Scenario } from "./scenario.ts";
import type { BucketListener, Objects, StoredObject } from "./world.ts";

/** A rule that does not hold. */
export class Violation extends Error {
  readonly rule: string;
  constructor(rule: string, message: string) {
    super(`${rule}: ${message}`);
    this.name = "Violation";
    this.rule = rule;
  }
}

const PARTIAL_AGE = 48 * HOUR;

/** What a meta.json says, as far as it matters here. */
interface Meta {
  readonly ulid: string;
  readonly minTime: number;
  readonly maxTime: number;
  readonly level: number;
  readonly sources: readonly string[];
  readonly parents: readonly string[];
  readonly labels: string;
  readonly group: string;
  readonly resolution: number;
  readonly source: string;
  readonly files: readonly (readonly [path: string, size: number])[];
}

/** What is remembered from the past of a bucket; copied with its state. */
export interface Memory {
  /** Points that were once to be seen. */
  readonly promised: ReadonlySet<number>;
  readonly metas: ReadonlyMap<string, Meta>;
  readonly deleted: ReadonlySet<string>;
}

/** Content of blocks by their index; blocks do not change, so runs can share it. */
export class Library {
  readonly #scenario: Scenario;
  readonly #ids = new Map<string, number>();
  readonly #contents = new WeakMap<Uint8Array, readonly number[]>();
  /** Number of each raw point that was given, and when it may be gone. */
  readonly given = new Map<number, number>();

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    const { expiring } = scenario;
    for (const [group, series] of scenario.truth) {
      for (const [name, points] of series) {
        for (const point of points) {
          const expires = group === expiring.group && point[0] < expiring.before;
          this.given.set(
            this.#id(`${group} 0 ${name} raw`, point),
            expires ? expiring.at : Infinity,
          );
        }
      }
    }
  }

  #id(where: string, [t, bits]: OraclePoint): number {
    const key = `${where} ${t} ${bits}`;
    let id = this.#ids.get(key);
    if (id === undefined) this.#ids.set(key, id = this.#ids.size);
    return id;
  }

  /** The number of a raw point that was given. */
  rawId(group: string, name: string, [t, bits]: OraclePoint): number | undefined {
    return this.#ids.get(`${group} 0 ${name} raw ${t} ${bits}`);
  }

  /** The point of a number, for messages. */
  name(id: number): string {
    for (const [key, known] of this.#ids) if (known === id) return key;
    return "?";
  }

  /** Numbers of the points of a block. Throws: Violation when it holds what it must not. */
  points(meta: Meta, index: Uint8Array, segments: readonly Uint8Array[]): readonly number[] {
    const known = this.#contents.get(index);
    if (known !== undefined) return known;
    let series: OracleSeries[];
    try {
      series = readBlock(index, segments);
    } catch (error) {
      throw new Violation("I3", `block ${meta.ulid} cannot be read: ${error}`);
    }
    const out: number[] = [];
    for (const { name, chunks } of series) {
      let last = -Infinity;
      for (const chunk of chunks) {
        if (chunk.minTime <= last || chunk.maxTime < chunk.minTime) {
          throw new Violation("I2", `block ${meta.ulid}: chunks of ${name} overlap`);
        }
        last = chunk.maxTime;
        if (chunk.minTime < meta.minTime || chunk.maxTime > meta.maxTime) {
          throw new Violation("I9", `block ${meta.ulid}: ${name} is outside of its range`);
        }
      }
      const expected = this.#expected(meta, name);
      const parts = new Map<string, OraclePoint[]>();
      for (const chunk of chunks) {
        for (const [part, points] of Object.entries(chunk.parts)) {
          const all = parts.get(part) ?? [];
          all.push(...points);
          parts.set(part, all);
        }
      }
      for (const [part, points] of expected) {
        if (!parts.has(part) && points.length > 0) {
          throw new Violation("I2", `block ${meta.ulid}: ${name} has no ${part}`);
        }
      }
      for (const [part, points] of parts) {
        if (meta.resolution > 0) {
          const wanted = expected.get(part) ?? [];
          if (String(points) !== String(wanted)) {
            throw new Violation(
              "I2",
              `block ${meta.ulid}: ${part} of ${name} is ${points}, should be ${wanted}`,
            );
          }
        }
        for (const point of points) {
          const id = this.#id(`${meta.group} ${meta.resolution} ${name} ${part}`, point);
          if (meta.resolution === 0 && !this.given.has(id)) {
            throw new Violation("I2", `block ${meta.ulid} has ${this.name(id)}, nobody gave it`);
          }
          out.push(id);
        }
      }
    }
    this.#contents.set(index, out);
    return out;
  }

  /** What the parts of a series should be, recomputed from what was given. */
  #expected(meta: Meta, name: string): Map<string, readonly OraclePoint[]> {
    const given = this.#scenario.truth.get(meta.group)?.get(name) ?? [];
    const raw = given.filter(([t]) => t >= meta.minTime && t < meta.maxTime)
      .toSorted((a, b) => a[0] - b[0]);
    if (meta.resolution === 0) return new Map();
    const usable: (readonly [number, number])[] = [];
    for (const [t, bits] of raw) {
      const value = valueOf(bits);
      if (!Number.isNaN(value)) usable.push([t, value]);
    }
    const five = aggregate(
      usable.map(([t, v]) => ({ t, count: 1, sum: v, min: v, max: v, values: [v] })),
      300_000,
    );
    const windows = meta.resolution === 300_000 ? five : aggregate(five, 3_600_000);
    const parts = new Map<string, readonly OraclePoint[]>();
    for (const part of ["count", "sum", "min", "max"] as const) {
      parts.set(part, windows.map((w) => [w.t, bitsOf(w[part])]));
    }
    if (usable.length === 0) return parts;
    let total = usable[0]![1];
    let last = total;
    const counter: OraclePoint[] = [[usable[0]![0], bitsOf(total)]];
    windows.forEach((window, i) => {
      window.values.forEach((value, k) => {
        if (i === 0 && k === 0) return;
        total += value < last ? value : value - last;
        last = value;
      });
      counter.push([window.t, bitsOf(total)]);
    });
    counter.push([windows.at(-1)!.t, bitsOf(last)]);
    parts.set("counter", counter);
    return parts;
  }
}

interface Window {
  readonly t: number;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly values: readonly number[];
}

/** Windows one coarser; they end with the last point. */
function aggregate(points: readonly Window[], resolution: number): Window[] {
  const byWindow = Map.groupBy(points, ({ t }) => Math.floor(t / resolution));
  const end = points.at(-1)?.t ?? 0;
  return [...byWindow].map(([n, inside]) => ({
    t: Math.min((n + 1) * resolution - 1, end),
    count: inside.reduce((x, p) => x + p.count, 0),
    sum: inside.reduce((x, p) => x + p.sum, 0),
    min: Math.min(...inside.map((p) => p.min)),
    max: Math.max(...inside.map((p) => p.max)),
    values: inside.flatMap((p) => p.values),
  }));
}

const float = new Float64Array(1);
const word = new BigUint64Array(float.buffer);
function bitsOf(x: number): bigint {
  float[0] = x;
  return word[0]!;
}
function valueOf(bits: bigint): number {
  word[0] = bits;
  return float[0]!;
}

/** Watches one bucket. */
export class Oracle implements BucketListener {
  readonly #scenario: Scenario;
  readonly #library: Library;
  readonly #objects: Objects;
  readonly #now: () => number;
  readonly #deleteDelay: number;
  /** How many blocks that readers see hold each point. */
  readonly #seen = new Map<number, number>();
  readonly #visible = new Map<string, readonly number[]>();
  readonly #promised: Set<number>;
  readonly #metas: Map<string, Meta>;
  readonly #deleted: Set<string>;
  readonly #metaCache = new WeakMap<Uint8Array, Meta | undefined>();
  #memory: Memory | undefined;
  /** When the current iteration began. */
  iterationStart = Infinity;

  constructor(
    scenario: Scenario,
    library: Library,
    objects: Objects,
    now: () => number,
    deleteDelay: number,
    memory?: Memory,
  ) {
    this.#scenario = scenario;
    this.#library = library;
    this.#objects = objects;
    this.#now = now;
    this.#deleteDelay = deleteDelay;
    this.#promised = new Set(memory?.promised);
    this.#metas = new Map(memory?.metas);
    this.#deleted = new Set(memory?.deleted);
    for (const ulid of this.#ulids()) this.#look(ulid);
    for (const id of this.#promised) this.#checkSeen(id);
  }

  /** Raw points that are to be seen now, and when each may be gone. */
  visibleRaw(): Map<number, number> {
    const visible = new Map<number, number>();
    for (const [id, expires] of this.#library.given) {
      if ((this.#seen.get(id) ?? 0) > 0) visible.set(id, expires);
    }
    return visible;
  }

  /** A copy of what must be remembered. */
  memory(): Memory {
    return this.#memory ??= {
      promised: new Set(this.#promised),
      metas: new Map(this.#metas),
      deleted: new Set(this.#deleted),
    };
  }

  operation(): void {}
  torn(): void {}

  changed(
    name: string,
    before: StoredObject | undefined,
    after: StoredObject | undefined,
  ): void {
    const slash = name.indexOf("/");
    const ulid = name.slice(0, slash);
    if (slash !== 26) return;
    const file = name.slice(27);
    if (after === undefined) this.#checkDeletion(ulid, file, before);
    else if (file === "deletion-mark.json") this.#checkMark(ulid, before);
    else if (file === "meta.json") this.#checkMeta(ulid, before, after);
    if (this.#objects.has(`${ulid}/meta.json`)) this.#checkFiles(ulid);
    this.#look(ulid);
  }

  #ulids(): Set<string> {
    const ulids = new Set<string>();
    for (const name of this.#objects.keys()) if (name[26] === "/") ulids.add(name.slice(0, 26));
    return ulids;
  }

  #meta(ulid: string): Meta | undefined {
    const object = this.#objects.get(`${ulid}/meta.json`);
    if (object === undefined || this.#scenario.unreadable.has(ulid)) return undefined;
    let meta = this.#metaCache.get(object.bytes);
    if (meta === undefined) {
      meta = parseMeta(object.bytes, ulid, this.#scenario.replicaLabels);
      this.#metaCache.set(object.bytes, meta);
    }
    return meta;
  }

  #file(ulid: string, path: string): Uint8Array {
    const object = this.#objects.get(`${ulid}/${path}`);
    if (object === undefined) throw new Violation("I3", `block ${ulid} has no ${path}`);
    return object.bytes;
  }

  /** Takes a block into the reader's view, or out of it. */
  #look(ulid: string): void {
    const meta = this.#objects.has(`${ulid}/deletion-mark.json`) ? undefined : this.#meta(ulid);
    const known = this.#visible.get(ulid);
    if (meta === undefined) {
      if (known === undefined) return;
      this.#visible.delete(ulid);
      for (const id of known) {
        this.#seen.set(id, this.#seen.get(id)! - 1);
        this.#checkSeen(id);
      }
      return;
    }
    if (known !== undefined) return;
    const segments = meta.files.map(([path]) => path).filter((path) => path.startsWith("chunks/"))
      .map((path) => this.#file(ulid, path));
    const points = this.#library.points(meta, this.#file(ulid, "index"), segments);
    this.#visible.set(ulid, points);
    this.#metas.set(ulid, meta);
    for (const id of points) {
      this.#seen.set(id, (this.#seen.get(id) ?? 0) + 1);
      this.#promised.add(id);
    }
    this.#memory = undefined;
  }

  /** I1 and I7: what was to be seen once is to be seen in blocks without a mark. */
  #checkSeen(id: number): void {
    if ((this.#seen.get(id) ?? 0) > 0) return;
    if (this.#now() > (this.#library.given.get(id) ?? Infinity)) return;
    throw new Violation("I1", `lost ${this.#library.name(id)}`);
  }

  /** I3: a block that is there is there as a whole. */
  #checkFiles(ulid: string): void {
    const meta = this.#meta(ulid);
    if (meta === undefined) return;
    for (const [path, size] of meta.files) {
      if (path === "meta.json") continue;
      const bytes = this.#file(ulid, path);
      if (bytes.length !== size) {
        throw new Violation("I3", `${ulid}/${path} has ${bytes.length} of ${size} bytes`);
      }
    }
  }

  /** I6 and I9: what a new block says about where it comes from. */
  #checkMeta(ulid: string, before: StoredObject | undefined, after: StoredObject): void {
    if (this.#deleted.has(ulid)) throw new Violation("I6", `block ${ulid} came back`);
    if (this.#scenario.unreadable.has(ulid)) return;
    if (before !== undefined && String(before.bytes) !== String(after.bytes)) {
      const was = parseMeta(before.bytes, ulid, this.#scenario.replicaLabels);
      const is = parseMeta(after.bytes, ulid, this.#scenario.replicaLabels);
      if (JSON.stringify(was) !== JSON.stringify(is)) {
        throw new Violation("I6", `block ${ulid} was changed`);
      }
    }
    const meta = this.#meta(ulid)!;
    if (before === undefined) this.#checkOrder(ulid);
    if (meta.source !== "compactor") return;
    const wrong = (what: string) => {
      throw new Violation("I9", `block ${ulid}: ${what}`);
    };
    const replicas = this.#scenario.replicaLabels;
    if (replicas.some((name) => meta.labels.includes(`${name}=`))) wrong("it has a replica label");
    const known = [...this.#metas.values()];
    const finer = known.find((m) =>
      m.resolution < meta.resolution && m.group === meta.group && m.minTime === meta.minTime &&
      m.maxTime === meta.maxTime && String(m.sources) === String(meta.sources)
    );
    if (finer !== undefined) {
      if (finer.level !== meta.level) wrong(`level ${meta.level} instead of ${finer.level}`);
      return;
    }
    if (meta.parents.length === 0) wrong("it has no parents and is not made of a finer block");
    const parents = meta.parents.map((id) => this.#metas.get(id) ?? wrong(`unknown parent ${id}`)!);
    const all = parents as readonly Meta[];
    for (const parent of all) {
      if (parent.group !== meta.group || parent.resolution !== meta.resolution) {
        wrong(`parent ${parent.ulid} is of another group`);
      }
      const mark = this.#objects.get(`${parent.ulid}/deletion-mark.json`);
      // Who is shown an old listing cannot know of the mark; nothing must be lost by that all the same.
      if (
        mark !== undefined && this.#scenario.faults.stale === 0 &&
        (this.#scenario.compactors === 1 || mark.modified < this.iterationStart)
      ) throw new Violation("I6", `block ${ulid} was made of ${parent.ulid}, which is marked`);
    }
    const sources = [...new Set(all.flatMap((parent) => parent.sources))].sort();
    if (String(sources) !== String(meta.sources)) {
      wrong(`sources ${meta.sources} instead of ${sources}`);
    }
    // Replicas and then a range may be merged in one go: that counts as the two steps it is.
    const level = Math.max(...all.map((parent) => parent.level)) + 1;
    const steps =
      all.some((a) => all.some((b) => a !== b && a.minTime < b.maxTime && b.minTime < a.maxTime))
        ? 2
        : 1;
    if (meta.level < level || meta.level >= level + steps) {
      wrong(`level ${meta.level} instead of ${level}`);
    }
    const minTime = Math.min(...all.map((parent) => parent.minTime));
    const maxTime = Math.max(...all.map((parent) => parent.maxTime));
    if (minTime !== meta.minTime || maxTime !== meta.maxTime) {
      wrong(`range ${meta.minTime} to ${meta.maxTime} instead of ${minTime} to ${maxTime}`);
    }
  }

  /** I10: a block that is shipped comes after all older ones of its shipper. */
  #checkOrder(ulid: string): void {
    const { late } = this.#scenario;
    const shipped = late.find((block) => block.ulid === ulid);
    if (shipped === undefined) return;
    const labels = JSON.stringify(shipped.labels);
    for (const older of late) {
      if (older.minTime >= shipped.minTime || JSON.stringify(older.labels) !== labels) continue;
      if (this.#metas.has(older.ulid)) continue;
      throw new Violation("I10", `block ${ulid} is there before the older ${older.ulid}`);
    }
  }

  /** I8: the time of a mark counts from the first one. */
  #checkMark(ulid: string, before: StoredObject | undefined): void {
    if (before !== undefined && this.#now() - before.modified > 60_000) {
      throw new Violation("I8", `the mark of ${ulid} was written again`);
    }
    if (this.#scenario.badGroups.has(this.#metas.get(ulid)?.group ?? "")) {
      throw new Violation("I11", `block ${ulid} of a bad group was marked`);
    }
  }

  /** I8: nothing goes before its time. */
  #checkDeletion(ulid: string, file: string, before: StoredObject | undefined): void {
    if (before === undefined) return;
    const now = this.#now();
    if (this.#scenario.unreadable.has(ulid)) {
      throw new Violation("I8", `${ulid}/${file} is of a block that nobody can read`);
    }
    const rest = [...this.#objects].filter(([name]) => name.startsWith(`${ulid}/`));
    if (file === "meta.json") {
      this.#deleted.add(ulid);
      this.#memory = undefined;
    }
    if (file === "deletion-mark.json") {
      if (rest.length > 0) throw new Violation("I8", `${ulid} lost its mark before ${rest[0]![0]}`);
      if (now - before.modified <= this.#deleteDelay) {
        throw new Violation("I8", `the mark of ${ulid} went too early`);
      }
      return;
    }
    const mark = this.#objects.get(`${ulid}/deletion-mark.json`);
    if (mark !== undefined) {
      if (now - mark.modified <= this.#deleteDelay) {
        throw new Violation(
          "I8",
          `${ulid}/${file} was deleted ${now - mark.modified} ms after its mark`,
        );
      }
      return;
    }
    if (file === "meta.json" || this.#objects.has(`${ulid}/meta.json`)) {
      throw new Violation("I8", `${ulid}/${file} was deleted without a mark`);
    }
    const newest = Math.max(before.modified, ...rest.map(([, object]) => object.modified));
    if (now - newest <= PARTIAL_AGE) {
      throw new Violation("I8", `${ulid}/${file} was deleted while it may be on its way`);
    }
  }

  /** The bucket at rest, without what differs from run to run. Throws: I5 when something is left. */
  finalState(): string {
    const lines: string[] = [];
    for (const ulid of this.#ulids()) {
      if (this.#scenario.unreadable.has(ulid)) {
        lines.push(`unreadable ${ulid}`);
        continue;
      }
      const meta = this.#meta(ulid);
      if (meta === undefined) throw new Violation("I5", `an unfinished block is left: ${ulid}`);
      if (this.#objects.has(`${ulid}/deletion-mark.json`)) {
        throw new Violation("I5", `a marked block is left: ${ulid}`);
      }
      const listed = new Set(meta.files.map(([path]) => path));
      for (const name of this.#objects.keys()) {
        if (name.startsWith(`${ulid}/`) && !listed.has(name.slice(27))) {
          throw new Violation("I5", `an object too much is left: ${name}`);
        }
      }
      lines.push([
        meta.labels,
        meta.resolution,
        meta.minTime,
        meta.maxTime,
        meta.sources.join("+"),
      ].join(" "));
    }
    return lines.sort().join("\n");
  }
}

function parseMeta(bytes: Uint8Array, ulid: string, replicas: readonly string[]): Meta {
  // deno-lint-ignore no-explicit-any
  const json: any = JSON.parse(new TextDecoder().decode(bytes));
  if (json.ulid !== ulid) throw new Violation("I9", `block ${ulid} says it is ${json.ulid}`);
  const print = (labels: Record<string, string>, skip: readonly string[]) =>
    Object.keys(labels).filter((name) => !skip.includes(name)).sort()
      .map((name) => `${name}=${labels[name]}`).join(",");
  return {
    ulid,
    minTime: json.minTime,
    maxTime: json.maxTime,
    level: json.compaction.level,
    sources: [...json.compaction.sources].sort(),
    parents: (json.compaction.parents ?? []).map((p: { ulid: string }) => p.ulid),
    labels: print(json.thanos.labels, []),
    group: print(json.thanos.labels, replicas),
    resolution: json.thanos.downsample.resolution,
    source: json.thanos.source,
    files: json.thanos.files.map((f: { rel_path: string; size_bytes?: number }) =>
      [f.rel_path, f.size_bytes ?? 0] as const
    ),
  };
}
