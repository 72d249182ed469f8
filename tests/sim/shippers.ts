/** The real shipper over simulated disks: one for each replica whose Prometheus makes blocks. */
import { labelsFromRecord } from "../../lib/model/mod.ts";
import type { Bucket } from "../../lib/objstore/mod.ts";
import { Shipper, type ShipperSettings } from "../../lib/shipper/mod.ts";
import type { Scenario } from "./scenario.ts";
import { type DiskState, type SimBucket, type SimClock, SimDisk } from "./world.ts";

const FOLDER = "data";
/** Passes over the folder before the shipper counts as stuck. */
const PASSES = 20;

/** A bug that is planted in a shipper. */
export interface ShipperMutant {
  readonly settings?: Partial<ShipperSettings>;
  readonly bucket?: (bucket: Bucket) => Bucket;
}

/** What shippers need. */
export interface ShipperParts {
  readonly scenario: Scenario;
  readonly bucket: SimBucket;
  readonly clock: SimClock;
  /** As they were left; empty in the beginning. */
  readonly disks: readonly DiskState[];
  readonly mutant: ShipperMutant | undefined;
  readonly changed: (shipper: number, operation: string, path: string) => void;
}

/** A shipper with its disk. */
export interface SimShipper {
  readonly disk: SimDisk;
  /** Passes over its folder until all is shipped. */
  ship(): Promise<void>;
}

/** The shippers of a scenario. */
export function shippersOf(parts: ShipperParts): SimShipper[] {
  const groups = Map.groupBy(parts.scenario.late, ({ labels }) => JSON.stringify(labels));
  return [...groups.values()].map((blocks, i) => {
    const known = parts.disks[i];
    const disk = new SimDisk(known);
    if (known === undefined) {
      for (const { ulid, files, localMeta } of blocks) {
        for (const [path, bytes] of files) {
          const file = disk.create(`${FOLDER}/${ulid}/${path}`);
          file.append(path === "meta.json" ? localMeta : bytes);
          file.sync();
          file.close();
        }
      }
    }
    disk.changed = (operation, path) => parts.changed(i, operation, path);
    const shipper = shipperOf(parts, disk, blocks[0]!.labels);
    const { signal } = new AbortController();
    return {
      disk,
      ship: async () => {
        let errors: readonly Error[] = [];
        for (let pass = 0; pass < PASSES; pass++) {
          errors = (await shipper.sync(signal)).errors;
          if (errors.length === 0) return;
        }
        throw new Error(`the shipper is stuck: ${errors[0]?.message}`);
      },
    };
  });
}

function shipperOf(
  { bucket, clock, mutant }: ShipperParts,
  disk: SimDisk,
  labels: Readonly<Record<string, string>>,
): Shipper {
  const counter = { inc() {}, set() {} };
  return new Shipper({
    folder: FOLDER,
    metaFileName: "thanos.shipper.json",
    uploadCompacted: false,
    allowOutOfOrder: false,
    skipCorrupted: false,
    hash: "",
    concurrency: 1,
    source: "sidecar",
    ...mutant?.settings,
  }, {
    bucket: mutant?.bucket?.(bucket) ?? bucket,
    files: disk,
    externalLabels: () => labelsFromRecord(labels),
    metrics: {
      dirSyncs: counter,
      dirSyncFailures: counter,
      uploads: counter,
      uploadFailures: counter,
      corruptedBlocks: counter,
      uploadedCompacted: counter,
      uploadedBytes: counter,
      pendingBlocks: counter,
    },
    clock,
    log: () => {},
    link: (from, to) => disk.link(from, to),
  });
}
