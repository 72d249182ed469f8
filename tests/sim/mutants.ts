/**
 * Bugs planted around the compactor: what it does to the bucket, what it is told, what its jobs make
 * is changed on the way. The simulation must notice every one of them.
 */
import { DEFAULT_COMPACTOR_OPTIONS, type JobRunner } from "../../lib/compact/mod.ts";
import {
  type AggrParts,
  appendChunk,
  encodeXorChunk,
  ENCODING_AGGR,
  ENCODING_XOR,
  readAggrChunk,
  writeAggrChunk,
} from "../../lib/chunks/mod.ts";
import { SampleBatch } from "../../lib/model/mod.ts";
import type { Bucket, UploadBody } from "../../lib/objstore/mod.ts";
import { BlockWriter, openBlock } from "../../lib/tsdb/mod.ts";
import { HOUR } from "./scenario.ts";
import type { Mutant } from "./simulation.ts";
import type { SimBucket, SimDisk } from "./world.ts";

const MARK = "/deletion-mark.json";
const META = "/meta.json";

/** A bucket of which some methods are replaced. */
function replaced(bucket: Bucket, methods: Partial<Bucket>): Bucket {
  return {
    name: bucket.name,
    provider: bucket.provider,
    iter: (dir, options) => bucket.iter(dir, options),
    get: (name, options) => bucket.get(name, options),
    getStream: (name, options) => bucket.getStream(name, options),
    getRange: (name, offset, length, options) => bucket.getRange(name, offset, length, options),
    exists: (name, options) => bucket.exists(name, options),
    attributes: (name, options) => bucket.attributes(name, options),
    upload: (name, body, options) => bucket.upload(name, body, options),
    delete: (name, options) => bucket.delete(name, options),
    close: () => bucket.close(),
    ...methods,
  };
}

// deno-lint-ignore no-explicit-any
type Json = any;

/** Changes the meta.json of results on their way. */
function meta(name: string, change: (json: Json) => void): Mutant {
  return {
    name,
    bucket: (bucket) =>
      replaced(bucket, {
        upload: (object, body, options) => {
          if (!object.endsWith(META)) return bucket.upload(object, body, options);
          const json = JSON.parse(new TextDecoder().decode(body as Uint8Array));
          change(json);
          return bucket.upload(object, new TextEncoder().encode(JSON.stringify(json)), options);
        },
      }),
  };
}

/** Changes the series of results of one kind. */
function content(
  name: string,
  job: "run" | "downsample",
  change: (parts: Record<string, SampleBatch>) => void,
): Mutant {
  return {
    name,
    jobs: (jobs, disk): JobRunner => ({
      run: async (order, signal) => {
        const outcome = await jobs.run(order, signal);
        if (job === "run") rewrite(disk, order.directory, order.ulid, change);
        return outcome;
      },
      downsample: async (order, signal) => {
        const outcome = await jobs.downsample(order, signal);
        if (job === "downsample") rewrite(disk, order.directory, order.ulid, change);
        return outcome;
      },
      rest: () => jobs.rest(),
      close: () => jobs.close(),
    }),
  };
}

/** Writes the first series of a block again with other samples. */
function rewrite(
  disk: SimDisk,
  directory: string,
  ulid: string,
  change: (parts: Record<string, SampleBatch>) => void,
): void {
  const path = `${directory}/${ulid}`;
  if (disk.stat(path) === undefined) return;
  const block = openBlock(disk, path);
  const selection = block.select([]);
  disk.mkdir("mutant");
  const writer = new BlockWriter({ files: disk, directory: "mutant", ulid });
  writer.addSymbols(block.index.tables.allSymbols());
  for (let i = 0; i < selection.length; i++) {
    writer.beginSeries(selection.labels[i]!);
    for (const { chunk } of selection.readChunks(i)) {
      const parts: Record<string, SampleBatch> = {};
      const given = chunk.encoding === ENCODING_AGGR ? readAggrChunk(chunk.data) : { raw: chunk };
      for (const [part, data] of Object.entries(given)) {
        appendChunk(data, parts[part] = new SampleBatch());
      }
      if (i === 0) change(parts);
      const first = parts.raw ?? parts.count!;
      if (first.length === 0) continue;
      const encoded: Record<string, { encoding: number; data: Uint8Array }> = {};
      for (const [part, batch] of Object.entries(parts)) {
        encoded[part] = { encoding: ENCODING_XOR, data: encodeXorChunk(batch) };
      }
      writer.addChunk(
        chunk.encoding,
        parts.raw === undefined ? writeAggrChunk(encoded as AggrParts) : encoded.raw!.data,
        first.t[0]!,
        first.t[first.length - 1]!,
        first.length,
      );
    }
  }
  block.close();
  writer.finish({ minTime: block.meta.minTime, maxTime: block.meta.maxTime });
  for (const file of ["index", "chunks"]) {
    disk.remove(`${path}/${file}`);
    disk.rename(`mutant/${ulid}/${file}`, `${path}/${file}`);
  }
  disk.remove("mutant");
}

/** Uploads of which some are not what they seem; their sizes are told as they should be. */
function uploads(
  name: string,
  upload: (
    bucket: Bucket,
    object: string,
    body: Uint8Array,
    pass: () => Promise<void>,
  ) => Promise<void>,
): Mutant {
  return {
    name,
    bucket: (bucket) => {
      const sizes = new Map<string, number>();
      return replaced(bucket, {
        upload: (object, given: UploadBody, options) => {
          const body = given as Uint8Array;
          sizes.set(object, body.length);
          return upload(bucket, object, body, () => bucket.upload(object, body, options));
        },
        attributes: async (object, options) => {
          const size = sizes.get(object);
          if (size === undefined) return await bucket.attributes(object, options);
          return { size, lastModified: 0 };
        },
      });
    },
  };
}

/** A bucket that does something more when it is listed. */
function listed(name: string, more: (world: SimBucket) => Promise<void>): Mutant {
  return {
    name,
    bucket: (bucket, world) =>
      replaced(bucket, {
        iter: async function* (dir, options) {
          await more(world);
          yield* bucket.iter(dir, options);
        },
      }),
  };
}

function stash(): Map<string, Uint8Array> {
  return new Map();
}

const isResult = (body: Uint8Array) =>
  /"parents"/.test(new TextDecoder().decode(body)) &&
  /"resolution": 0/.test(new TextDecoder().decode(body));

/** All of them. */
export const MUTANTS: readonly Mutant[] = [
  (() => {
    const held = stash();
    return uploads("meta.json is uploaded first", async (bucket, object, body, pass) => {
      if (/\/(?:index|chunks\/\d+)$/.test(object)) held.set(object, body.slice());
      else {
        await pass();
        if (!object.endsWith(META)) return;
        for (const [name, bytes] of held) await bucket.upload(name, bytes);
        held.clear();
      }
    });
  })(),
  (() => {
    const held = stash();
    return uploads(
      "sources are marked before the result is there",
      async (bucket, object, body, pass) => {
        if (object.endsWith(META) && isResult(body)) held.set(object, body.slice());
        else {
          await pass();
          if (!object.endsWith(MARK)) return;
          for (const [name, bytes] of held) await bucket.upload(name, bytes);
          held.clear();
        }
      },
    );
  })(),
  {
    name: "the mark is deleted first",
    bucket: (bucket) =>
      replaced(bucket, {
        delete: async (object) => {
          if (object.endsWith(META)) await bucket.delete(object.replace(META, MARK));
          await bucket.delete(object);
        },
      }),
  },
  {
    name: "meta.json is deleted last",
    bucket: (bucket) =>
      replaced(bucket, {
        delete: async (object) => {
          if (object.endsWith(META)) return;
          if (object.endsWith(MARK)) await bucket.delete(object.replace(MARK, META));
          await bucket.delete(object);
        },
      }),
  },
  uploads(
    "an upload that was cut off is not noticed",
    (bucket, object, body, pass) =>
      object.endsWith("/index") ? bucket.upload(object, body.slice(0, body.length >> 1)) : pass(),
  ),
  uploads(
    "an upload that failed is taken for done",
    (_, object, __, pass) => object.endsWith("/000001") ? Promise.resolve() : pass(),
  ),
  meta("a source is forgotten in meta.json", (json) => {
    if (json.compaction.sources.length > 1) json.compaction.sources.shift();
  }),
  meta("the level does not rise", (json) => json.compaction.level = 1),
  meta("the range is too narrow", (json) => json.maxTime -= 2 * HOUR),
  meta("the range is too wide", (json) => json.minTime -= HOUR),
  meta("parents are not noted", (json) => delete json.compaction.parents),
  meta("the result is of another group", (json) => json.thanos.labels.cluster = "other"),
  meta("a downsampled block is called raw", (json) => json.thanos.downsample.resolution = 0),
  meta("replica labels stay", (json) => json.thanos.labels.replica = "0"),
  {
    name: "a block too many is marked",
    bucket: (bucket, world) =>
      replaced(bucket, {
        upload: async (object, body, options) => {
          await bucket.upload(object, body, options);
          if (!object.endsWith(MARK)) return;
          const other = [...world.objects.keys()].find((name) =>
            name.endsWith(META) && !world.objects.has(name.replace(META, MARK))
          )!;
          const id = other.slice(0, 26);
          const text = new TextDecoder().decode(body as Uint8Array).replaceAll(
            object.slice(0, 26),
            id,
          );
          await bucket.upload(id + MARK, new TextEncoder().encode(text));
        },
      }),
  },
  {
    name: "the clock is a month ahead",
    clock: (clock) => ({
      now: () => clock.now() + 720 * HOUR,
      sleep: (ms, signal) => clock.sleep(ms, signal),
    }),
  },
  {
    name: "marks look older than they are",
    bucket: (bucket) =>
      replaced(bucket, {
        iter: async function* (dir, options) {
          for await (const entry of bucket.iter(dir, options)) {
            const { attributes } = entry;
            yield attributes === undefined ? entry : {
              name: entry.name,
              attributes: { ...attributes, lastModified: attributes.lastModified - 72 * HOUR },
            };
          }
        },
        get: async (object, options) => {
          const bytes = await bucket.get(object, options);
          if (!object.endsWith(MARK)) return bytes;
          const json = JSON.parse(new TextDecoder().decode(bytes));
          json.deletion_time -= 72 * 3600;
          return new TextEncoder().encode(JSON.stringify(json));
        },
      }),
  },
  {
    name: "uploads on their way look given up",
    bucket: (bucket) =>
      replaced(bucket, {
        iter: async function* (dir, options) {
          for await (const entry of bucket.iter(dir, options)) {
            const { attributes } = entry;
            yield attributes === undefined ? entry : {
              name: entry.name,
              attributes: { ...attributes, lastModified: attributes.lastModified - 72 * HOUR },
            };
          }
        },
      }),
  },
  {
    name: "an input of the merge is forgotten",
    jobs: (jobs) => ({
      run: (order, signal) => jobs.run({ ...order, sources: order.sources.slice(1) }, signal),
      downsample: (order, signal) => jobs.downsample(order, signal),
      rest: () => jobs.rest(),
      close: () => jobs.close(),
    }),
  },
  content("a sample is lost in the merge", "run", ({ raw }) => {
    if (raw !== undefined) raw.length--;
  }),
  content("a sample is made up in the merge", "run", ({ raw }) => {
    if (raw === undefined || raw.length < 2) return;
    raw.t[1] = raw.t[0]! + 1;
  }),
  content("a value changes in the merge", "run", ({ raw }) => {
    if (raw !== undefined) raw.v[0]! += 1;
  }),
  content("a count is one too many", "downsample", ({ count }) => {
    count!.v[0]! += 1;
  }),
  content("the counter lacks its last value", "downsample", ({ counter }) => {
    counter!.length--;
  }),
  content("the counter lacks its first value", "downsample", ({ counter }) => {
    counter!.dropFirst(1);
  }),
  content("a window is lost", "downsample", (parts) => {
    for (const batch of Object.values(parts)) batch.length--;
  }),
  content("minimum and maximum are mixed up", "downsample", (parts) => {
    [parts.min, parts.max] = [parts.max!, parts.min!];
    parts.min.v[0]! += 1;
  }),
  listed("marks are written again and again", async (world) => {
    for (const [name, { bytes }] of [...world.objects]) {
      if (name.endsWith(MARK)) await world.upload(name, bytes);
    }
  }),
  {
    name: "nothing is ever deleted",
    bucket: (bucket) => replaced(bucket, { delete: () => Promise.resolve() }),
  },
  listed("what cannot be read is deleted", async (world) => {
    for (const [name, { bytes }] of [...world.objects]) {
      if (!name.endsWith(META) || bytes.at(-2) === 125 || bytes.at(-1) === 125) continue;
      await world.delete(name);
    }
  }),
  (() => {
    const gone = stash();
    return {
      name: "a deleted block comes back",
      bucket: (bucket: Bucket, world: SimBucket) =>
        replaced(bucket, {
          delete: async (object) => {
            const known = world.objects.get(object);
            await bucket.delete(object);
            if (known !== undefined) gone.set(object, known.bytes);
            if (!object.endsWith(MARK)) return;
            for (const [name, bytes] of gone) {
              if (!name.endsWith(MARK)) await bucket.upload(name, bytes);
            }
            gone.clear();
          },
        }),
    };
  })(),
  {
    name: "marks are not seen",
    bucket: (bucket) =>
      replaced(bucket, {
        iter: async function* (dir, options) {
          for await (const entry of bucket.iter(dir, options)) {
            if (!entry.name.endsWith(MARK)) yield entry;
          }
        },
      }),
  },
  {
    name: "what is downsampled is downsampled again",
    downsample: (pass) => ({
      run: (context) => {
        const metas = [...context.view.metas].filter(([, m]) => m.thanos!.resolution === 0);
        return pass.run({ ...context, view: { ...context.view, metas: new Map(metas) } });
      },
      countDue: (context) => pass.countDue(context),
    }),
  },
  {
    name: "retention is too short",
    options: { retention: { ...DEFAULT_COMPACTOR_OPTIONS.retention, raw: HOUR } },
  },
  { name: "the delay of deletion is too short", options: { deleteDelay: HOUR } },
  { name: "overlaps are merged that must not be", options: { vertical: true } },
  {
    name: "a shipper goes on after a block that failed",
    rule: "I10",
    shipper: { settings: { allowOutOfOrder: true } },
  },
  {
    name: "a shipper takes a block for shipped that is not",
    rule: "I10",
    shipper: {
      bucket: (bucket) => {
        let first: string | undefined;
        return replaced(bucket, {
          exists: async (object, options) => {
            first ??= object;
            return object === first || await bucket.exists(object, options);
          },
        });
      },
    },
  },
  {
    name: "a reader does not see a block",
    rule: "I12",
    reader: {
      bucket: (bucket) => {
        let hidden: string | undefined;
        return replaced(bucket, {
          iter: async function* (dir, options) {
            for await (const entry of bucket.iter(dir, options)) {
              hidden ??= entry.name.slice(0, 26);
              if (!entry.name.startsWith(hidden)) yield entry;
            }
          },
        });
      },
    },
  },
  {
    name: "a reader loses the last series of an answer",
    rule: "I12",
    reader: {
      store: (store) => ({
        series: async function* (request, context) {
          const frames = await Array.fromAsync(store.series(request, context));
          for (const [i, frame] of frames.entries()) {
            yield i < frames.length - 1 ? frame : { ...frame, series: frame.series.slice(0, -1) };
          }
        },
        labelNames: (request, context) => store.labelNames(request, context),
        labelValues: (request, context) => store.labelValues(request, context),
      }),
    },
  },
];
