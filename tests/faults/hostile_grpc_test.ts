/**
 * Hostile clients of the gRPC server (rows HS8 and HS9 of the fault catalogue): raw HTTP/2 frames
 * against a whole querier, whose memory and other clients must not feel them.
 */
import { strict as assert } from "node:assert";
import { gzipSync } from "node:zlib";
import { connectRpc, type RpcClient } from "../../lib/rpc/mod.ts";
import { encodeHeaders } from "../../lib/rpc/h2/hpack.ts";
import {
  concat,
  CONTINUATION,
  DATA,
  frame,
  HEADERS,
  PING,
  prefixed,
  RST_STREAM,
  SETTINGS,
  u32,
  WINDOW_UPDATE,
} from "../../lib/rpc/testing/h2_peer.ts";
import { fetchInfo } from "../../lib/storeapi/mod.ts";
import { Stage, until } from "../mneme.ts";

const GREETING = concat([
  new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(SETTINGS, 0, 0, new Uint8Array(0)),
]);
const call = (more: [string, string][] = []) =>
  encodeHeaders([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/thanos.info.Info/Info"],
    [":authority", "x"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...more,
  ]);
const repeat = (count: number, make: (i: number) => Uint8Array) =>
  concat(Array.from({ length: count }, (_, i) => make(i)));

/** Sends everything, reads nothing but the end; the server may close at any time. */
async function attack(address: string, bytes: Uint8Array): Promise<void> {
  const [hostname, port] = address.split(":");
  const conn = await Deno.connect({ hostname: hostname!, port: Number(port) });
  const timer = setTimeout(() => conn.close(), 1_500);
  try {
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at, at + 65_536));
    const sink = new Uint8Array(65_536);
    while (await conn.read(sink) !== null);
  } catch {
    // Cut off by the server, or by the timer.
  } finally {
    clearTimeout(timer);
    try {
      conn.close();
    } catch {
      // Closed already.
    }
  }
}

async function resident(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
}

Deno.test({
  name: "HS8, HS9: floods and bombs of HTTP/2 and gRPC cost their sender the connection",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using stage = await Stage.open();
    const querier = await stage.mneme("query", []);
    const healthy = async () => {
      const client = connectRpc(querier.grpc);
      try {
        const info = await fetchInfo(client, { signal: AbortSignal.timeout(20_000) });
        assert.equal(info.componentType, "query");
      } finally {
        client.close();
      }
    };
    await healthy();
    const before = await resident(querier.child.pid);
    const bomb = gzipSync(new Uint8Array(300 * 1024 * 1024));
    const compressed = new Uint8Array([1, ...u32(bomb.length), ...bomb]);
    // A block that claims 4 GiB: the length stands in front.
    const claim = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3]);
    const snappy = new Uint8Array([1, ...u32(claim.length), ...claim]);
    // One large entry in the table, and then a thousand references to it.
    const entry = encodeHeaders([["a", "x".repeat(3_000)]]);
    const literal = new Uint8Array([
      0x40,
      1,
      0x61,
      0x7f,
      ...varint(3_000 - 127),
      ...entry.slice(-3_000),
    ]);
    const references = new Uint8Array(30_000).fill(0xbe);
    const attacks: [string, Uint8Array][] = [
      [
        "rapid reset",
        repeat(20_000, (i) =>
          concat([
            frame(HEADERS, 4, 2 * i + 1, call()),
            frame(RST_STREAM, 0, 2 * i + 1, Uint8Array.from(u32(8))),
          ])),
      ],
      ["streams without end", repeat(5_000, (i) => frame(HEADERS, 4, 2 * i + 1, call()))],
      [
        "continuation flood",
        concat([
          frame(HEADERS, 0, 1, call()),
          repeat(20_000, () => frame(CONTINUATION, 0, 1, new Uint8Array(100))),
        ]),
      ],
      ["ping flood", repeat(200_000, () => frame(PING, 0, 0, new Uint8Array(8)))],
      ["settings flood", repeat(200_000, () => frame(SETTINGS, 0, 0, new Uint8Array(0)))],
      ["header bomb", frame(HEADERS, 4, 1, concat([literal, references]))],
      [
        "window overflow",
        repeat(3, () => frame(WINDOW_UPDATE, 0, 0, Uint8Array.from(u32(0x7fffffff)))),
      ],
      ["huge frame", new Uint8Array([0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1])],
      [
        "huge message",
        concat([
          frame(HEADERS, 4, 1, call()),
          frame(DATA, 0, 1, new Uint8Array([0, 0xff, 0xff, 0xff, 0xff])),
        ]),
      ],
      [
        "gzip bomb",
        concat([
          frame(HEADERS, 4, 1, call([["grpc-encoding", "gzip"]])),
          ...pieces(compressed),
        ]),
      ],
      [
        "snappy claim",
        concat([
          frame(HEADERS, 4, 1, call([["grpc-encoding", "snappy"]])),
          frame(DATA, 1, 1, snappy),
        ]),
      ],
      ["nonsense", new Uint8Array(100_000).map((_, i) => (i * 7919) & 0xff)],
      ["not our protocol", prefixed(new Uint8Array(1000))],
    ];
    for (const [what, bytes] of attacks) {
      await attack(querier.grpc, concat([GREETING, bytes]));
      assert.ok(querier.child.running, `${what}: ${querier.child.tail.join("\n")}`);
      await healthy();
    }
    const grown = await resident(querier.child.pid) - before;
    console.log(`memory after the attacks: ${grown.toFixed(0)} MB more`);
    assert.ok(grown < 120, `${grown} MB`);
  },
});

Deno.test({
  name: "HS8: gRPC connections beyond the limit are turned away, and those within it served",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using stage = await Stage.open();
    const querier = await stage.mneme("query", []);
    const [hostname, port] = querier.grpc.split(":") as [string, string];
    const known = connectRpc(querier.grpc);
    const ask = (client: RpcClient) => fetchInfo(client, { signal: AbortSignal.timeout(20_000) });
    await ask(known);
    const crowd: Deno.TcpConn[] = [];
    let turnedAway = 0;
    try {
      for (let i = 0; i < 520; i++) {
        const conn = await Deno.connect({ hostname, port: Number(port) });
        crowd.push(conn);
        // Who greets is not cut off for saying nothing.
        void conn.write(GREETING).catch(() => {}).then(() => readToEnd(conn)).then(() =>
          turnedAway++
        );
      }
      // One place is taken by the client that was there before.
      await until("those beyond the limit are turned away", () => turnedAway >= 9, 60_000);
      assert.equal((await ask(known)).componentType, "query");
      await until(
        "the log says so",
        () => /too many connections, refusing further ones/.test(querier.child.tail.join("\n")),
        20_000,
      );
    } finally {
      for (const conn of crowd) conn.close();
    }
    await until("a place is free again", async () => {
      const client = connectRpc(querier.grpc);
      try {
        return (await ask(client)).componentType === "query";
      } catch {
        return false;
      } finally {
        client.close();
      }
    }, 60_000);
    known.close();
    assert.equal(await querier.child.stop(), 0);
  },
});

/** Reads until the server, or the test, ends the connection. */
async function readToEnd(conn: Deno.Conn): Promise<void> {
  const sink = new Uint8Array(1024);
  try {
    while (await conn.read(sink) !== null);
  } catch {
    // Reset, or closed at the end of the test.
  }
}

/** HPACK's integers beyond their prefix. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value >>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

function pieces(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += 16_000) {
    const end = Math.min(bytes.length, at + 16_000);
    frames.push(frame(DATA, end === bytes.length ? 1 : 0, 1, bytes.subarray(at, end)));
  }
  return frames;
}
