/** Our client and server against another implementation of gRPC in both directions. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as grpc from "@grpc/grpc-js";
import { MnemeError } from "../base/mod.ts";
import { Random } from "../base/testing/random.ts";
import { connectRpc } from "./client.ts";
import { serveRpc } from "./server.ts";
import type { Service } from "./service.ts";
import { RpcError } from "./status.ts";

const toBuffer = (m: Uint8Array) => Buffer.from(m.buffer, m.byteOffset, m.byteLength);
const SIZES = [0, 1, 100, 16_379, 16_384, 65_535, 70_000, 1_000_000, 9_000_000, 3];

/** A test over real connections: grpc-js may leave a timer running for a moment. */
function networkTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, sanitizeOps: false, sanitizeResources: false });
}

const service: Service = {
  name: "test.T",
  methods: {
    Echo: {
      kind: "unary",
      // deno-lint-ignore require-await
      async handle(request, call) {
        const fail = call.metadata.get("fail");
        if (fail !== undefined) throw new MnemeError("conflict", fail);
        return request;
      },
    },
    Sizes: {
      kind: "server_stream",
      async *handle() {
        for (const [i, size] of SIZES.entries()) yield new Uint8Array(size).fill(i + 1);
      },
    },
    Forever: {
      kind: "server_stream",
      async *handle(_request, call) {
        for (let i = 0;; i++) {
          yield new Uint8Array(100_000);
          if (call.signal.aborted) return;
        }
      },
    },
    Join: {
      kind: "bidi",
      async *handle(requests) {
        let all = "";
        for await (const request of requests) {
          all += new TextDecoder().decode(request);
          yield new TextEncoder().encode(all);
        }
      },
    },
  },
};

interface Foreign {
  unary(
    path: string,
    request: Uint8Array,
    options?: { metadata?: Record<string, string>; deadline?: number },
  ): Promise<Uint8Array>;
  stream(path: string): grpc.ClientReadableStream<Uint8Array>;
  readonly client: grpc.Client;
}

function foreignClient(address: string, options: grpc.ChannelOptions = {}): Foreign {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), options);
  const identity = (b: Buffer): Uint8Array => b;
  return {
    client,
    unary(path, request, { metadata = {}, deadline } = {}) {
      const m = new grpc.Metadata();
      for (const [name, value] of Object.entries(metadata)) m.set(name, value);
      return new Promise((resolve, reject) =>
        client.makeUnaryRequest(
          path,
          toBuffer,
          identity,
          request,
          m,
          deadline === undefined ? {} : { deadline },
          (error, response) => error === null ? resolve(response!) : reject(error),
        )
      );
    },
    stream: (path) => client.makeServerStreamRequest(path, toBuffer, identity, new Uint8Array(0)),
  };
}

async function withOurs(
  work: (foreign: Foreign, address: string) => Promise<void>,
  options: grpc.ChannelOptions = {},
): Promise<void> {
  const server = await serveRpc({ address: "127.0.0.1:0", services: [service] });
  const foreign = foreignClient(server.address, {
    "grpc.max_receive_message_length": -1,
    ...options,
  });
  try {
    await work(foreign, server.address);
  } finally {
    foreign.client.close();
    await server.stop(0);
  }
}

networkTest("grpc-js asks our server: sizes, errors, metadata, deadlines", async () => {
  await withOurs(async (foreign) => {
    const random = new Random(1);
    for (const size of [0, 10, 100_000, 2_000_000]) {
      const request = Uint8Array.from({ length: size }, () => random.below(256));
      assert.deepEqual(Uint8Array.from(await foreign.unary("/test.T/Echo", request)), request);
    }
    await assert.rejects(
      foreign.unary("/test.T/Echo", new Uint8Array(1), {
        metadata: { fail: "plain" },
      }),
      { code: grpc.status.ALREADY_EXISTS, details: "plain" },
    );
    await assert.rejects(foreign.unary("/test.T/Nope", new Uint8Array(0)), {
      code: grpc.status.UNIMPLEMENTED,
      details: "unknown method Nope for service test.T",
    });
    await assert.rejects(foreign.unary("/other.S/Nope", new Uint8Array(0)), {
      code: grpc.status.UNIMPLEMENTED,
      details: "unknown service other.S",
    });
    const sizes: number[] = [];
    for await (const m of foreign.stream("/test.T/Sizes")) {
      const message = m as Uint8Array;
      assert.ok(message.every((b) => b === sizes.length + 1));
      sizes.push(message.length);
    }
    assert.deepEqual(sizes, SIZES);
  });
});

networkTest("grpc-js cancels calls on our server and goes on", async () => {
  await withOurs(async (foreign) => {
    for (let i = 0; i < 20; i++) {
      const stream = foreign.stream("/test.T/Forever");
      await new Promise<void>((resolve) => {
        stream.on("data", () => stream.cancel());
        stream.on("error", (e: grpc.ServiceError) => {
          assert.equal(e.code, grpc.status.CANCELLED);
          resolve();
        });
      });
    }
    assert.deepEqual(
      Uint8Array.from(await foreign.unary("/test.T/Echo", Uint8Array.of(1))),
      Uint8Array.of(1),
    );
  });
});

networkTest("grpc-js streams in both directions through our server", async () => {
  await withOurs(async ({ client }) => {
    const call = client.makeBidiStreamRequest<Uint8Array, Uint8Array>(
      "/test.T/Join",
      toBuffer,
      (b) => b,
    );
    const answers: string[] = [];
    for (const text of ["a", "b", "c"]) call.write(new TextEncoder().encode(text));
    call.end();
    await new Promise<void>((resolve, reject) => {
      call.on("data", (m: Uint8Array) => answers.push(new TextDecoder().decode(m)));
      call.on("end", resolve);
      call.on("error", reject);
    });
    assert.deepEqual(answers, ["a", "ab", "abc"]);
  });
});

for (const [algorithm, name] of [[1, "deflate"], [2, "gzip"]] as const) {
  networkTest(`our server reads requests that grpc-js compressed with ${name}`, async () => {
    await withOurs(async (foreign) => {
      const request = new TextEncoder().encode("compressible ".repeat(10_000));
      const answer = await foreign.unary("/test.T/Echo", request);
      assert.deepEqual(Uint8Array.from(answer), request);
    }, { "grpc.default_compression_algorithm": algorithm });
  });
}

networkTest("our client asks grpc-js: sizes, errors, deadlines, cancellation", async () => {
  const server = new grpc.Server();
  const definition = (name: string, responseStream: boolean) => ({
    path: `/test.T/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: toBuffer,
    requestDeserialize: (b: Buffer): Uint8Array => b,
    responseSerialize: toBuffer,
    responseDeserialize: (b: Buffer): Uint8Array => b,
  });
  server.addService(
    {
      Echo: definition("Echo", false),
      Sizes: definition("Sizes", true),
      Hang: definition("Hang", true),
    },
    {
      Echo(
        call: grpc.ServerUnaryCall<Uint8Array, Uint8Array>,
        callback: grpc.sendUnaryData<Uint8Array>,
      ) {
        const fail = call.metadata.get("fail")[0];
        if (fail === undefined) callback(null, call.request);
        else callback({ code: Number(fail), details: "no € 100%" }, null);
      },
      Sizes(call: grpc.ServerWritableStream<Uint8Array, Uint8Array>) {
        for (const [i, size] of SIZES.entries()) call.write(new Uint8Array(size).fill(i + 1));
        call.end();
      },
      Hang(call: grpc.ServerWritableStream<Uint8Array, Uint8Array>) {
        call.write(Uint8Array.of(1));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(
      "127.0.0.1:0",
      grpc.ServerCredentials.createInsecure(),
      (error, port) => error === null ? resolve(port) : reject(error),
    )
  );
  const client = connectRpc(`127.0.0.1:${port}`);
  try {
    const large = new Uint8Array(3_000_000).fill(7);
    assert.deepEqual(await client.unary("/test.T/Echo", large), large);
    await assert.rejects(
      client.unary("/test.T/Echo", new Uint8Array(0), { metadata: { fail: "5" } }),
      (e: unknown) => e instanceof RpcError && e.kind === "not_found" && e.details === "no € 100%",
    );
    const sizes: number[] = [];
    for await (const messages of client.stream("/test.T/Sizes", new Uint8Array(0))) {
      for (const m of messages) {
        assert.ok(m.every((b) => b === sizes.length + 1));
        sizes.push(m.length);
      }
    }
    assert.deepEqual(sizes, SIZES);
    await assert.rejects(async () => {
      const options = { timeoutMs: 100 };
      for await (const _ of client.stream("/test.T/Hang", new Uint8Array(0), options));
    }, { kind: "timeout" });
    for await (const _ of client.stream("/test.T/Hang", new Uint8Array(0))) break;
    await assert.rejects(client.unary("/test.T/Nope", new Uint8Array(0)), /Unimplemented/);
  } finally {
    client.close();
    server.forceShutdown();
  }
});

networkTest("our server survives many callers that cancel, time out and vanish", async () => {
  const server = await serveRpc({ address: "127.0.0.1:0", services: [service] });
  const random = new Random(77);
  let answered = 0;
  const caller = async () => {
    for (let round = 0; round < 6; round++) {
      const client = connectRpc(server.address);
      for (let i = 0; i < 8; i++) {
        const kind = random.below(4);
        const abort = new AbortController();
        try {
          if (kind === 0) {
            await client.unary("/test.T/Echo", new Uint8Array(random.below(50_000)));
            answered++;
          } else if (kind === 1) {
            for await (const _ of client.stream("/test.T/Forever", new Uint8Array(0))) break;
          } else if (kind === 2) {
            const options = { timeoutMs: random.between(1, 15) };
            for await (const _ of client.stream("/test.T/Forever", new Uint8Array(0), options));
          } else {
            setTimeout(() => abort.abort(), random.below(10));
            const options = { signal: abort.signal };
            for await (const _ of client.stream("/test.T/Forever", new Uint8Array(0), options));
          }
        } catch (error) {
          assert.ok(error instanceof MnemeError, String(error));
          assert.ok(["timeout", "canceled"].includes(error.kind), error.message);
        }
      }
      client.close();
    }
  };
  await Promise.all(Array.from({ length: 10 }, caller));
  assert.ok(answered > 50);
  const client = connectRpc(server.address);
  assert.deepEqual([...await client.unary("/test.T/Echo", Uint8Array.of(5))], [5]);
  client.close();
  await server.stop(1000);
});
