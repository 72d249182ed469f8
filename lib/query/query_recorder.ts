/**
 * What one query fetched, from whom, and at which resolution: collected while it runs, so cheap that
 * it always is. `analyze`, response headers, telemetry and the list of running queries read it.
 */
import type { StoreReport } from "../storeapi/mod.ts";

/** A stretch of time that one resolution served. Units: ms, inclusive. */
export interface Coverage {
  readonly resolution: number;
  readonly minTime: number;
  readonly maxTime: number;
}

/** Figures of one store over all selects of a query. Units: ms, bytes. */
export interface StoreFigures {
  readonly address: string;
  /** Longest of its calls. */
  duration: number;
  /** Shortest wait for a first frame; undefined when none came. */
  firstByte: number | undefined;
  bytes: number;
  frames: number;
  series: number;
  chunks: number;
  samples: number;
  /** The last failure. */
  error: string | undefined;
}

/** The recorder of one query. */
export class QueryRecorder {
  readonly #stores = new Map<string, StoreFigures>();
  readonly #covered = new Map<number, { minTime: number; maxTime: number }[]>();
  series = 0;
  chunks = 0;
  samples = 0;
  bytes = 0;

  /** Takes in what one store did for one select; to be handed down in a CallContext. */
  readonly store = (report: StoreReport): void => {
    this.series += report.series;
    this.chunks += report.chunks;
    this.samples += report.samples;
    this.bytes += report.bytes;
    const known = this.#stores.get(report.address);
    if (known === undefined) {
      this.#stores.set(report.address, {
        address: report.address,
        duration: report.milliseconds,
        firstByte: report.firstFrame,
        bytes: report.bytes,
        frames: report.frames,
        series: report.series,
        chunks: report.chunks,
        samples: report.samples,
        error: report.error,
      });
      return;
    }
    known.duration = Math.max(known.duration, report.milliseconds);
    known.firstByte = Math.min(known.firstByte ?? Infinity, report.firstFrame ?? Infinity);
    if (known.firstByte === Infinity) known.firstByte = undefined;
    known.bytes += report.bytes;
    known.frames += report.frames;
    known.series += report.series;
    known.chunks += report.chunks;
    known.samples += report.samples;
    known.error = report.error ?? known.error;
  };

  /** Notes that data of `resolution` ms served a stretch of time; stretches may overlap. */
  covered(resolution: number, minTime: number, maxTime: number): void {
    if (!(minTime <= maxTime)) return;
    const stretches = this.#covered.get(resolution);
    if (stretches === undefined) {
      this.#covered.set(resolution, [{ minTime, maxTime }]);
      return;
    }
    const last = stretches.at(-1)!;
    // Chunks of many series arrive over the same times again and again.
    if (minTime >= last.minTime && maxTime <= last.maxTime) return;
    if (minTime <= last.maxTime && maxTime >= last.minTime) {
      last.minTime = Math.min(last.minTime, minTime);
      last.maxTime = Math.max(last.maxTime, maxTime);
    } else stretches.push({ minTime, maxTime });
  }

  /** The stores that were asked, by address. */
  stores(): readonly StoreFigures[] {
    return [...this.#stores.values()].sort((a, b) => a.address < b.address ? -1 : 1);
  }

  /** Which resolution served which stretch of time; by resolution, then time, without overlaps. */
  coverage(): readonly Coverage[] {
    const out: Coverage[] = [];
    for (const [resolution, stretches] of [...this.#covered].sort(([a], [b]) => a - b)) {
      let open: { minTime: number; maxTime: number } | undefined;
      for (const next of stretches.toSorted((a, b) => a.minTime - b.minTime)) {
        if (open !== undefined && next.minTime <= open.maxTime) {
          open.maxTime = Math.max(open.maxTime, next.maxTime);
          continue;
        }
        if (open !== undefined) out.push({ resolution, ...open });
        open = { ...next };
      }
      if (open !== undefined) out.push({ resolution, ...open });
    }
    return out;
  }
}
