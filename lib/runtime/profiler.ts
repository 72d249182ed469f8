/** CPU profiles and heap snapshots of this process, in the formats of Chrome's developer tools. */
import { Session } from "node:inspector";
import { getHeapSnapshot } from "node:v8";
import { Readable } from "node:stream";
import { type Clock, MnemeError } from "../base/mod.ts";

/** Makes profiles; one at a time, since both slow the process down. */
export class Profiler {
  readonly #clock: Clock;
  #busy = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Where the CPU's time went during some seconds: the text of a `.cpuprofile` file.
   *
   * Throws: `unavailable` while another profile is made.
   */
  async cpu(seconds: number, signal?: AbortSignal): Promise<string> {
    return await this.#alone(async () => {
      const session = new Session();
      session.connect();
      const post = (method: string) =>
        new Promise<{ profile?: unknown }>((resolve, reject) => {
          session.post(method, undefined, (error: Error | null, result?: unknown) => {
            if (error === null) resolve((result ?? {}) as { profile?: unknown });
            else reject(error);
          });
        });
      try {
        await post("Profiler.enable");
        await post("Profiler.start");
        await this.#clock.sleep(seconds * 1000, signal);
        return JSON.stringify((await post("Profiler.stop")).profile);
      } finally {
        session.disconnect();
      }
    });
  }

  /**
   * All objects of the heap: the bytes of a `.heapsnapshot` file. The process stands still while it
   * is taken, and needs about as much memory again.
   */
  async heap(): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    return await this.#alone(() =>
      Promise.resolve(
        Readable.toWeb(getHeapSnapshot()) as unknown as ReadableStream<Uint8Array<ArrayBuffer>>,
      )
    );
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new MnemeError("unavailable", "another profile is being made, try later");
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }
}
