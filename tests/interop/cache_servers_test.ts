/** Caches on real servers: Memcached and Redis, alive, dying, coming back, and full of garbage. */
import { strict as assert } from "node:assert";
import { createServer } from "node:net";
import { ChildProcess, freePort } from "../../lib/runtime/child_process.ts";
import { type IndexCache, openCachingBucket, openIndexCache } from "../../lib/store/mod.ts";
import { CacheMetrics } from "../../lib/store/mod.ts";
import { Metrics } from "../../lib/telemetry/mod.ts";
import { systemClock } from "../../lib/base/mod.ts";
import { MemoryBucket } from "../../lib/objstore/mod.ts";
import { FaultyBucket } from "../../lib/objstore/testing/bucket_faulty.ts";
import { until } from "../mneme.ts";

type Kind = "memcached" | "redis";

/** Programs by kind of server. */
const PROGRAMS: Readonly<Record<Kind, string>> = { memcached: "memcached", redis: "redis-server" };

function start(kind: Kind, port: number): ChildProcess {
  const args = kind === "memcached"
    ? ["-l", "127.0.0.1", "-p", `${port}`, "-U", "0", "-u", "nobody", "-m", "64"]
    : ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  return ChildProcess.start({ name: kind, command: PROGRAMS[kind], args });
}

async function listening(port: number): Promise<boolean> {
  const connection = await Deno.connect({ port, hostname: "127.0.0.1" });
  connection.close();
  return true;
}

function isInstalled(kind: Kind): boolean {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    try {
      if (Deno.statSync(`${folder}/${PROGRAMS[kind]}`).isFile) return true;
    } catch {
      // Not in this folder.
    }
  }
  console.log(`skipped: ${PROGRAMS[kind]} is not on PATH`);
  return false;
}

function config(kind: Kind, port: number): string {
  return kind === "memcached"
    ? `type: MEMCACHED\nconfig: {addresses: ["127.0.0.1:${port}"], timeout: 300ms}`
    : `type: REDIS\nconfig: {addr: "127.0.0.1:${port}", read_timeout: 300ms, write_timeout: 300ms, dial_timeout: 300ms}`;
}

function env(metrics = new Metrics()) {
  return {
    metrics: new CacheMetrics(metrics),
    clock: systemClock,
    readText: () => "",
    resolve: (name: string) => Promise.resolve([name.replace("dns+", "")]),
  };
}

const refs = Uint32Array.of(3, 9, 1000, 70_000);

/** Puts and gets until the server has it. */
async function kept(cache: IndexCache, offset: number): Promise<void> {
  await until("a value kept", async () => {
    cache.putPostings("B", offset, refs);
    const [found] = await cache.postings("B", [offset]);
    if (found !== undefined) assert.deepEqual(found, refs);
    return found !== undefined;
  });
}

for (const kind of ["memcached", "redis"] as const) {
  Deno.test({
    name: `a cache on ${kind} keeps values, survives the server's death, and uses it again`,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      if (!isInstalled(kind)) return;
      const port = freePort();
      let server = start(kind, port);
      const cache = await openIndexCache(config(kind, port), env());
      try {
        await until(`${kind} listens`, () => listening(port));
        await kept(cache, 1);
        cache.putSelection("B", "key", refs);
        cache.series!.set("S:B:0", new Uint8Array(16 * 1024).fill(5), 60_000);
        await until("the others kept", async () => {
          const [page] = await cache.series!.get(["S:B:0"]);
          return page?.length === 16 * 1024 && await cache.selection("B", "key") !== undefined;
        });
        // Many at once, more than a batch.
        const offsets = Array.from({ length: 500 }, (_, i) => 10 + i);
        for (const offset of offsets) cache.putPostings("B", offset, Uint32Array.of(offset));
        await until("all kept", async () => {
          const found = await cache.postings("B", offsets);
          found.forEach((f, i) => f === undefined || assert.equal(f[0], offsets[i]));
          return found.every((f) => f !== undefined);
        });
        // Dies with requests under way: misses, no errors.
        const asked = Array.from({ length: 20 }, () => cache.postings("B", offsets));
        server.kill("SIGKILL");
        for (const found of await Promise.all(asked)) {
          found.forEach((f, i) => f === undefined || assert.equal(f[0], offsets[i]));
        }
        await server.exit;
        for (let i = 0; i < 30; i++) assert.deepEqual(await cache.postings("B", [1]), [undefined]);
        server = start(kind, port);
        await until(`${kind} listens again`, () => listening(port));
        await kept(cache, 2);
      } finally {
        await cache.close();
        server.kill("SIGKILL");
        await server.exit;
      }
    },
  });

  Deno.test({
    name: `values of ${kind} that somebody else changed are misses`,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      if (!isInstalled(kind)) return;
      const port = freePort();
      const server = start(kind, port);
      const metrics = new Metrics();
      const cache = await openIndexCache(config(kind, port), env(metrics));
      try {
        await until(`${kind} listens`, () => listening(port));
        await kept(cache, 1);
        await overwrite(kind, port, "P:B:1", "somebody else's bytes");
        await until("the foreign bytes are seen", async () => {
          assert.deepEqual(await cache.postings("B", [1]), [undefined]);
          return /thanos_cache_damaged_items_total [1-9]/.test(await metrics.expose());
        });
        await kept(cache, 1);
      } finally {
        await cache.close();
        server.kill("SIGKILL");
        await server.exit;
      }
    },
  });

  Deno.test({
    name: `a server that is no ${kind} costs time-outs, not answers`,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      // Accepts connections and never answers.
      const silent = createServer();
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", () => resolve()));
      const { port } = silent.address() as { port: number };
      const inner = new FaultyBucket(new MemoryBucket());
      const name = "01ARZ3NDEKTSV4RRFFQ69G5FAV/chunks/000001";
      await inner.upload(name, Uint8Array.from({ length: 50_000 }, (_, i) => i & 255));
      const bucket = await openCachingBucket(inner, config(kind, port), env());
      try {
        for (let i = 0; i < 20; i++) {
          const bytes = await bucket.getRange(name, 1000 * i, 2000);
          assert.deepEqual(
            bytes,
            Uint8Array.from({ length: 2000 }, (_, k) => (1000 * i + k) & 255),
          );
        }
        // After some failures the server is left alone, so that requests do not wait for it.
        assert.equal(inner.count("get_range"), 20);
      } finally {
        await bucket.close();
        silent.close();
      }
    },
  });
}

/** Writes a value by the server's own protocol. */
async function overwrite(kind: Kind, port: number, key: string, value: string): Promise<void> {
  const connection = await Deno.connect({ port, hostname: "127.0.0.1" });
  const command = kind === "memcached"
    ? `set ${key} 0 0 ${value.length}\r\n${value}\r\n`
    : `SET ${key} "${value}"\r\n`;
  await connection.write(new TextEncoder().encode(command));
  const answer = new Uint8Array(100);
  const n = await connection.read(answer) ?? 0;
  connection.close();
  assert.match(new TextDecoder().decode(answer.subarray(0, n)), /^(?:STORED|\+OK)/);
}
