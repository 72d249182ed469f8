/**
 * Protobuf codec of the Info API (package thanos.info). Which APIs a component offers is told by
 * the presence of sub-messages, even empty ones.
 */
import { EMPTY_LABELS, type Labels } from "../model/mod.ts";
import { ProtoReader, ProtoWriter } from "../rpc/mod.ts";
import type { ComponentInfo, StoreInfo, TsdbInfo } from "./types.ts";
import { readLabelSet, writeLabelSet } from "./wire_store.ts";

export const INFO_SERVICE = "thanos.info.Info";
export const INFO_PATH = "/thanos.info.Info/Info";

/** Field of our own in StoreInfo, far from the numbers that others give out. */
const FILLS_WITH_COARSER = 50_001;

/** Encodes an InfoResponse. */
export function encodeInfo(info: ComponentInfo): Uint8Array {
  const w = new ProtoWriter(1024);
  for (const labels of info.labelSets) writeLabelSet(w, 1, labels);
  w.string(2, info.componentType);
  if (info.store !== undefined) {
    const s = info.store;
    const token = w.open(3, 64 + 64 * s.tsdbInfos.length);
    w.int64(1, s.minTime);
    w.int64(2, s.maxTime);
    w.bool(3, s.supportsSharding);
    w.bool(5, s.supportsWithoutReplicaLabels);
    for (const t of s.tsdbInfos) {
      const inner = w.open(6, 64);
      writeLabelSet(w, 1, t.labels);
      w.int64(2, t.minTime);
      w.int64(3, t.maxTime);
      w.close(inner);
    }
    w.bool(FILLS_WITH_COARSER, s.fillsWithCoarser ?? false);
    w.close(token);
  }
  if (info.rules) w.empty(4);
  if (info.metricMetadata) w.empty(5);
  if (info.targets) w.empty(6);
  if (info.exemplars !== undefined) {
    const token = w.open(7);
    w.int64(1, info.exemplars.minTime);
    w.int64(2, info.exemplars.maxTime);
    w.close(token);
  }
  if (info.query) w.empty(8);
  if (info.status) w.empty(9);
  return w.finish();
}

/** Decodes an InfoResponse; throws CorruptionError. */
export function decodeInfo(bytes: Uint8Array): ComponentInfo {
  const r = new ProtoReader(bytes);
  const labelSets: Labels[] = [];
  const info: {
    labelSets: Labels[];
    componentType: string;
    store?: StoreInfo;
    rules?: true;
    metricMetadata?: true;
    targets?: true;
    exemplars?: { minTime: number; maxTime: number };
    query?: true;
    status?: true;
  } = { labelSets, componentType: "" };
  while (r.next()) {
    switch (r.field) {
      case 1:
        labelSets.push(readLabelSet(r));
        break;
      case 2:
        info.componentType = r.string();
        break;
      case 3:
        info.store = readStoreInfo(r);
        break;
      case 4:
        r.skip();
        info.rules = true;
        break;
      case 5:
        r.skip();
        info.metricMetadata = true;
        break;
      case 6:
        r.skip();
        info.targets = true;
        break;
      case 7:
        info.exemplars = readExemplarsInfo(r);
        break;
      case 8:
        r.skip();
        info.query = true;
        break;
      case 9:
        r.skip();
        info.status = true;
        break;
      default:
        r.skip();
    }
  }
  return info;
}

function readStoreInfo(r: ProtoReader): StoreInfo {
  let minTime = 0;
  let maxTime = 0;
  let supportsSharding = false;
  let supportsWithoutReplicaLabels = false;
  let fillsWithCoarser = false;
  const tsdbInfos: TsdbInfo[] = [];
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) minTime = r.int64();
    else if (r.field === 2) maxTime = r.int64();
    else if (r.field === 3) supportsSharding = r.bool();
    else if (r.field === 5) supportsWithoutReplicaLabels = r.bool();
    else if (r.field === 6) tsdbInfos.push(readTsdbInfo(r));
    else if (r.field === FILLS_WITH_COARSER) fillsWithCoarser = r.bool();
    else r.skip();
  }
  r.leave(outer);
  return {
    minTime,
    maxTime,
    supportsSharding,
    supportsWithoutReplicaLabels,
    tsdbInfos,
    ...(fillsWithCoarser ? { fillsWithCoarser } : {}),
  };
}

function readTsdbInfo(r: ProtoReader): TsdbInfo {
  let labels = EMPTY_LABELS;
  let minTime = 0;
  let maxTime = 0;
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) labels = readLabelSet(r);
    else if (r.field === 2) minTime = r.int64();
    else if (r.field === 3) maxTime = r.int64();
    else r.skip();
  }
  r.leave(outer);
  return { labels, minTime, maxTime };
}

function readExemplarsInfo(r: ProtoReader): { minTime: number; maxTime: number } {
  let minTime = 0;
  let maxTime = 0;
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) minTime = r.int64();
    else if (r.field === 2) maxTime = r.int64();
    else r.skip();
  }
  r.leave(outer);
  return { minTime, maxTime };
}
