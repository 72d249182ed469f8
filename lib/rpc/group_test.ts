import assert from "node:assert/strict";
import { connectRpcGroup } from "./group.ts";
import { type RpcServer, serveRpc } from "./server.ts";
import type { Service } from "./service.ts";

function named(name: string, compressed: string[] = []): Service {
  const bytes = new TextEncoder().encode(name);
  return {
    name: "test.Echo",
    methods: {
      Name: {
        kind: "unary",
        handle: (_request, call) => {
          compressed.push(call.metadata.get("grpc-encoding") ?? "");
          return Promise.resolve(bytes);
        },
      },
      Names: {
        kind: "server_stream",
        async *handle(request) {
          for (let i = 0; i < request[0]!; i++) yield bytes;
        },
      },
    },
  };
}

const serve = (name: string, log?: string[]): Promise<RpcServer> =>
  serveRpc({ address: "127.0.0.1:0", services: [named(name, log)] });

Deno.test("a group takes turns, and goes on while one of its members is left", async () => {
  const servers = [await serve("a"), await serve("b")];
  let addresses = servers.map((s) => s.address);
  const group = connectRpcGroup("thanos:///dns+x:1", () => addresses);
  const ask = async () =>
    new TextDecoder().decode(await group.unary("/test.Echo/Name", new Uint8Array(0)));
  assert.deepEqual([await ask(), await ask(), await ask(), await ask()], ["a", "b", "a", "b"]);
  await servers[0]!.stop(0);
  for (let i = 0; i < 4; i++) assert.equal(await ask(), "b");
  const seen: string[] = [];
  for await (const messages of group.stream("/test.Echo/Names", Uint8Array.of(3))) {
    for (const m of messages) seen.push(new TextDecoder().decode(m));
  }
  assert.deepEqual(seen, ["b", "b", "b"]);
  await servers[1]!.stop(0);
  await assert.rejects(ask(), /connect/);
  addresses = [];
  await assert.rejects(ask(), /no addresses are known for thanos:\/\/\/dns\+x:1/);
  const third = await serve("c");
  addresses = [third.address];
  assert.equal(await ask(), "c");
  group.close();
  await assert.rejects(ask(), /closed/);
  await third.stop(0);
});

Deno.test("a client that compresses gets compressed answers", async () => {
  const seen: string[] = [];
  const server = await serve("x".repeat(200_000), seen);
  const group = connectRpcGroup("g", () => [server.address], { compression: "snappy" });
  const answer = await group.unary("/test.Echo/Name", new Uint8Array(1000));
  assert.equal(answer.length, 200_000);
  assert.ok(answer.every((byte) => byte === 0x78));
  assert.deepEqual(seen, ["snappy"]);
  let count = 0;
  for await (const messages of group.stream("/test.Echo/Names", Uint8Array.of(5))) {
    count += messages.length;
  }
  assert.equal(count, 5);
  group.close();
  await server.stop(0);
});
