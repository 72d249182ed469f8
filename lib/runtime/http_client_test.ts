import assert from "node:assert/strict";
import * as https from "node:https";
import { isOnPath } from "./child_process.ts";
import { httpClient } from "./http_client.ts";

async function withServer(run: (url: string, seen: (string | null)[]) => Promise<void>) {
  const seen: (string | null)[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      seen.push(request.headers.get("authorization"));
      return new Response("ok");
    },
  );
  await run(`http://127.0.0.1:${server.addr.port}/`, seen);
}

async function ask(document: string, url: string): Promise<void> {
  const client = httpClient(document, "--c");
  const answer = await client.fetch(url, { headers: await client.headers() });
  await answer.body?.cancel();
}

Deno.test({
  name: "httpClient() authorizes each request with the secret of the moment",
  // Clients keep connections open for the next request.
  sanitizeResources: false,
  fn: () =>
    withServer(async (url, seen) => {
      const file = await Deno.makeTempFile();
      try {
        await ask("", url);
        await ask("basic_auth: {username: ü, password: 'p:w'}", url);
        await ask("bearer_token: t", url);
        await Deno.writeTextFile(file, "first\n");
        const client = httpClient(`bearer_token_file: ${file}`, "--c");
        assert.deepEqual(await client.headers(), { authorization: "Bearer first" });
        await Deno.writeTextFile(file, "second\n");
        assert.deepEqual(await client.headers(), { authorization: "Bearer second" });
        await ask(`{basic_auth: {username: u, password_file: ${file}}, unknown: 1}`, url);
        assert.deepEqual(seen, [
          null,
          `Basic ${new TextEncoder().encode("ü:p:w").toBase64()}`,
          "Bearer t",
          `Basic ${btoa("u:second")}`,
        ]);
      } finally {
        await Deno.remove(file);
      }
    }),
});

Deno.test("httpClient() refuses what it cannot keep", () => {
  const cases: [string, RegExp][] = [
    ["{basic_auth: {username: u}, bearer_token: t}", /^--c: at most one of basic_auth/],
    ["basic_auth: {password: a, password_file: b}", /at most one of basic_auth password/],
    ["tls_config: {insecure_skip_verify: true}", /insecure_skip_verify is not supported/],
    ["tls_config: {server_name: x}", /server_name is not supported/],
    ["tls_config: {cert_file: x}", /must be given together/],
    ["tls_config: {ca_file: /no/such/file}", /Cannot read \/no\/such\/file/],
    ["basic_auth: [", /--c/],
  ];
  for (const [document, message] of cases) {
    assert.throws(() => httpClient(document, "--c"), { message });
  }
});

Deno.test({
  name: "httpClient() takes up certificate files that change",
  // The clients keep their connections.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    if (!isOnPath("openssl")) {
      console.log("skipped: openssl is not on PATH");
      return;
    }
    const folder = await Deno.makeTempDir({ prefix: "mneme-http-client-" });
    for (const name of ["first", "second"]) {
      const { success } = await new Deno.Command("openssl", {
        args: [
          ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
          ...["-keyout", `${name}.key`, "-out", `${name}.pem`, "-subj", `/CN=${name}`],
          ...["-addext", "subjectAltName=IP:127.0.0.1"],
          ...["-addext", "basicConstraints=critical,CA:FALSE"],
        ],
        cwd: folder,
        stderr: "null",
      }).output();
      assert.ok(success);
    }
    const pair = (name: string) => ({
      cert: Deno.readTextFileSync(`${folder}/${name}.pem`),
      key: Deno.readTextFileSync(`${folder}/${name}.key`),
    });
    const server = https.createServer(pair("first"), (_request, response) => {
      response.setHeader("connection", "close");
      response.end("ok");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const { port } = server.address() as { port: number };
    try {
      await Deno.copyFile(`${folder}/second.pem`, `${folder}/ca.pem`);
      const client = httpClient(`tls_config: {ca_file: ${folder}/ca.pem}`, "test");
      const ask = async () => await (await client.fetch(`https://127.0.0.1:${port}/`)).text();
      await assert.rejects(ask());
      await Deno.copyFile(`${folder}/first.pem`, `${folder}/ca.pem`);
      await Deno.utime(`${folder}/ca.pem`, 1, 1);
      assert.equal(await ask(), "ok");
      // A file that is away for a moment changes nothing.
      await Deno.remove(`${folder}/ca.pem`);
      assert.equal(await ask(), "ok");
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await Deno.remove(folder, { recursive: true });
    }
  },
});
