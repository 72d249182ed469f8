/** gRPC over TLS, with certificates made for the test. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { connectRpc } from "./client.ts";
import { openSocket } from "./h2/socket.ts";
import { serveRpc, type ServerTls } from "./server.ts";
import type { Service } from "./service.ts";

interface Pair {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
}

interface Certificates {
  readonly ca: Uint8Array;
  readonly otherCa: Uint8Array;
  readonly server: Pair;
  readonly client: Pair;
}

/** Makes two authorities and a pair for each side; undefined when openssl is not there. */
async function makeCertificates(): Promise<Certificates | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-tls-" });
  const openssl = async (...args: string[]) => {
    const output = await new Deno.Command("openssl", { args, cwd: folder, stderr: "piped" })
      .output();
    assert.ok(output.success, new TextDecoder().decode(output.stderr));
  };
  const authority = async (name: string) => {
    await openssl(
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-keyout", `${name}.key`, "-out", `${name}.crt`, "-days", "2", "-subj", `/CN=${name}`],
    );
    return await Deno.readFile(`${folder}/${name}.crt`);
  };
  const pair = async (name: string): Promise<Pair> => {
    await Deno.writeTextFile(`${folder}/san`, "subjectAltName=DNS:store.test,IP:127.0.0.1\n");
    await openssl(
      ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`],
    );
    await openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key"],
      ...["-CAcreateserial", "-out", `${name}.crt`, "-days", "2", "-extfile", "san"],
    );
    return {
      cert: await Deno.readFile(`${folder}/${name}.crt`),
      key: await Deno.readFile(`${folder}/${name}.key`),
    };
  };
  try {
    return {
      ca: await authority("ca"),
      otherCa: await authority("other"),
      server: await pair("server"),
      client: await pair("client"),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const service: Service = {
  name: "test.T",
  methods: {
    // deno-lint-ignore require-await
    Echo: { kind: "unary", handle: async (request) => request },
    Large: {
      kind: "server_stream",
      async *handle() {
        for (let i = 0; i < 50; i++) yield new Uint8Array(300_000).fill(i);
      },
    },
  },
};

async function withServer(tls: ServerTls, work: (address: string) => Promise<void>): Promise<void> {
  const server = await serveRpc({ address: "127.0.0.1:0", services: [service], tls });
  try {
    await work(server.address);
  } finally {
    await server.stop(0);
  }
}

Deno.test({
  name: "calls over TLS: trust, names, client certificates",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const certificates = await makeCertificates();
    if (certificates === undefined) {
      console.log("skipped: openssl is not there");
      return;
    }
    const { ca, otherCa, server, client } = certificates;
    const ask = async (address: string, tls: Parameters<typeof connectRpc>[1]) => {
      const connection = connectRpc(address, { attempts: 1, ...tls });
      try {
        return [
          ...await connection.unary("/test.T/Echo", Uint8Array.of(1, 2), { timeoutMs: 5000 }),
        ];
      } finally {
        connection.close();
      }
    };
    await withServer(server, async (address) => {
      assert.deepEqual(await ask(address, { tls: { ca } }), [1, 2]);
      assert.deepEqual(await ask(address, { tls: { ca, serverName: "store.test" } }), [1, 2]);
      assert.deepEqual(await ask(address, { tls: { skipVerify: true } }), [1, 2]);
      await assert.rejects(ask(address, { tls: { ca: otherCa } }), { kind: "unavailable" });
      await assert.rejects(ask(address, { tls: { ca, serverName: "elsewhere.test" } }), {
        kind: "unavailable",
      });
      await assert.rejects(ask(address, {}), { kind: "unavailable" }, "clear text");
      const connection = connectRpc(address, { tls: { ca } });
      let total = 0;
      for await (const messages of connection.stream("/test.T/Large", new Uint8Array(0))) {
        for (const m of messages) total += m.length;
      }
      assert.equal(total, 50 * 300_000);
      connection.close();
      // Another implementation of gRPC over TLS.
      const foreign = new grpc.Client(address, grpc.credentials.createSsl(Buffer.from(ca)), {
        "grpc.ssl_target_name_override": "store.test",
      });
      const answer = await new Promise<Uint8Array>((resolve, reject) =>
        foreign.makeUnaryRequest(
          "/test.T/Echo",
          (b: Uint8Array) => Buffer.from(b),
          (b: Buffer): Uint8Array => b,
          Uint8Array.of(9),
          (error, response) => error === null ? resolve(response!) : reject(error),
        )
      );
      assert.deepEqual([...answer], [9]);
      foreign.close();
    });
    await withServer({ ...server, clientCa: ca }, async (address) => {
      assert.deepEqual(await ask(address, { tls: { ca, ...client } }), [1, 2]);
      await assert.rejects(ask(address, { tls: { ca } }), { kind: "unavailable" });
    });
    // Rotation: connections made from now on see the new certificate.
    const next = (await makeCertificates())!;
    const rotating = await serveRpc({
      address: "127.0.0.1:0",
      services: [service],
      tls: server,
    });
    try {
      assert.deepEqual(await ask(rotating.address, { tls: { ca } }), [1, 2]);
      rotating.setTls(next.server);
      assert.deepEqual(await ask(rotating.address, { tls: { ca: next.ca } }), [1, 2]);
      await assert.rejects(ask(rotating.address, { tls: { ca } }), { kind: "unavailable" });
    } finally {
      await rotating.stop(0);
    }
  },
});

Deno.test({
  name: "peers that speak an old TLS alone are left, unless an older minimum is wished",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const certificates = await makeCertificates();
    if (certificates === undefined) {
      console.log("skipped: openssl is not there");
      return;
    }
    const { ca, server: { cert, key } } = certificates;
    const old = createServer({
      cert: Buffer.from(cert),
      key: Buffer.from(key),
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.2",
      ALPNProtocols: ["h2"],
    }, (socket) => socket.on("error", () => {}));
    old.on("tlsClientError", () => {});
    await new Promise<void>((done) => old.listen(0, "127.0.0.1", done));
    const address = `127.0.0.1:${(old.address() as { port: number }).port}`;
    for (const minVersion of [{}, { minVersion: "TLSv1.3" as const }]) {
      await assert.rejects(openSocket(address, { ca, ...minVersion }), (error: Error) => {
        assert.match(
          error.message,
          /it speaks nothing as new as TLSv1.3, the least that its client/,
        );
        return true;
      });
    }
    const socket = await openSocket(address, { ca, minVersion: "TLSv1.2" });
    socket.close();
    old.close();
  },
});
