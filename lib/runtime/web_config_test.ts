/** `--http.config` on a real port: TLS, client certificates, passwords, headers, and changes of them. */
import assert from "node:assert/strict";
import * as https from "node:https";
import * as tls from "node:tls";
import { hashSync } from "bcryptjs";
import { errorMessage } from "../base/mod.ts";
import { createLogger, silentLogger } from "../telemetry/mod.ts";
import { BasicAuth } from "./basic_auth.ts";
import { isOnPath } from "./child_process.ts";
import { HttpServer, type HttpServerOptions } from "./http_server.ts";
import { WebConfigFile } from "./web_config.ts";

async function serving(
  folder: string,
  document: string,
  run: (port: number, server: HttpServer) => Promise<void>,
  more: Partial<HttpServerOptions> = {},
): Promise<void> {
  await Deno.writeTextFile(`${folder}/web.yml`, document);
  const server = new HttpServer({
    address: { hostname: "127.0.0.1", port: 0 },
    handle: () => new Response("ok"),
    gracePeriod: 0,
    logger: silentLogger,
    web: new WebConfigFile(`${folder}/web.yml`),
    ...more,
  });
  await server.start();
  const controller = new AbortController();
  const done = server.run(controller.signal);
  try {
    await run(server.address.port, server);
  } finally {
    controller.abort();
    await done;
  }
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-web-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const basic = (user: string, password: string) => ({
  authorization: `Basic ${new TextEncoder().encode(`${user}:${password}`).toBase64()}`,
});

async function ask(port: number, headers: Record<string, string> = {}): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { headers });
  await answer.body?.cancel();
  return answer.status;
}

Deno.test("--http.config asks for passwords, on every path, and follows the file", async () => {
  await inFolder(async (folder) => {
    const users = (name: string, password: string) =>
      `basic_auth_users:\n  ${name}: ${hashSync(password, 10)}\n` +
      "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    const logs: string[] = [];
    const logger = createLogger({ level: "debug", format: "logfmt", sink: (l) => logs.push(l) });
    await serving(folder, users("alice", "wonderland-canary"), async (port) => {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get("www-authenticate"), "Basic");
      assert.equal(answer.headers.get("x-frame-options"), "deny");
      assert.equal(await answer.text(), "Unauthorized\n");
      assert.equal(await ask(port, basic("alice", "wonderland-canary")), 200);
      assert.equal(await ask(port, basic("alice", "wonderland-canary")), 200);
      assert.equal(await ask(port, basic("alice", "wrong")), 401);
      assert.equal(await ask(port, basic("bob", "wonderland-canary")), 401);
      assert.equal(await ask(port, { authorization: "Basic !!!" }), 401);
      assert.equal(await ask(port, { authorization: "Bearer x" }), 401);

      await Deno.writeTextFile(`${folder}/web.yml`, users("bob", "builder"));
      await Deno.utime(`${folder}/web.yml`, 1, 1);
      assert.equal(await ask(port, basic("bob", "builder")), 200);
      assert.equal(await ask(port, basic("alice", "wonderland-canary")), 401);
      await Deno.writeTextFile(`${folder}/web.yml`, "basic_auth_users: [\n");
      await Deno.utime(`${folder}/web.yml`, 2, 2);
      assert.equal(await ask(port, basic("bob", "builder")), 500);
      assert.ok(!logs.join().includes("canary"));
    }, { logger });
  });
});

Deno.test("BasicAuth hashes for unknown users too, remembers, and slows down guessing", async () => {
  const compared: string[] = [];
  let now = 5_000;
  const auth = new BasicAuth((password, hash) => {
    compared.push(hash);
    return Promise.resolve(password === "right");
  }, () => now);
  const users = new Map([["alice", "hash-a"]]);
  const check = (user: string, password: string, from = "10.0.0.1") =>
    auth.check(basic(user, password).authorization, users, from);
  assert.equal(await check("alice", "right"), "ok");
  assert.equal(await check("alice", "right"), "ok");
  assert.deepEqual(compared, ["hash-a"]);
  // A password that fits the stand-in's hash does not make anybody a user.
  assert.equal(await check("mallory", "right"), "denied");
  assert.equal(compared.length, 2);
  assert.notEqual(compared[1], "hash-a");
  for (let i = 0; i < 4; i++) assert.equal(await check("alice", `guess ${i}`), "denied");
  const before = compared.length;
  assert.equal(await check("alice", "guess 5"), "slow_down");
  assert.equal(compared.length, before);
  assert.equal(await check("alice", "right"), "ok");
  assert.equal(await check("alice", "guess 6", "10.0.0.2"), "denied");
  now += 1000;
  assert.equal(await check("alice", "guess 5"), "denied");
  for (const header of [undefined, "", "Basic", "Basic x", `Basic ${"A".repeat(2000)}`]) {
    assert.equal(await auth.check(header, users, "10.0.0.9"), "denied");
  }
});

Deno.test("--http.config limits the rate of requests", async () => {
  await inFolder(async (folder) => {
    await serving(folder, "rate_limit: {burst: 2, interval: 1h}\n", async (port) => {
      const statuses = [await ask(port), await ask(port), await ask(port)];
      assert.deepEqual(statuses, [200, 200, 429]);
    });
  });
});

Deno.test("--http.config serves TLS, checks client certificates, and rotates its own", async () => {
  if (!isOnPath("openssl")) {
    console.log("skipped: openssl is not on PATH");
    return;
  }
  await inFolder(async (folder) => {
    const make = async (name: string) => {
      const { success } = await new Deno.Command("openssl", {
        args: [
          ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
          ...["-keyout", `${name}.key`, "-out", `${name}.pem`, "-subj", `/CN=${name}`],
          ...["-addext", `subjectAltName=IP:127.0.0.1,DNS:${name}.test`],
        ],
        cwd: folder,
        stderr: "null",
        stdout: "null",
      }).output();
      assert.ok(success);
    };
    for (const name of ["server", "next", "client"]) await make(name);
    const file = (name: string) => Deno.readTextFileSync(`${folder}/${name}`);
    const get = (port: number, options: https.RequestOptions = {}) =>
      new Promise<string>((resolve) => {
        const request = https.get(
          {
            host: "127.0.0.1",
            port,
            path: "/",
            ca: [file("server.pem"), file("next.pem")],
            agent: false,
            ...options,
          },
          (answer) => {
            answer.resume();
            answer.once("end", () => resolve(String(answer.statusCode)));
          },
        );
        request.on("error", () => resolve("refused"));
      });
    const pair = "cert_file: server.pem\n  key_file: server.key\n";
    const client = { cert: file("client.pem"), key: file("client.key") };
    const other = { cert: file("server.pem"), key: file("server.key") };

    await serving(folder, `tls_server_config:\n  ${pair}`, async (port) => {
      assert.equal(await get(port), "200");
      assert.equal(await get(port, { ca: file("client.pem") }), "refused");
      assert.equal(await get(port, { maxVersion: "TLSv1.2" }), "200");
      await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
    });
    await serving(
      folder,
      `tls_server_config:\n  ${pair}  min_version: TLS13\n`,
      async (port) => {
        assert.equal(await get(port, { maxVersion: "TLSv1.2" }), "refused");
        assert.equal(await get(port), "200");
      },
    );
    const mutual = (mode: string, more = "") =>
      `tls_server_config:\n  ${pair}  client_auth_type: ${mode}\n  client_ca_file: client.pem\n${more}`;
    const rows: [string, string, string, string, string][] = [
      // mode, further lines, without certificate, with the right one, with another one
      ["RequireAndVerifyClientCert", "", "refused", "200", "refused"],
      ["VerifyClientCertIfGiven", "", "200", "200", "refused"],
      ["RequireAnyClientCert", "", "refused", "200", "200"],
      ["RequestClientCert", "", "200", "200", "200"],
      [
        "RequireAndVerifyClientCert",
        "  client_allowed_sans: [client.test]\n",
        "refused",
        "200",
        "refused",
      ],
      [
        "RequireAndVerifyClientCert",
        "  client_allowed_sans: [other.test]\n",
        "refused",
        "refused",
        "refused",
      ],
    ];
    for (const [mode, more, none, right, wrong] of rows) {
      await serving(folder, mutual(mode, more), async (port) => {
        const what = `${mode} ${more}`;
        assert.equal(await get(port), none, what);
        assert.equal(await get(port, client), right, what);
        assert.equal(await get(port, other), wrong, what);
      });
    }

    await serving(folder, `tls_server_config:\n  ${pair}`, async (port) => {
      const subject = () =>
        new Promise<string>((resolve, reject) => {
          const socket = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
            resolve(String(socket.getPeerCertificate().subject.CN));
            socket.destroy();
          });
          socket.on("error", reject);
        });
      assert.equal(await subject(), "server");
      await Deno.copyFile(`${folder}/next.pem`, `${folder}/server.pem`);
      await Deno.copyFile(`${folder}/next.key`, `${folder}/server.key`);
      const end = Date.now() + 20_000;
      while (await subject() !== "next") {
        assert.ok(Date.now() < end, "the new certificate is not served");
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }, { certificateCheck: 50 });
  });
});

Deno.test("--http.config says in one line what is wrong", async () => {
  await inFolder(async (folder) => {
    const hash = hashSync("x", 4);
    const rows: [string, RegExp][] = [
      ["tls_server_config: {cert_file: a}", /cert_file: Cannot read .*\/a/],
      ["tls_server_config: {key: x}", /key holds no PEM block/],
      ["tls_server_config: {client_auth_type: Maybe}", /one of .*NoClientCert/],
      ["tls_server_config: {client_auth_type: NoClientCert}", /missing one of cert or cert_file/],
      ["basic_auth_users: {a: secret}", /password of user "a" is no bcrypt hash/],
      [`basic_auth_users: {a: "${hash}"}`, /hashed with cost 4, use 10 to 15/],
      ["http_server_config: {headers: {Server: x}}", /header "Server" cannot be set/],
      ["http_server_config: {headers: {X-Frame-Options: maybe}}", /X-Frame-Options cannot be/],
      ["basic_auth_user: {}", /basic_auth_user: unknown key, did you mean 'basic_auth_users'/],
      ["rate_limit: {interval: soon}", /rate_limit\.interval/],
    ];
    for (const [text, expected] of rows) {
      await Deno.writeTextFile(`${folder}/web.yml`, text);
      assert.throws(() => new WebConfigFile(`${folder}/web.yml`), (error: unknown) => {
        assert.match(errorMessage(error), expected, text);
        assert.match(errorMessage(error), /^--http\.config: /);
        assert.ok(!errorMessage(error).includes("\n"));
        return true;
      });
    }
    assert.throws(() => new WebConfigFile(`${folder}/none.yml`), /Cannot read .*none\.yml/);
    await Deno.writeTextFile(`${folder}/web.yml`, "");
    assert.equal(new WebConfigFile(`${folder}/web.yml`).current().tls, undefined);
    await Deno.writeTextFile(
      `${folder}/web.yml`,
      "tls_server_config: {cipher_suites: [A], curve_preferences: [B]}",
    );
    assert.deepEqual(
      new WebConfigFile(`${folder}/web.yml`).current().ineffective.map((t) => t.split(" has")[0]),
      ["tls_server_config.cipher_suites", "tls_server_config.curve_preferences"],
    );
  });
});
