/** A bucket whose operations are counted and timed under Thanos' metric names. */
import { type Clock, errorKind, systemClock } from "../base/mod.ts";
import type { Counter, Gauge, Metrics, Observer } from "../telemetry/mod.ts";
import { bodySize } from "./body.ts";
import type {
  Bucket,
  BucketEntry,
  CallOptions,
  IterOptions,
  ObjectAttributes,
  RangeCallOptions,
  UploadBody,
  UploadOptions,
} from "./bucket.ts";

const OPERATIONS = [
  "iter",
  "get",
  "get_range",
  "exists",
  "upload",
  "delete",
  "attributes",
] as const;
type Operation = typeof OPERATIONS[number];
/** Operations that carry an object's bytes. */
const TRANSFERS = ["get", "get_range", "upload"] as const;
type Transfer = typeof TRANSFERS[number];

const DURATION_BUCKETS = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120];
/** 32 KiB doubled fifteen times: up to 1 GiB. */
const SIZE_BUCKETS = Array.from({ length: 16 }, (_, i) => 32768 * 2 ** i);

interface Instruments {
  readonly total: Counter;
  readonly failures: Counter;
  readonly seconds: Observer;
}

/**
 * Counts and times every operation of `inner`.
 *
 * A failure is not counted when it is an answer: a call that was canceled, and a missing object for
 * get, exists and attributes, which is how markers and metas are probed.
 */
export function meterBucket(
  inner: Bucket,
  env: { readonly metrics: Metrics; readonly clock?: Clock },
): Bucket {
  return new MeteredBucket(inner, env.metrics, env.clock ?? systemClock);
}

class MeteredBucket implements Bucket {
  readonly name: string;
  readonly provider: string;
  readonly #inner: Bucket;
  readonly #clock: Clock;
  readonly #instruments: ReadonlyMap<Operation, Instruments>;
  readonly #fetched: ReadonlyMap<Transfer, Counter>;
  readonly #transferred: ReadonlyMap<Transfer, Observer>;
  readonly #lastUpload: Gauge;

  constructor(inner: Bucket, metrics: Metrics, clock: Clock) {
    this.name = inner.name;
    this.provider = inner.provider;
    this.#inner = inner;
    this.#clock = clock;
    const bucket = inner.name;
    const labels = ["bucket", "operation"] as const;
    const total = metrics.counterFamily({
      name: "thanos_objstore_bucket_operations_total",
      help: "Operations on the bucket.",
      labels,
    });
    const failures = metrics.counterFamily({
      name: "thanos_objstore_bucket_operation_failures_total",
      help: "Operations on the bucket that failed, without those whose failure is an answer.",
      labels,
    });
    const seconds = metrics.histogramFamily({
      name: "thanos_objstore_bucket_operation_duration_seconds",
      help: "Duration of operations on the bucket; of reads until the last byte.",
      labels,
      buckets: DURATION_BUCKETS,
    });
    const fetched = metrics.counterFamily({
      name: "thanos_objstore_bucket_operation_fetched_bytes_total",
      help: "Bytes read from the bucket.",
      labels,
    });
    const transferred = metrics.histogramFamily({
      name: "thanos_objstore_bucket_operation_transferred_bytes",
      help: "Size of completed transfers from or to the bucket.",
      labels,
      buckets: SIZE_BUCKETS,
    });
    const by = (operation: Operation) => ({ bucket, operation });
    this.#instruments = new Map(OPERATIONS.map((operation) => [operation, {
      total: total.with(by(operation)),
      failures: failures.with(by(operation)),
      seconds: seconds.with(by(operation)),
    }]));
    this.#fetched = new Map(TRANSFERS.map((t) => [t, fetched.with(by(t))]));
    this.#transferred = new Map(TRANSFERS.map((t) => [t, transferred.with(by(t))]));
    this.#lastUpload = metrics.gaugeFamily({
      name: "thanos_objstore_bucket_last_successful_upload_time",
      help: "Time of the last successful upload, Unix seconds.",
      labels: ["bucket"],
    }).with({ bucket });
  }

  async *iter(dir: string, options?: IterOptions): AsyncIterable<BucketEntry> {
    const call = this.#start("iter");
    try {
      yield* this.#inner.iter(dir, options);
    } catch (error) {
      call.failed(error);
      throw error;
    } finally {
      call.ended();
    }
  }

  async get(name: string, options?: CallOptions): Promise<Uint8Array> {
    return await this.#read("get", () => this.#inner.get(name, options));
  }

  async getRange(
    name: string,
    offset: number,
    length: number,
    options?: RangeCallOptions,
  ): Promise<Uint8Array> {
    return await this.#read(
      "get_range",
      () => this.#inner.getRange(name, offset, length, options),
    );
  }

  async #read(operation: Transfer, work: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const call = this.#start(operation);
    try {
      const bytes = await work();
      this.#fetched.get(operation)!.inc(bytes.length);
      this.#transferred.get(operation)!.observe(bytes.length);
      return bytes;
    } catch (error) {
      call.failed(error);
      throw error;
    } finally {
      call.ended();
    }
  }

  async getStream(name: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>> {
    const call = this.#start("get");
    let reader: ReadableStreamDefaultReader<Uint8Array>;
    try {
      reader = (await this.#inner.getStream(name, options)).getReader();
    } catch (error) {
      call.failed(error);
      call.ended();
      throw error;
    }
    let size = 0;
    return new ReadableStream({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            size += value.length;
            this.#fetched.get("get")!.inc(value.length);
            controller.enqueue(value);
            return;
          }
        } catch (error) {
          call.failed(error);
          call.ended();
          controller.error(error);
          return;
        }
        this.#transferred.get("get")!.observe(size);
        call.ended();
        controller.close();
      },
      cancel: async (reason) => {
        call.ended();
        await reader.cancel(reason);
      },
    }, { highWaterMark: 0 });
  }

  async exists(name: string, options?: CallOptions): Promise<boolean> {
    return await this.#run("exists", () => this.#inner.exists(name, options));
  }
  async attributes(name: string, options?: CallOptions): Promise<ObjectAttributes> {
    return await this.#run("attributes", () => this.#inner.attributes(name, options));
  }
  async upload(name: string, body: UploadBody, options?: UploadOptions): Promise<void> {
    await this.#run("upload", () => this.#inner.upload(name, body, options));
    this.#transferred.get("upload")!.observe(bodySize(body));
    this.#lastUpload.set(this.#clock.now() / 1000);
  }
  async linkFrom(name: string, path: string, options?: CallOptions): Promise<boolean> {
    const inner = this.#inner;
    if (inner.linkFrom === undefined) return false;
    const linked = await this.#run("upload", () => inner.linkFrom!(name, path, options));
    if (linked) this.#lastUpload.set(this.#clock.now() / 1000);
    return linked;
  }
  async linkTo(name: string, path: string, options?: CallOptions): Promise<boolean> {
    const inner = this.#inner;
    if (inner.linkTo === undefined) return false;
    return await this.#run("get", () => inner.linkTo!(name, path, options));
  }
  async delete(name: string, options?: CallOptions): Promise<void> {
    await this.#run("delete", () => this.#inner.delete(name, options));
  }
  async close(): Promise<void> {
    await this.#inner.close();
  }

  async #run<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    const call = this.#start(operation);
    try {
      return await work();
    } catch (error) {
      call.failed(error);
      throw error;
    } finally {
      call.ended();
    }
  }

  #start(operation: Operation): { failed(error: unknown): void; ended(): void } {
    const instruments = this.#instruments.get(operation)!;
    instruments.total.inc();
    const began = performance.now();
    return {
      failed(error) {
        if (!isAnswer(operation, error)) instruments.failures.inc();
      },
      ended: () => instruments.seconds.observe((performance.now() - began) / 1000),
    };
  }
}

function isAnswer(operation: Operation, error: unknown): boolean {
  const kind = errorKind(error);
  if (kind === "canceled") return true;
  const probes = operation === "get" || operation === "exists" || operation === "attributes";
  return kind === "not_found" && probes;
}
