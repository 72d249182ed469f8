import assert from "node:assert/strict";
import { MnemeError } from "../../base/mod.ts";
import { Random } from "../../base/testing/random.ts";
import {
  concat,
  CONTINUATION,
  DATA,
  type Frame,
  frame,
  GOAWAY,
  HEADERS,
  Peer,
  PING,
  prefixed,
  RST_STREAM,
  SETTINGS,
  u32,
  WINDOW_UPDATE,
} from "../testing/h2_peer.ts";
import { encodeHeaders, type HeaderList, HpackDecoder } from "./hpack.ts";
import type { KeepaliveTimes } from "./keepalive.ts";
import { type H2ServerStream, ServerConnection } from "./server_connection.ts";

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const NEVER: KeepaliveTimes = { silence: 1e8, repeat: 1e8, patience: 1e8 };

const REQUEST: HeaderList = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/p.S/M"],
  [":authority", "host"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

type Handle = (stream: H2ServerStream) => Promise<void>;

/** Reads one request, sends it back, ends well. */
const echo: Handle = async (stream) => {
  const request = await stream.next();
  if (request !== undefined) await stream.send(request);
  stream.finish(0, "");
};

/** Ends with the status that its call was ended with. */
const untilAborted: Handle = (stream) =>
  new Promise((resolve) => {
    const end = () => {
      stream.finish(1, String((stream.signal.reason as Error).message));
      resolve();
    };
    if (stream.signal.aborted) end();
    else stream.signal.addEventListener("abort", end);
  });

function open(
  handle: Handle = echo,
  options: { keepalive?: KeepaliveTimes; maxReceiveBytes?: number } = {},
): { peer: Peer; connection: ServerConnection } {
  const peer = new Peer("server");
  const connection = new ServerConnection(peer, "10.0.0.1:1", {
    maxReceiveBytes: options.maxReceiveBytes ?? 1 << 20,
    handle,
    keepalive: options.keepalive ?? NEVER,
  });
  peer.raw(PREFACE);
  return { peer, connection };
}

function start(peer: Peer, id: number, message?: Uint8Array | number[], headers = REQUEST): void {
  peer.send(HEADERS, 4, id, encodeHeaders(headers));
  if (message !== undefined) peer.send(DATA, 1, id, prefixed(Uint8Array.from(message)));
}

const isTrailer = (id: number) => (f: Frame) =>
  f.id === id && f.type === HEADERS && (f.flags & 1) === 1;

/** What a stream was answered: its messages' bytes and its trailers. */
async function answer(peer: Peer, id: number): Promise<{ body: Uint8Array; trailers: HeaderList }> {
  const last = await peer.saw(isTrailer(id));
  const decoder = new HpackDecoder();
  return {
    body: concat(peer.frames.filter((f) => f.id === id && f.type === DATA).map((f) => f.payload)),
    trailers: decoder.decode(last.payload),
  };
}

async function close(connection: ServerConnection, peer: Peer): Promise<void> {
  connection.cutOff();
  await connection.ended;
  await peer.untilClosed();
}

Deno.test("a call is answered with headers, messages and a status", async () => {
  let seen: H2ServerStream | undefined;
  const { peer, connection } = open(async (stream) => {
    seen = stream;
    await echo(stream);
  });
  start(peer, 1, [1, 2, 3], [...REQUEST, ["thanos-tenant", "a"]]);
  const { body, trailers } = await answer(peer, 1);
  assert.deepEqual([...body], [0, 0, 0, 0, 3, 1, 2, 3]);
  assert.deepEqual(trailers, [["grpc-status", "0"]]);
  assert.equal(seen!.path, "/p.S/M");
  assert.ok(seen!.headers.some(([n, v]) => n === "thanos-tenant" && v === "a"));
  const first = new HpackDecoder().decode(peer.frames.find((f) => f.type === HEADERS)!.payload);
  assert.deepEqual(first.slice(0, 2), [[":status", "200"], ["content-type", "application/grpc"]]);
  await close(connection, peer);
});

Deno.test("a failure without messages is one block of headers with the escaped text", async () => {
  const { peer, connection } = open((stream) => {
    stream.finish(5, "no € 100%\n");
    return Promise.resolve();
  });
  start(peer, 1, []);
  const { trailers } = await answer(peer, 1);
  assert.deepEqual(trailers, [
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", "5"],
    ["grpc-message", "no %E2%82%AC 100%25%0A"],
  ]);
  await close(connection, peer);
});

Deno.test("responses wait for the client's windows, and the handler with them", async () => {
  let sent = 0;
  const { peer, connection } = open(async (stream) => {
    for (let i = 0; i < 40; i++) {
      await stream.send(new Uint8Array(100_000).fill(i));
      sent++;
    }
    stream.finish(0, "");
  });
  start(peer, 1, []);
  // 64 KiB of window; the rest waits, up to half a megabyte.
  await peer.saw((f) => f.type === DATA);
  peer.send(PING, 0, 0, new Uint8Array(8));
  await peer.saw((f) => f.type === PING);
  const bytes = () =>
    peer.frames.filter((f) => f.type === DATA).reduce((n, f) => n + f.payload.length, 0);
  assert.equal(bytes(), 65_535);
  assert.ok(sent < 8, `${sent} messages ahead`);
  // A larger window for streams moves those that are open; the connection's comes by itself.
  peer.send(SETTINGS, 0, 0, [0, 4, ...u32(1_000_000)]);
  peer.send(WINDOW_UPDATE, 0, 0, u32(1_000_000 - 65_535));
  await peer.saw(() => bytes() === 1_000_000);
  peer.send(WINDOW_UPDATE, 0, 0, u32(100_000_000));
  peer.send(WINDOW_UPDATE, 0, 1, u32(100_000_000));
  const { body, trailers } = await answer(peer, 1);
  assert.deepEqual(trailers, [["grpc-status", "0"]]);
  assert.equal(body.length, 40 * 100_005);
  for (let i = 0; i < 40; i++) {
    assert.deepEqual([...body.subarray(i * 100_005, i * 100_005 + 6)], [0, ...u32(100_000), i]);
  }
  await close(connection, peer);
});

Deno.test("a stream that is held back does not hold back the others", async () => {
  const { peer, connection } = open(async (stream) => {
    await stream.next();
    await stream.send(new Uint8Array(60_000));
    stream.finish(0, "");
  });
  peer.send(SETTINGS, 0, 0, [0, 4, ...u32(10)]);
  peer.send(WINDOW_UPDATE, 0, 0, u32(1_000_000));
  start(peer, 1, []);
  await peer.saw((f) => f.type === DATA && f.id === 1);
  peer.send(SETTINGS, 0, 0, [0, 4, ...u32(100_000)]);
  start(peer, 3, []);
  peer.send(WINDOW_UPDATE, 0, 3, u32(100_000));
  await answer(peer, 3);
  await answer(peer, 1);
  await close(connection, peer);
});

Deno.test("requests arrive whole however they are cut, compressed or not", async () => {
  const { peer, connection } = open(async (stream) => {
    for (;;) {
      const request = await stream.next();
      if (request === undefined) break;
      await stream.send(Uint8Array.of(request.length % 256, request[0] ?? 0));
    }
    stream.finish(0, "");
  });
  const bytes = concat([prefixed(new Uint8Array(300).fill(5)), prefixed(new Uint8Array(0))]);
  start(peer, 1);
  for (let i = 0; i < bytes.length; i += 7) peer.send(DATA, 0, 1, bytes.slice(i, i + 7));
  peer.send(DATA, 1, 1);
  const { body } = await answer(peer, 1);
  assert.deepEqual([...body], [0, 0, 0, 0, 2, 44, 5, 0, 0, 0, 0, 2, 0, 0]);
  await close(connection, peer);
});

Deno.test("windows of requests are given back as they are taken", async () => {
  const { peer, connection } = open(async (stream) => {
    let total = 0;
    for (let m = await stream.next(); m !== undefined; m = await stream.next()) total += m.length;
    stream.finish(total === 8_000_000 ? 0 : 13, "");
  });
  start(peer, 1);
  for (let i = 0; i < 80; i++) peer.send(DATA, 0, 1, prefixed(new Uint8Array(100_000)));
  peer.send(DATA, 1, 1);
  const { trailers } = await answer(peer, 1);
  assert.ok(trailers.some(([n, v]) => n === "grpc-status" && v === "0"));
  const given = (id: number) =>
    peer.frames.filter((f) => f.type === WINDOW_UPDATE && f.id === id)
      .reduce((n, f) => n + new DataView(f.payload.buffer).getUint32(0), 0);
  assert.ok(given(1) >= 7_000_000, `${given(1)}`);
  assert.ok(given(0) >= 16_000_000);
  await close(connection, peer);
});

Deno.test("a request that is too large, broken or oddly encoded fails its call only", async () => {
  const status = (trailers: HeaderList) => trailers.find(([n]) => n === "grpc-status")![1];
  const waiting: Handle = async (stream) => {
    try {
      await stream.next();
      stream.finish(0, "");
    } catch (error) {
      stream.finish((error as { code: number }).code, (error as Error).message);
    }
  };
  const { peer, connection } = open(waiting, { maxReceiveBytes: 1000 });
  start(peer, 1);
  peer.send(DATA, 0, 1, [0, ...u32(1001)]);
  assert.equal(status((await answer(peer, 1)).trailers), "8");
  start(peer, 3);
  peer.send(DATA, 1, 3, [0, ...u32(10), 1]);
  assert.equal(status((await answer(peer, 3)).trailers), "13");
  start(peer, 5, undefined, [...REQUEST, ["grpc-encoding", "zstd"]]);
  peer.send(DATA, 1, 5, prefixed(Uint8Array.of(1), 1));
  assert.equal(status((await answer(peer, 5)).trailers), "12");
  start(peer, 7, undefined, [...REQUEST, ["grpc-encoding", "gzip"]]);
  peer.send(DATA, 1, 7, prefixed(Uint8Array.of(1), 1));
  assert.equal(status((await answer(peer, 7)).trailers), "13");
  start(peer, 9, [1]);
  assert.equal(status((await answer(peer, 9)).trailers), "0");
  await close(connection, peer);
});

Deno.test("the client's deadline and reset reach the handler", async () => {
  const { peer, connection } = open(untilAborted);
  start(peer, 1, [], [...REQUEST, ["grpc-timeout", "5m"]]);
  const { trailers } = await answer(peer, 1);
  assert.ok(trailers.some(([, v]) => v.includes("deadline exceeded")));
  const reason = Promise.withResolvers<string>();
  const other = open(async (stream) => {
    await untilAborted(stream);
    reason.resolve((stream.signal.reason as Error).message);
  });
  start(other.peer, 1, []);
  other.peer.send(RST_STREAM, 0, 1, u32(8));
  assert.match(await reason.promise, /context canceled/);
  assert.ok(!other.peer.frames.some((f) => f.id === 1 && f.type === HEADERS));
  await close(connection, peer);
  await close(other.connection, other.peer);
});

Deno.test("sending to a client that is gone fails and does not hang", async () => {
  const failed = Promise.withResolvers<unknown>();
  const { peer, connection } = open(async (stream) => {
    try {
      for (;;) await stream.send(new Uint8Array(100_000));
    } catch (error) {
      failed.resolve(error);
    }
  });
  start(peer, 1, []);
  await peer.saw((f) => f.type === DATA);
  peer.end();
  const error = await failed.promise;
  assert.ok(error instanceof MnemeError && error.kind === "canceled");
  await connection.ended;
});

Deno.test("drain() refuses new calls and lets the running ones end", async () => {
  const release = Promise.withResolvers<void>();
  const { peer, connection } = open(async (stream) => {
    await release.promise;
    await echo(stream);
  });
  start(peer, 1, [7]);
  await peer.saw((f) => f.type === SETTINGS);
  peer.send(PING, 0, 0, new Uint8Array(8));
  await peer.saw((f) => f.type === PING);
  connection.drain();
  const away = await peer.saw((f) => f.type === GOAWAY);
  assert.deepEqual([...away.payload], [...u32(1), ...u32(0)]);
  start(peer, 3, [8]);
  const refused = await peer.saw((f) => f.type === RST_STREAM && f.id === 3);
  assert.deepEqual([...refused.payload], u32(7));
  release.resolve();
  const { body } = await answer(peer, 1);
  assert.equal(body[5], 7);
  await connection.ended;
  await peer.untilClosed();
});

Deno.test("cutOff() tells running calls that the server stops", async () => {
  const { peer, connection } = open(untilAborted);
  start(peer, 1, []);
  peer.send(PING, 0, 0, new Uint8Array(8));
  await peer.saw((f) => f.type === PING);
  connection.cutOff();
  const { trailers } = await answer(peer, 1);
  assert.ok(trailers.some(([n, v]) => n === "grpc-status" && v === "14"));
  await connection.ended;
  await peer.untilClosed();
});

Deno.test("requests that are no gRPC are answered in HTTP", async () => {
  const { peer, connection } = open();
  const status = async (id: number) => (await answer(peer, id)).trailers[0]![1];
  start(peer, 1, undefined, REQUEST.map(([n, v]) => n === ":method" ? [n, "GET"] : [n, v]));
  assert.equal(await status(1), "405");
  start(peer, 3, undefined, REQUEST.map(([n, v]) => n === "content-type" ? [n, "a/b"] : [n, v]));
  assert.equal(await status(3), "415");
  await close(connection, peer);
});

Deno.test("a broken protocol ends the connection, without a crash", async () => {
  const table: [string, (peer: Peer) => void][] = [
    ["frame too large", (p) => p.raw(Uint8Array.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1))],
    ["bad headers", (p) => p.send(HEADERS, 4, 1, [0x80])],
    ["even stream", (p) => p.send(HEADERS, 4, 2, encodeHeaders(REQUEST))],
    ["headers without stream", (p) => p.send(HEADERS, 4, 0, encodeHeaders(REQUEST))],
    ["data before headers", (p) => p.send(DATA, 0, 1, [1])],
    ["data without stream", (p) => p.send(DATA, 0, 0, [1])],
    ["stray continuation", (p) => p.send(CONTINUATION, 4, 1, [0x88])],
    ["reset of nothing", (p) => p.send(RST_STREAM, 0, 9, u32(8))],
    ["window of nothing", (p) => p.send(WINDOW_UPDATE, 0, 9, u32(8))],
    ["window update of 0", (p) => p.send(WINDOW_UPDATE, 0, 0, u32(0))],
    ["window too large", (p) => {
      p.send(WINDOW_UPDATE, 0, 0, u32(0x7fffffff));
      p.send(WINDOW_UPDATE, 0, 0, u32(0x7fffffff));
    }],
    ["headers without end", (p) => {
      p.send(HEADERS, 0, 1, new Uint8Array(100_000));
      for (let i = 0; i < 3; i++) p.send(CONTINUATION, 0, 1, new Uint8Array(100_000));
    }],
    ["settings of wrong size", (p) => p.send(SETTINGS, 0, 0, [0, 4, 0])],
    ["push", (p) => p.send(5, 4, 1, [0, 0, 0, 2])],
  ];
  for (const [name, break_] of table) {
    const { peer, connection } = open();
    break_(peer);
    await connection.ended;
    await peer.untilClosed();
    assert.ok(peer.frames.some((f) => f.type === GOAWAY), name);
  }
  // What is no HTTP/2 at all is only closed.
  const peer = new Peer("server");
  const connection = new ServerConnection(peer, "x", { maxReceiveBytes: 1, handle: echo });
  peer.raw(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  await connection.ended;
  await peer.untilClosed();
});

Deno.test("clients that open and reset streams for nothing are told to calm down", async () => {
  let started = 0;
  const { peer, connection } = open(async (stream) => {
    started++;
    await untilAborted(stream);
  });
  for (let id = 1; id < 6000; id += 2) {
    start(peer, id);
    peer.send(RST_STREAM, 0, id, u32(8));
  }
  await connection.ended;
  await peer.untilClosed();
  const away = peer.frames.find((f) => f.type === GOAWAY)!;
  assert.equal(away.payload[7], 11);
  assert.ok(started <= 1001, `${started} handlers were started`);
});

Deno.test("calls beyond the limit are refused; too many of them end the connection", async () => {
  const { peer, connection } = open(untilAborted);
  for (let id = 1; id < 2 * 1001 + 1; id += 2) start(peer, id);
  await peer.saw((f) => f.type === RST_STREAM);
  for (let id = 2003; id < 4100; id += 2) start(peer, id);
  await connection.ended;
  await peer.untilClosed();
  assert.equal(peer.frames.find((f) => f.type === GOAWAY)!.payload[7], 11);
});

Deno.test("a silent client with open calls is pinged, and given up when it does not answer", async () => {
  const reason = Promise.withResolvers<string>();
  const { peer, connection } = open(async (stream) => {
    await untilAborted(stream);
    reason.resolve((stream.signal.reason as Error).message);
  }, { keepalive: { silence: 5, repeat: 5, patience: 10 } });
  start(peer, 1, []);
  await peer.saw((f) => f.type === PING && f.flags === 0);
  assert.match(await reason.promise, /no answer to a ping/);
  await connection.ended;
});

Deno.test("random frames never crash or hang a connection", async () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = new Random(seed);
    const { peer, connection } = open(random.chance(0.5) ? echo : untilAborted);
    start(peer, 1, [1]);
    for (let i = 0; i < 40; i++) {
      if (random.chance(0.3)) {
        start(peer, random.pick([3, 5, 7]), random.chance(0.5) ? [2] : undefined);
      }
      const payload = Uint8Array.from({ length: random.below(24) }, () => random.below(256));
      peer.send(random.below(11), random.below(64), random.pick([0, 1, 1, 3, 5]), payload);
    }
    peer.end();
    await connection.ended;
    await peer.untilClosed();
  }
});

Deno.test("a client that floods pings and does not read is given up", async () => {
  const { peer, connection } = open(untilAborted);
  start(peer, 1, []);
  peer.send(PING, 0, 0, new Uint8Array(8));
  await peer.saw((f) => f.type === PING);
  peer.blocked = true;
  peer.raw(concat(Array.from({ length: 120_000 }, () => frame(PING, 0, 0, new Uint8Array(8)))));
  await connection.ended;
});

Deno.test("a client that connects and does not begin to speak HTTP/2 is cut off", async () => {
  for (const said of [new Uint8Array(0), PREFACE.subarray(0, 10), PREFACE]) {
    const peer = new Peer("server");
    const connection = new ServerConnection(peer, "10.0.0.1:1", {
      maxReceiveBytes: 1 << 20,
      handle: echo,
      greeting: 5,
    });
    if (said.length > 0) peer.raw(said);
    await connection.ended;
    await peer.untilClosed();
  }
});
