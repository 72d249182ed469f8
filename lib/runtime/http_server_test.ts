/** The HTTP server on a real port. */
import assert from "node:assert/strict";
import { createLogger, silentLogger } from "../telemetry/mod.ts";
import { HttpServer, type HttpServerOptions } from "./http_server.ts";

function server(more: Partial<HttpServerOptions> = {}): HttpServer {
  return new HttpServer({
    address: { hostname: "127.0.0.1", port: 0 },
    handle: () => new Response("ok"),
    gracePeriod: 10_000,
    logger: silentLogger,
    ...more,
  });
}

async function serving(
  s: HttpServer,
  ask: (url: string, stop: () => void) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  await s.start();
  const done = s.run(controller.signal);
  try {
    await ask(`http://127.0.0.1:${s.address.port}/`, () => controller.abort());
  } finally {
    controller.abort();
    await done;
  }
}

Deno.test("HttpServer answers and tells its client's address", async () => {
  const s = server({ handle: (_, remote) => new Response(remote) });
  await serving(s, async (url) => {
    assert.match(await (await fetch(url)).text(), /^127\.0\.0\.1:\d+$/);
  });
});

Deno.test("HttpServer names address and flag when the port is busy", async () => {
  const first = server();
  await serving(first, async (url) => {
    const { port } = new URL(url);
    const second = server({ address: { hostname: "127.0.0.1", port: Number(port) } });
    await assert.rejects(() => second.start(), {
      name: "MnemeError",
      kind: "unavailable",
      message: `cannot listen on 127.0.0.1:${port}: port ${port} is already in use; ` +
        "choose another address with --http-address",
    });
  });
});

Deno.test("HttpServer lets running requests end when it stops", async () => {
  let answer!: () => void;
  let asked!: () => void;
  const waiting = new Promise<void>((resolve) => answer = resolve);
  const arrived = new Promise<void>((resolve) => asked = resolve);
  const s = server({
    async handle() {
      asked();
      await waiting;
      return new Response("late");
    },
  });
  await serving(s, async (url, stop) => {
    const response = fetch(url);
    await arrived;
    stop();
    answer();
    assert.equal(await (await response).text(), "late");
  });
});

Deno.test("HttpServer closes connections at once without a grace period", async () => {
  let asked!: () => void;
  const arrived = new Promise<void>((resolve) => asked = resolve);
  const s = server({
    gracePeriod: 0,
    handle() {
      asked();
      return new Promise<Response>(() => {});
    },
  });
  await serving(s, async (url, stop) => {
    const response = fetch(url);
    await arrived;
    stop();
    await assert.rejects(response);
  });
});

Deno.test("HttpServer refuses what is not answered when the grace period is over", async () => {
  let asked!: () => void;
  const arrived = new Promise<void>((resolve) => asked = resolve);
  const s = server({
    gracePeriod: 1,
    handle() {
      asked();
      return new Promise<Response>(() => {});
    },
  });
  await serving(s, async (url, stop) => {
    const response = fetch(url);
    await arrived;
    stop();
    const answer = await response;
    assert.equal(answer.status, 503);
    await answer.body?.cancel();
  });
});

Deno.test("HttpServer answers 500 and logs when the application itself throws", async () => {
  const lines: string[] = [];
  const sink = (line: string) => void lines.push(line);
  const s = server({
    logger: createLogger({ level: "error", format: "logfmt", sink }),
    handle: () => {
      throw new Error("broken app");
    },
  });
  await serving(s, async (url) => {
    const response = await fetch(url);
    assert.equal(response.status, 500);
    assert.equal(await response.text(), "internal error\n");
  });
  assert.match(lines[0]!, /err="broken app"/);
});

Deno.test("HttpServer does not wait for connections without a request when it stops", async () => {
  const s = server();
  await serving(s, async (url, stop) => {
    // Kept by the client for its next request.
    await (await fetch(url)).text();
    const silent = await Deno.connect({ hostname: "127.0.0.1", port: s.address.port });
    stop();
    assert.equal(await silent.read(new Uint8Array(10)).catch(() => null), null);
    silent.close();
  });
});
