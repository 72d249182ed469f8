/** What a store gateway does beside answering: looking at what blocks the bucket holds. */
import { errorMessage, MnemeError } from "../lib/base/mod.ts";
import type { Actor } from "../lib/runtime/mod.ts";
import type { BucketStore } from "../lib/store/mod.ts";
import type { Probe } from "../lib/telemetry/mod.ts";
import type { CommandEnv } from "./command.ts";

/** How long the first sync may fail, and the pause between attempts, ms. */
const INITIAL_SYNC = 30_000;
const INITIAL_RETRY = 10_000;

/** Syncs at the start, which must succeed within a while, and again and again. */
export function blockSync(
  gateway: BucketStore,
  interval: number,
  env: CommandEnv,
  probe: Probe,
): Actor {
  const { clock, logger, signal } = env;
  return {
    name: "block sync",
    async start() {
      // The HTTP server listens by now.
      probe.healthy();
      const began = clock.now();
      logger.info("initializing bucket store");
      for (;;) {
        try {
          await gateway.sync(signal);
          break;
        } catch (error) {
          if (signal.aborted) throw error;
          if (clock.now() - began + INITIAL_RETRY > INITIAL_SYNC) {
            throw new MnemeError(
              "unavailable",
              `bucket store initial sync: ${errorMessage(error)}`,
              { cause: error },
            );
          }
          logger.warn("initial sync failed, trying again", { err: error });
          await clock.sleep(INITIAL_RETRY, signal);
        }
      }
      gateway.removeLeftovers();
      logger.info("bucket store initialized", {
        blocks: gateway.blocks.length,
        duration_seconds: (clock.now() - began) / 1000,
      });
    },
    async run(stop) {
      while (!stop.aborted) {
        try {
          await clock.sleep(interval, stop);
        } catch {
          return; // Asked to stop.
        }
        try {
          await gateway.sync(stop);
        } catch (error) {
          if (!stop.aborted) logger.warn("syncing blocks failed", { err: error });
        }
      }
    },
  };
}

/** Closes index headers that no query used for `idle` ms; 0 = never. */
export function headerSweep(gateway: BucketStore, idle: number, env: CommandEnv): Actor {
  return {
    name: "index headers",
    async run(stop) {
      while (!stop.aborted) {
        try {
          await env.clock.sleep(idle > 0 ? Math.max(1000, idle / 10) : 3_600_000, stop);
        } catch {
          return; // Asked to stop.
        }
        if (idle > 0) gateway.closeIdleHeaders(idle);
      }
    },
  };
}
