import assert from "node:assert/strict";
import { errorMessage, LimitError, MnemeError } from "../base/mod.ts";
import { connectRpc, type RpcClient } from "./client.ts";
import { Health, healthService } from "./health.ts";
import { type RpcServer, serveRpc } from "./server.ts";
import type { ServerCall, ServerObserver, Service } from "./service.ts";
import { RpcError, STATUS_ABORTED } from "./status.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("");

const ECHO: Service["methods"] = {
  // deno-lint-ignore require-await
  Echo: { kind: "unary", handle: async (request) => request },
};

/** A test over real connections: grpc-js may leave a timer running for a moment. */
function networkTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, sanitizeOps: false, sanitizeResources: false });
}

/** A promise to be resolved from outside. */
function defer<T = void>() {
  return Promise.withResolvers<T>();
}

/** Runs `work` against a server of one service. */
async function withServer(
  methods: Service["methods"],
  work: (client: RpcClient, server: RpcServer) => Promise<void>,
  options: { observer?: ServerObserver; maxReceiveBytes?: number; maxConnections?: number } = {},
): Promise<void> {
  const server = await serveRpc({
    address: "127.0.0.1:0",
    services: [{ name: "test.T", methods }],
    ...options,
  });
  const client = connectRpc(server.address);
  try {
    await work(client, server);
  } finally {
    client.close();
    await server.stop(0);
  }
}

async function collect(stream: AsyncIterable<readonly Uint8Array[]>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const messages of stream) all.push(...messages.map((m) => Uint8Array.from(m)));
  return all;
}

networkTest("serveRpc() turns connections beyond its bound away, and says why", async () => {
  const refused: string[] = [];
  const observer = { refused: (peer: string) => void refused.push(peer) };
  await withServer(ECHO, async (first, server) => {
    const call = (client: RpcClient) =>
      client.unary("/test.T/Echo", bytes(1), { timeoutMs: 20_000 });
    assert.deepEqual(await call(first), bytes(1));
    // One that says nothing counts as well.
    const [hostname, port] = server.address.split(":") as [string, string];
    const idle = await Deno.connect({ hostname, port: Number(port) });
    await idle.read(new Uint8Array(1));
    const third = connectRpc(server.address);
    // What was sent meanwhile may reset the connection before its last words are read.
    const reason = /server went away with error code 11: too many connections, 2 are open/;
    for (const deadline = Date.now() + 20_000;;) {
      const text = await call(third).then(() => assert.fail("accepted"), errorMessage);
      if (reason.test(text)) break;
      assert.ok(Date.now() < deadline, text);
    }
    assert.ok(refused.length > 0);
    // Those that are open go on, and a place that is given back is taken.
    assert.deepEqual(await call(first), bytes(1));
    idle.close();
    for (const deadline = Date.now() + 20_000;;) {
      try {
        assert.deepEqual(await call(third), bytes(1));
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
    third.close();
  }, { observer, maxConnections: 2 });
});

networkTest("unary calls carry bytes, metadata and the peer", async () => {
  let seen: ServerCall | undefined;
  await withServer({
    Echo: {
      kind: "unary",
      // deno-lint-ignore require-await
      async handle(request, call) {
        seen = call;
        return Uint8Array.from([...request].reverse());
      },
    },
  }, async (client) => {
    const answer = await client.unary("/test.T/Echo", bytes(1, 2, 3), {
      metadata: { "thanos-tenant": "a" },
    });
    assert.deepEqual([...answer], [3, 2, 1]);
    assert.equal(seen!.metadata.get("thanos-tenant"), "a");
    assert.match(seen!.peer, /^127\.0\.0\.1:\d+$/);
    assert.deepEqual([...await client.unary("/test.T/Echo", bytes())], []);
  });
});

networkTest("metadata that no header can carry is refused", async () => {
  await withServer(ECHO, async (client) => {
    await assert.rejects(
      client.unary("/test.T/Echo", bytes(), { metadata: { tenant: "ü\n" } }),
      { kind: "bad_data" },
    );
  });
});

networkTest("errors arrive with code, kind and text", async () => {
  const table: [string, unknown, string, string][] = [
    ["kind", new MnemeError("bad_data", "no 100% ü"), "bad_data", "InvalidArgument"],
    ["limit", new LimitError("too many", 3, 4), "limit", "ResourceExhausted"],
    ["printable", new MnemeError("conflict", PRINTABLE), "conflict", "AlreadyExists"],
    ["code", new RpcError(STATUS_ABORTED, "stopped"), "execution", "Aborted"],
    ["foreign", new TypeError("boom"), "internal", "Internal"],
    ["lone surrogate", new MnemeError("not_found", "x\ud800y"), "not_found", "NotFound"],
    ["long", new MnemeError("corruption", "z".repeat(50_000)), "corruption", "DataLoss"],
  ];
  let thrown: unknown;
  const fail = () => Promise.reject(thrown);
  await withServer({
    Unary: { kind: "unary", handle: fail },
    Stream: {
      kind: "server_stream",
      async *handle() {
        yield bytes(1);
        await fail();
      },
    },
    Early: {
      kind: "server_stream",
      handle() {
        throw thrown;
      },
    },
  }, async (client) => {
    for (const [name, error, kind, code] of table) {
      thrown = error;
      const check = (e: unknown) => {
        assert.ok(e instanceof RpcError, name);
        assert.equal(e.kind, kind, name);
        assert.ok(e.message.startsWith(`rpc error: code = ${code} desc = `), e.message);
        const text = (error instanceof RpcError ? error.details : (error as Error).message)
          .toWellFormed();
        assert.ok(text.startsWith(e.details.replace(/…$/, "")), name);
        return true;
      };
      await assert.rejects(client.unary("/test.T/Unary", bytes()), check);
      await assert.rejects(collect(client.stream("/test.T/Early", bytes())), check);
      const got: Uint8Array[] = [];
      await assert.rejects(async () => {
        for await (const messages of client.stream("/test.T/Stream", bytes())) {
          got.push(...messages);
        }
      }, check);
      assert.equal(got.length, 1, `${name}: what came before the error is kept`);
    }
  });
});

networkTest("an unknown method is an error, not a hang", async () => {
  await withServer(ECHO, async (client) => {
    await assert.rejects(client.unary("/test.T/Nope", bytes()), /Unimplemented/);
    await assert.rejects(collect(client.stream("/other.S/Nope", bytes())), /Unimplemented/);
  });
});

networkTest("streams keep order and contents over many sizes", async () => {
  const sizes = [0, 1, 100, 65_535, 65_536, 1_000_000, 5_000_000, 3];
  await withServer({
    Sizes: {
      kind: "server_stream",
      async *handle() {
        for (const [i, size] of sizes.entries()) yield new Uint8Array(size).fill(i + 1);
      },
    },
  }, async (client) => {
    const got = await collect(client.stream("/test.T/Sizes", bytes()));
    assert.deepEqual(got.map((m) => m.length), sizes);
    got.forEach((m, i) => assert.ok(m.every((b) => b === i + 1)));
  });
});

networkTest("a slow reader stops the server from producing", async () => {
  const total = 400;
  const size = 256 * 1024;
  let produced = 0;
  await withServer({
    Flood: {
      kind: "server_stream",
      async *handle() {
        for (; produced < total; produced++) yield new Uint8Array(size);
      },
    },
  }, async (client) => {
    const stream = client.stream("/test.T/Flood", bytes())[Symbol.asyncIterator]();
    let received = (await stream.next()).value!.length;
    // Windows and queues fill up while nobody reads; after that production stands still.
    let before = -1;
    while (before !== produced) {
      before = produced;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    // 16 MiB of window, a few messages in queues on both sides.
    assert.ok(produced * size < 32 * 1024 * 1024, `${produced} messages ahead of the reader`);
    for (;;) {
      const step = await stream.next();
      if (step.done) break;
      received += step.value.length;
    }
    assert.equal(received, total);
  });
});

networkTest("a client that stops reading ends the handler", async () => {
  const ended = defer<string>();
  await withServer({
    Endless: {
      kind: "server_stream",
      async *handle(_request, call) {
        try {
          for (;;) {
            yield bytes(1);
            await Promise.resolve();
          }
        } finally {
          ended.resolve(call.signal.aborted ? "aborted" : "running");
        }
      },
    },
  }, async (client) => {
    for await (const _ of client.stream("/test.T/Endless", bytes())) break;
    assert.equal(await ended.promise, "aborted");
  });
});

networkTest("an aborted caller gets its own reason and the server is told", async () => {
  const told = defer();
  const entered = defer();
  const wait = (call: ServerCall) =>
    new Promise<never>((_, reject) => {
      entered.resolve();
      call.signal.addEventListener("abort", () => {
        told.resolve();
        reject(call.signal.reason);
      });
    });
  await withServer({
    Unary: { kind: "unary", handle: (_r, call) => wait(call) },
    Stream: {
      kind: "server_stream",
      async *handle(_r, call) {
        yield bytes(1);
        await wait(call);
      },
    },
  }, async (client) => {
    const first = new AbortController();
    const call = client.unary("/test.T/Unary", bytes(), { signal: first.signal });
    await entered.promise;
    first.abort(new MnemeError("timeout", "too late"));
    await assert.rejects(call, { kind: "timeout", message: "too late" });
    await told.promise;
    const second = new AbortController();
    await assert.rejects(async () => {
      for await (const _ of client.stream("/test.T/Stream", bytes(), { signal: second.signal })) {
        second.abort();
      }
    }, { kind: "canceled" });
    const third = AbortSignal.abort();
    await assert.rejects(client.unary("/test.T/Unary", bytes(), { signal: third }), {
      kind: "canceled",
    });
  });
});

networkTest("a deadline ends the call on both sides", async () => {
  const told = defer();
  await withServer({
    Slow: {
      kind: "unary",
      handle: (_r, call) =>
        new Promise((_, reject) =>
          call.signal.addEventListener("abort", () => {
            told.resolve();
            reject(call.signal.reason);
          })
        ),
    },
  }, async (client) => {
    await assert.rejects(client.unary("/test.T/Slow", bytes(), { timeoutMs: 50 }), {
      kind: "timeout",
      message: "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    });
    await told.promise;
  });
});

networkTest("a server that cannot be reached is unavailable and named", async () => {
  const server = await serveRpc({ address: "127.0.0.1:0", services: [] });
  await server.stop(0);
  const client = connectRpc(server.address, { attempts: 2 });
  await assert.rejects(client.unary("/test.T/X", bytes()), (e: unknown) => {
    assert.ok(e instanceof RpcError && e.kind === "unavailable");
    assert.ok(e.message.includes(server.address), e.message);
    return true;
  });
  client.close();
});

networkTest("a call that waits for its server tells at its deadline why it waited", async () => {
  const server = await serveRpc({ address: "127.0.0.1:0", services: [] });
  await server.stop(0);
  const client = connectRpc(server.address);
  const call = client.unary("/test.T/X", bytes(), { waitForReady: true, timeoutMs: 100 });
  await assert.rejects(call, (e: unknown) => {
    assert.ok(e instanceof RpcError && e.kind === "timeout");
    assert.match(e.details, /^context deadline exceeded: connection error: connect .*refused/);
    return true;
  });
  client.close();
});

networkTest("a call that waits goes through once its server is there", async () => {
  const early = await serveRpc({ address: "127.0.0.1:0", services: [] });
  await early.stop(0);
  const client = connectRpc(early.address);
  const call = client.unary("/test.T/Echo", bytes(4), { waitForReady: true, timeoutMs: 20_000 });
  const server = await serveRpc({
    address: early.address,
    services: [{ name: "test.T", methods: ECHO }],
  });
  assert.deepEqual([...await call], [4]);
  client.close();
  await server.stop(0);
});

networkTest("UNAVAILABLE is tried again only while nothing was received", async () => {
  let calls = 0;
  const unavailable = new MnemeError("unavailable", "restarting");
  await withServer({
    // deno-lint-ignore require-await
    Third: {
      kind: "unary",
      async handle() {
        if (++calls < 3) throw unavailable;
        return bytes(calls);
      },
    },
    Stream: {
      kind: "server_stream",
      async *handle() {
        if (++calls < 2) throw unavailable;
        yield bytes(calls);
      },
    },
    Broken: {
      kind: "server_stream",
      async *handle() {
        yield bytes(++calls);
        throw unavailable;
      },
    },
    Refused: {
      kind: "unary",
      handle() {
        calls++;
        throw new MnemeError("bad_data", "no");
      },
    },
  }, async (client) => {
    assert.deepEqual([...await client.unary("/test.T/Third", bytes())], [3]);
    calls = 0;
    assert.deepEqual([...(await collect(client.stream("/test.T/Stream", bytes())))[0]!], [2]);
    calls = 0;
    await assert.rejects(collect(client.stream("/test.T/Broken", bytes())), {
      kind: "unavailable",
    });
    assert.equal(calls, 1);
    calls = 0;
    await assert.rejects(client.unary("/test.T/Refused", bytes()), { kind: "bad_data" });
    assert.equal(calls, 1);
  });
});

networkTest("a request above the limit is refused", async () => {
  await withServer(ECHO, async (client) => {
    await client.unary("/test.T/Echo", new Uint8Array(1000));
    await assert.rejects(client.unary("/test.T/Echo", new Uint8Array(1100)), { kind: "limit" });
  }, { maxReceiveBytes: 1024 });
});

networkTest("a busy address is one line with address and flag", async () => {
  const server = await serveRpc({ address: "127.0.0.1:0", services: [] });
  try {
    await assert.rejects(serveRpc({ address: server.address, services: [] }), {
      kind: "unavailable",
      message: `Cannot listen on ${server.address} for gRPC: the address is already in use. ` +
        "Choose another address with --grpc-address.",
    });
  } finally {
    await server.stop(0);
  }
});

networkTest("stop() lets running calls end, and cuts them off after the grace period", async () => {
  const entered = defer();
  const release = defer();
  const methods: Service["methods"] = {
    Wait: {
      kind: "unary",
      async handle() {
        entered.resolve();
        await release.promise;
        return bytes(7);
      },
    },
    Forever: {
      kind: "server_stream",
      async *handle(_r, call) {
        yield bytes(1);
        await new Promise((_, reject) =>
          call.signal.addEventListener("abort", () => reject(call.signal.reason))
        );
      },
    },
  };
  await withServer(methods, async (client, server) => {
    const call = client.unary("/test.T/Wait", bytes());
    await entered.promise;
    const stopped = server.stop(60_000);
    release.resolve();
    assert.deepEqual([...await call], [7]);
    await stopped;
  });
  await withServer(methods, async (client, server) => {
    await assert.rejects(async () => {
      for await (const _ of client.stream("/test.T/Forever", bytes())) {
        await server.stop(10);
      }
    }, { kind: "unavailable" });
  });
});

networkTest(
  "a server that dies in the middle of a stream is unavailable to its reader",
  async () => {
    const server = await serveRpc({
      address: "127.0.0.1:0",
      services: [{
        name: "test.T",
        methods: {
          Stream: {
            kind: "server_stream",
            async *handle(_r, call) {
              yield bytes(1);
              await new Promise((_, reject) =>
                call.signal.addEventListener("abort", () => reject(call.signal.reason))
              );
            },
          },
        },
      }],
    });
    const client = connectRpc(server.address);
    await assert.rejects(async () => {
      for await (const _ of client.stream("/test.T/Stream", bytes())) await server.stop(0);
    }, { kind: "unavailable" });
    client.close();
  },
);

networkTest("health tells the state and refuses unknown services", async () => {
  const health = new Health();
  await withServer(healthService(health).methods, async (client) => {
    assert.deepEqual([...await client.unary("/test.T/Check", bytes())], [8, 2]);
    health.set(true);
    assert.deepEqual([...await client.unary("/test.T/Check", bytes())], [8, 1]);
    await assert.rejects(client.unary("/test.T/Check", bytes(10, 1, 120)), { kind: "not_found" });
  });
});

networkTest("health watchers see every change and are let go when the server stops", async () => {
  const health = new Health();
  const server = await serveRpc({ address: "127.0.0.1:0", services: [healthService(health)] });
  const client = connectRpc(server.address);
  const seen: number[] = [];
  let stopped: Promise<void> | undefined;
  for await (const messages of client.stream("/grpc.health.v1.Health/Watch", bytes())) {
    for (const m of messages) seen.push(m[1]!);
    if (seen.length === 1) health.set(true);
    if (seen.length === 2) health.set(false);
    if (seen.length === 3) stopped = server.stop(60_000);
  }
  assert.deepEqual(seen, [2, 1, 2]);
  await stopped;
  client.close();
});

networkTest("the observer hears of every call once, with its code", async () => {
  const events: string[] = [];
  const done = defer();
  const observer: ServerObserver = {
    started: (service, method, kind) => events.push(`started ${service} ${method} ${kind}`),
    received: (_s, method) => events.push(`received ${method}`),
    sent: (_s, method) => events.push(`sent ${method}`),
    ended(call) {
      events.push(`ended ${call.method} ${call.code}`);
      if (call.method === "Fail") done.resolve();
    },
  };
  await withServer({
    Two: {
      kind: "server_stream",
      async *handle() {
        yield bytes(1);
        yield bytes(2);
      },
    },
    Fail: { kind: "unary", handle: () => Promise.reject(new MnemeError("bad_data", "x")) },
  }, async (client) => {
    await collect(client.stream("/test.T/Two", bytes()));
    await assert.rejects(client.unary("/test.T/Fail", bytes()));
    await done.promise;
    assert.deepEqual(events, [
      "started test.T Two server_stream",
      "received Two",
      "sent Two",
      "sent Two",
      "ended Two 0",
      "started test.T Fail unary",
      "received Fail",
      "ended Fail 3",
    ]);
  }, { observer });
});
