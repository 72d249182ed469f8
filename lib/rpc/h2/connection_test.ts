import assert from "node:assert/strict";
import { MnemeError } from "../../base/mod.ts";
import { Random } from "../../base/testing/random.ts";
import { RpcError } from "../status.ts";
import { Connection, type H2Call } from "./connection.ts";
import type { KeepaliveTimes } from "./keepalive.ts";
import { HpackDecoder } from "./hpack.ts";
import {
  concat,
  CONTINUATION,
  DATA,
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

function call(changes: Partial<H2Call> = {}): H2Call {
  return {
    path: "/p.S/M",
    scheme: "http",
    authority: "host:1",
    headers: [],
    request: Uint8Array.of(1, 2, 3),
    maxReceiveBytes: 1 << 30,
    ...changes,
  };
}

const NEVER: KeepaliveTimes = { silence: 1e8, repeat: 1e8, patience: 1e8 };

function open(keepalive = NEVER): { peer: Peer; connection: Connection; closed: () => boolean } {
  const peer = new Peer();
  let told = false;
  const connection = new Connection(peer, () => told = true, keepalive);
  return { peer, connection, closed: () => told };
}

async function all(stream: { take(): Promise<Uint8Array[] | undefined> }): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = [];
  for (;;) {
    const some = await stream.take();
    if (some === undefined) return messages;
    messages.push(...some);
  }
}

const rpcError = (kind: string, text: RegExp) => (e: unknown) => {
  assert.ok(e instanceof RpcError, String(e));
  assert.equal(e.kind, kind, e.message);
  assert.match(e.message, text);
  return true;
};

Deno.test("a call sends the preface, settings, headers and the request", async () => {
  const { peer, connection } = open();
  const stream = await connection.call(call({ headers: [["grpc-timeout", "5S"]] }));
  const end = await peer.saw((f) => f.type === DATA);
  assert.deepEqual([...end.payload], [0, 0, 0, 0, 3, 1, 2, 3]);
  assert.deepEqual([end.id, end.flags], [1, 1]);
  assert.equal(peer.frames[0]!.type, SETTINGS);
  const headers = peer.frames.find((f) => f.type === HEADERS)!;
  const list = Object.fromEntries(new HpackDecoder().decode(headers.payload));
  assert.equal(list[":path"], "/p.S/M");
  assert.equal(list[":authority"], "host:1");
  assert.equal(list["te"], "trailers");
  assert.equal(list["grpc-timeout"], "5S");
  peer.ok(1);
  peer.message(1, [9]);
  peer.trailers(1);
  assert.deepEqual(await all(stream), [Uint8Array.of(9)]);
  connection.close();
  await peer.untilClosed();
});

Deno.test("messages arrive whole however their bytes are cut into frames and reads", async () => {
  const random = new Random(3);
  const sizes = [0, 1, 5, 300, 70_000, 0, 1_500_000, 7];
  const messages = sizes.map((n) => Uint8Array.from({ length: n }, () => random.below(256)));
  for (const [cut, piece] of [[16_384, Infinity], [1000, 777], [100_000, 65_536]] as const) {
    const { peer, connection } = open();
    const stream = await connection.call(call());
    peer.ok(1);
    const bytes = concat(messages.map((m) => prefixed(m)));
    for (let at = 0; at < bytes.length; at += cut) {
      const part = bytes.subarray(at, at + cut);
      const padded = at % 3 === 0;
      const payload = padded ? concat([Uint8Array.of(4), part, new Uint8Array(4)]) : part;
      peer.raw(frame(DATA, padded ? 8 : 0, 1, payload), piece);
    }
    peer.trailers(1);
    assert.deepEqual(await all(stream), messages);
    connection.close();
    await peer.untilClosed();
  }
});

Deno.test("windows are given back as messages are taken, and not before", async () => {
  const { peer, connection } = open();
  const stream = await connection.call(call());
  peer.ok(1);
  const megabyte = new Uint8Array(1 << 20);
  const updates = () => peer.frames.filter((f) => f.type === WINDOW_UPDATE && f.id === 1).length;
  // A frame of 1 MiB may not hold the prefix too.
  const half = megabyte.subarray(0, megabyte.length - 5);
  for (let i = 0; i < 4; i++) peer.message(1, half);
  let got = 0;
  while (got < 4) got += (await stream.take())!.length;
  await peer.saw((f) => f.type === WINDOW_UPDATE && f.id === 1);
  const before = updates();
  for (let i = 0; i < 3; i++) peer.message(1, half);
  peer.send(PING, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]);
  await peer.saw((f) => f.type === PING && f.flags === 1);
  assert.equal(updates(), before, "nobody took the messages yet");
  peer.trailers(1);
  assert.equal((await all(stream)).length, 3);
  connection.close();
  await peer.untilClosed();
});

Deno.test("a message larger than the window gets its window while it arrives", async () => {
  const { peer, connection } = open();
  const stream = await connection.call(call());
  peer.ok(1);
  const size = 20 << 20;
  const head = new Uint8Array(5);
  new DataView(head.buffer).setUint32(1, size);
  peer.send(DATA, 0, 1, head);
  for (let sent = 0; sent < size; sent += 1 << 20) peer.send(DATA, 0, 1, new Uint8Array(1 << 20));
  peer.trailers(1);
  const [message] = await all(stream);
  assert.equal(message!.length, size);
  const given = peer.frames.filter((f) => f.type === WINDOW_UPDATE && f.id === 1)
    .reduce((n, f) => n + new DataView(f.payload.buffer).getUint32(0), 0);
  assert.ok(given >= size - (8 << 20), `${given} bytes were given back`);
  connection.close();
  await peer.untilClosed();
});

Deno.test("a request waits for the peer's windows, also when they change under way", async () => {
  const { peer, connection } = open();
  peer.send(SETTINGS, 0, 0, [0, 4, ...u32(10)]);
  await peer.saw((f) => f.type === SETTINGS && f.flags === 1);
  const stream = await connection.call(call({ request: new Uint8Array(95) }));
  const sent = () =>
    peer.frames.filter((f) => f.type === DATA).reduce((n, f) => n + f.payload.length, 0);
  await peer.saw((f) => f.type === DATA);
  assert.equal(sent(), 10);
  peer.send(WINDOW_UPDATE, 0, 1, u32(20));
  peer.send(SETTINGS, 0, 0, [0, 4, ...u32(40)]);
  peer.send(PING, 0, 0, new Uint8Array(8));
  await peer.saw((f) => f.type === PING);
  assert.equal(sent(), 60);
  peer.send(WINDOW_UPDATE, 0, 1, u32(1000));
  await peer.saw((f) => f.type === DATA && f.flags === 1);
  assert.equal(sent(), 100);
  peer.ok(1);
  peer.trailers(1);
  await all(stream);
  connection.close();
  await peer.untilClosed();
});

Deno.test("calls beyond the peer's limit wait for a free place", async () => {
  const { peer, connection } = open();
  peer.send(SETTINGS, 0, 0, [0, 3, ...u32(1)]);
  await peer.saw((f) => f.type === SETTINGS && f.flags === 1);
  const first = await connection.call(call());
  let started = false;
  const waiting = connection.call(call()).then((s) => {
    started = true;
    return s;
  });
  await Promise.resolve();
  assert.equal(started, false);
  peer.ok(1);
  peer.trailers(1);
  await all(first);
  const second = await waiting;
  peer.ok(3);
  peer.trailers(3, 5, "nothing%20here %E2%82%AC 100%");
  await assert.rejects(all(second), rpcError("not_found", /nothing here € 100%$/));
  connection.close();
  await peer.untilClosed();
});

Deno.test("how a call can end without a status of its own", async () => {
  const table: [string, (peer: Peer) => void, string, RegExp][] = [
    ["reset with INTERNAL", (p) => p.send(RST_STREAM, 0, 1, u32(2)), "unavailable", /Internal/],
    ["reset with CANCEL", (p) => p.send(RST_STREAM, 0, 1, u32(8)), "unavailable", /Canceled/],
    ["refused", (p) => p.send(RST_STREAM, 0, 1, u32(7)), "unavailable", /Unavailable/],
    ["calmed down", (p) => p.send(RST_STREAM, 0, 1, u32(11)), "limit", /ResourceExhausted/],
    [
      "end of data",
      (p) => {
        p.ok(1);
        p.send(DATA, 1, 1);
      },
      "internal",
      /without a status/,
    ],
    [
      "end inside a message",
      (p) => {
        p.ok(1);
        p.send(DATA, 0, 1, [0, 0, 0, 0, 9, 1]);
        p.trailers(1);
      },
      "internal",
      /inside a message/,
    ],
    [
      "status that is no number",
      (p) => {
        p.ok(1);
        p.headers(1, [["grpc-status", "x"]], true);
      },
      "internal",
      /with status "x"/,
    ],
    [
      "no status",
      (p) => {
        p.ok(1);
        p.headers(1, [["x", "y"]], true);
      },
      "internal",
      /with status undefined/,
    ],
    ["HTTP 503", (p) => p.headers(1, [[":status", "503"]], true), "unavailable", /503/],
    ["HTTP 404", (p) => p.headers(1, [[":status", "404"]]), "execution", /404/],
    [
      "compressed message",
      (p) => {
        p.ok(1);
        p.send(DATA, 0, 1, prefixed(new Uint8Array(1), 1));
      },
      "internal",
      /compressed/,
    ],
    [
      "message too large",
      (p) => {
        p.ok(1);
        p.send(DATA, 0, 1, [0, 0xff, 0xff, 0xff, 0xff]);
      },
      "limit",
      /larger than max/,
    ],
    ["end of the connection", (p) => p.end(), "unavailable", /peer closed/],
    [
      "going away",
      (p) => p.send(GOAWAY, 0, 0, [...u32(0), ...u32(0)]),
      "unavailable",
      /going away/,
    ],
    [
      "going away in anger",
      (p) => p.send(GOAWAY, 0, 0, [...u32(0), ...u32(11)]),
      "unavailable",
      /11/,
    ],
  ];
  for (const [name, end, kind, text] of table) {
    const { peer, connection } = open();
    const stream = await connection.call(call());
    end(peer);
    await assert.rejects(all(stream), rpcError(kind, text), name);
    connection.close();
    await peer.untilClosed();
  }
});

Deno.test("after GOAWAY running calls end well and new ones are refused", async () => {
  const { peer, connection, closed } = open();
  const first = await connection.call(call());
  const second = await connection.call(call());
  peer.send(GOAWAY, 0, 0, [...u32(1), ...u32(0)]);
  await assert.rejects(all(second), rpcError("unavailable", /going away/));
  assert.ok(closed());
  await assert.rejects(connection.call(call()), rpcError("unavailable", /going away/));
  peer.ok(1);
  peer.message(1, [5]);
  peer.trailers(1);
  assert.deepEqual(await all(first), [Uint8Array.of(5)]);
  await peer.untilClosed();
});

Deno.test("a cancelled call resets its stream; late frames for it are ignored", async () => {
  const { peer, connection } = open();
  const stream = await connection.call(call());
  peer.ok(1);
  stream.cancel(new MnemeError("canceled", "enough"));
  await assert.rejects(all(stream), { message: "enough" });
  const reset = await peer.saw((f) => f.type === RST_STREAM);
  assert.deepEqual([...reset.payload], u32(8));
  peer.message(1, new Uint8Array(1000));
  peer.trailers(1);
  const next = await connection.call(call());
  peer.ok(3);
  peer.trailers(3);
  assert.deepEqual(await all(next), []);
  connection.close();
  await peer.untilClosed();
});

Deno.test("a broken protocol ends the connection and every call, without a crash", async () => {
  const table: [string, (peer: Peer) => void][] = [
    ["frame too large", (p) => p.raw(Uint8Array.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1))],
    ["bad headers", (p) => p.send(HEADERS, 4, 1, [0x80])],
    ["stray continuation", (p) => p.send(CONTINUATION, 4, 1, [0x88])],
    ["interrupted headers", (p) => {
      p.send(HEADERS, 0, 1, [0x88]);
      p.send(PING, 0, 0, new Uint8Array(8));
    }],
    ["headers without end", (p) => {
      p.send(HEADERS, 0, 1, new Uint8Array(100_000));
      for (let i = 0; i < 3; i++) p.send(CONTINUATION, 0, 1, new Uint8Array(100_000));
    }],
    ["padding too long", (p) => p.send(DATA, 8, 1, [200, 1, 2])],
    ["padding without length", (p) => p.send(DATA, 8, 1)],
    ["settings of wrong size", (p) => p.send(SETTINGS, 0, 0, [0, 4, 0])],
    ["window too large", (p) => p.send(SETTINGS, 0, 0, [0, 4, ...u32(0x80000000)])],
    ["frame size too small", (p) => p.send(SETTINGS, 0, 0, [0, 5, ...u32(10)])],
    ["short ping", (p) => p.send(PING, 0, 0, [1])],
    ["short reset", (p) => p.send(RST_STREAM, 0, 1, [1])],
    ["short goaway", (p) => p.send(GOAWAY, 0, 0, [1])],
    ["short window update", (p) => p.send(WINDOW_UPDATE, 0, 1, [1])],
    ["push", (p) => p.send(5, 4, 1, [0, 0, 0, 2])],
    ["HTTP/1", (p) => p.raw(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"))],
  ];
  for (const [name, break_] of table) {
    const { peer, connection, closed } = open();
    const stream = await connection.call(call());
    break_(peer);
    await assert.rejects(all(stream), rpcError("unavailable", /connection error/), name);
    assert.ok(closed(), name);
    await peer.untilClosed();
    connection.close();
  }
});

Deno.test("random frames never crash or hang a connection", async () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = new Random(seed);
    const { peer, connection } = open();
    const stream = await connection.call(call());
    for (let i = 0; i < 30; i++) {
      const payload = Uint8Array.from({ length: random.below(24) }, () => random.below(256));
      peer.send(random.below(11), random.below(64), random.pick([0, 1, 1, 3]), payload);
    }
    peer.end();
    await all(stream).then(() => {}, (e) => assert.ok(e instanceof RpcError, String(e)));
    connection.close();
    await peer.untilClosed();
  }
});

Deno.test("a peer that floods pings and does not read is given up", async () => {
  const { peer, connection } = open();
  const stream = await connection.call(call());
  await peer.saw((f) => f.type === DATA);
  peer.blocked = true;
  const flood = concat(
    Array.from({ length: 120_000 }, () => frame(PING, 0, 0, new Uint8Array(8))),
  );
  peer.raw(flood);
  await assert.rejects(all(stream), rpcError("unavailable", /does not read/));
});

Deno.test("a silent peer is pinged, and lost when it does not answer", async () => {
  const quick: KeepaliveTimes = { silence: 5, repeat: 5, patience: 20 };
  const { peer, connection } = open(quick);
  const stream = await connection.call(call());
  for (let i = 1; i <= 3; i++) {
    await peer.saw((f) => f.type === PING && f.flags === 0);
    peer.frames.splice(peer.frames.findIndex((f) => f.type === PING), 1);
    peer.send(PING, 1, 0, new Uint8Array(8));
  }
  await assert.rejects(all(stream), rpcError("unavailable", /no answer to a ping/));
  assert.ok(peer.closed);
  assert.ok(connection.closed);
});

Deno.test("a call given up without an answer makes sure that the peer still lives", async () => {
  const { peer, connection } = open({ silence: 1e8, repeat: 1e8, patience: 10 });
  const stream = await connection.call(call());
  stream.cancel(new MnemeError("timeout", "late"));
  await peer.untilClosed();
  assert.ok(peer.frames.some((f) => f.type === PING));
  await assert.rejects(all(stream), { message: "late" });
  assert.ok(connection.closed);
});
