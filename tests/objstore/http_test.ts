/** What stands between a bucket and its server: TLS, proxies, credentials from outside. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import type { Duplex } from "node:stream";
import { errorMessage } from "../../lib/base/mod.ts";
import { type Bucket, openBucket } from "../../lib/objstore/mod.ts";
import { isOnPath } from "../../lib/runtime/mod.ts";

const portOf = (server: net.Server) => (server.address() as net.AddressInfo).port;
const listen = (server: net.Server) =>
  new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
async function close(server: http.Server | https.Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

function document(endpoint: string, config: Record<string, unknown> = {}): string {
  const keys = { access_key: "key", secret_key: "secret" };
  return JSON.stringify({ type: "S3", config: { bucket: "bkt", endpoint, ...keys, ...config } });
}

/** Opens, reads one object, closes; the content or the error's message. */
async function read(
  text: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  let bucket: Bucket | undefined;
  try {
    bucket = await openBucket(text, {
      env: (name) => env[name],
      retries: { attempts: 1, base: 1, max: 1 },
    });
    return new TextDecoder().decode(await bucket.get("o"));
  } catch (error) {
    return errorMessage(error);
  } finally {
    await bucket?.close();
  }
}

/** Certificates of a small authority, made with openssl. */
async function certificates(): Promise<string | undefined> {
  if (!isOnPath("openssl")) {
    console.log("skipped: openssl is not on PATH");
    return undefined;
  }
  const folder = await Deno.makeTempDir({ prefix: "mneme-tls-" });
  const openssl = async (...args: string[]) => {
    const { success, stderr } = await new Deno.Command("openssl", {
      args,
      cwd: folder,
      stderr: "piped",
      stdout: "null",
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca");
  for (const [name, alt] of [["server", "DNS:s3.test"], ["client", "DNS:client"]] as const) {
    const extensions = ["-addext", `subjectAltName=${alt}`];
    await openssl(
      "req",
      ...["-x509", "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"],
      ...key,
      ...["-keyout", `${name}.key`, "-out", `${name}.pem`, "-subj", `/CN=${name}`],
      ...extensions,
    );
  }
  return folder;
}

Deno.test({
  name: "S3 over TLS: authority, name, client certificate and skipping of checks as configured",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const folder = await certificates();
    if (folder === undefined) return;
    const file = (name: string) => Deno.readTextFileSync(`${folder}/${name}`);
    const server = https.createServer({
      key: file("server.key"),
      cert: file("server.pem"),
      ca: file("ca.pem"),
      requestCert: true,
      rejectUnauthorized: false,
    }, (request, response) => {
      const { authorized } = request.socket as unknown as { authorized: boolean };
      response.end(authorized ? "with certificate" : "without certificate");
    });
    await listen(server);
    const endpoint = `127.0.0.1:${portOf(server)}`;
    const ask = (tls_config: Record<string, unknown>, more: Record<string, unknown> = {}) =>
      read(document(endpoint, { http_config: { tls_config, ...more } }));
    const ca_file = `${folder}/ca.pem`;
    const server_name = "s3.test";
    try {
      assert.match(
        await ask({}),
        /Cannot read object o in bucket bkt: .*certificate|UnknownIssuer/i,
      );
      assert.match(await ask({ ca_file }), /Cannot read object o in bucket bkt/);
      assert.equal(await ask({ ca_file, server_name }), "without certificate");
      assert.match(await ask({ ca_file, server_name: "other.test" }), /Cannot read object o/);
      assert.equal(await ask({ insecure_skip_verify: true }), "without certificate");
      assert.equal(await ask({}, { insecure_skip_verify: true }), "without certificate");
      const pair = { cert_file: `${folder}/client.pem`, key_file: `${folder}/client.key` };
      assert.equal(await ask({ ca_file, server_name, ...pair }), "with certificate");
      assert.match(
        await ask({ ca_file, cert_file: pair.cert_file }),
        /^create S3 client: http_config\.tls_config: cert_file is given without key_file/,
      );
      assert.match(await ask({ ca_file: "/nowhere.pem" }), /Cannot read \/nowhere\.pem/);
    } finally {
      await close(server);
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "S3 through the proxy of the environment, plain and tunnelled",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const folder = await certificates();
    if (folder === undefined) return;
    const file = (name: string) => Deno.readTextFileSync(`${folder}/${name}`);
    const secure = https.createServer(
      { key: file("server.key"), cert: file("server.pem") },
      (_request, response) => response.end("through the tunnel"),
    );
    await listen(secure);
    const seen: string[] = [];
    const proxy = http.createServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers["proxy-authorization"]}`);
      response.end("from the proxy");
    });
    proxy.on("connect", (request: http.IncomingMessage, socket: Duplex, head: Uint8Array) => {
      seen.push(`CONNECT ${request.url} ${request.headers["proxy-authorization"]}`);
      const onward = net.connect(portOf(secure), "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        onward.write(head);
        onward.pipe(socket).pipe(onward);
      });
      onward.on("error", () => socket.destroy());
      socket.on("error", () => onward.destroy());
    });
    await listen(proxy);
    const url = `http://user:pass@127.0.0.1:${portOf(proxy)}`;
    const login = `Basic ${Buffer.from("user:pass").toString("base64")}`;
    try {
      const plain = document("s3.test:9000", { insecure: true });
      assert.equal(await read(plain, { HTTP_PROXY: url }), "from the proxy");
      assert.match(seen.pop()!, new RegExp(`^GET http://s3\\.test:9000/bkt/o\\S* ${login}$`));
      const http_config = { tls_config: { ca_file: `${folder}/ca.pem` } };
      const tunnelled = document("s3.test:9443", { http_config });
      assert.equal(await read(tunnelled, { https_proxy: url }), "through the tunnel");
      assert.equal(seen.pop(), `CONNECT s3.test:9443 ${login}`);
      // Exceptions go straight to the host, which is nobody's.
      for (const NO_PROXY of ["*", "s3.test", ".test", "s3.test:9000", "a, s3.test"]) {
        const message = await read(plain, { HTTP_PROXY: url, NO_PROXY });
        assert.match(message, /Cannot read object o/, NO_PROXY);
      }
      assert.equal(await read(plain, { HTTP_PROXY: url, NO_PROXY: "3.test" }), "from the proxy");
      seen.length = 0;
      assert.match(await read(plain, { HTTP_PROXY: "socks5://x" }), /no http:\/\/ URL/);
      assert.deepEqual(seen, []);
    } finally {
      await close(proxy);
      await close(secure);
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "S3 credentials come from the environment, a file, or a web identity",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "mneme-credentials-" });
    const seen: string[] = [];
    // Answers as S3 and, for posts, as STS.
    const server = http.createServer((request, response) => {
      const credential = /Credential=([^/]+)\//.exec(request.headers.authorization ?? "")?.[1];
      if (request.method !== "POST") {
        const token = request.headers["x-amz-security-token"] ?? "none";
        seen.push(`${credential ?? "unsigned"} ${token}`);
        response.end("content");
        return;
      }
      let body = "";
      request.on("data", (piece) => body += piece);
      request.on("end", () => {
        const form = new URLSearchParams(body);
        seen.push(`${form.get("Action")} ${form.get("RoleArn")} ${form.get("WebIdentityToken")}`);
        response.setHeader("content-type", "text/xml");
        response.end(
          `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
          <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>from-sts</AccessKeyId>
          <SecretAccessKey>s</SecretAccessKey><SessionToken>session</SessionToken>
          <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
          </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
        );
      });
    });
    await listen(server);
    const endpoint = `127.0.0.1:${portOf(server)}`;
    await Deno.writeTextFile(`${folder}/token`, "the-token");
    await Deno.writeTextFile(
      `${folder}/credentials`,
      "[default]\naws_access_key_id = from-file\naws_secret_access_key = s\n" +
        "[other]\naws_access_key_id = from-profile\naws_secret_access_key = s\n",
    );
    // The SDK reads the environment of its process: each case gets one of its own.
    const mod = new URL("../../lib/objstore/mod.ts", import.meta.url).href;
    const run = async (env: Record<string, string>, config: Record<string, unknown> = {}) => {
      seen.length = 0;
      const text = JSON.stringify({
        type: "S3",
        config: { bucket: "bkt", endpoint, insecure: true, ...config },
      });
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "eval",
          `import { openBucket } from ${JSON.stringify(mod)};
           const bucket = await openBucket(${JSON.stringify(text)});
           await bucket.get("o"); await bucket.close();`,
        ],
        clearEnv: true,
        env: {
          HOME: folder,
          PATH: Deno.env.get("PATH")!,
          DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
          AWS_EC2_METADATA_DISABLED: "true",
          ...env,
        },
        cwd: new URL("../..", import.meta.url).pathname,
        stderr: "piped",
        stdout: "piped",
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      return [...seen];
    };
    const AWS_SHARED_CREDENTIALS_FILE = `${folder}/credentials`;
    const AWS_ACCESS_KEY_ID = "from-env";
    const AWS_SECRET_ACCESS_KEY = "s";
    try {
      assert.deepEqual(await run({}), ["unsigned none"]);
      assert.deepEqual(
        await run({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN: "t" }),
        ["from-env t"],
      );
      assert.deepEqual(await run({ AWS_SHARED_CREDENTIALS_FILE }), ["from-file none"]);
      assert.deepEqual(
        await run({ AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE: "other" }),
        ["from-profile none"],
      );
      assert.deepEqual(
        await run({
          AWS_WEB_IDENTITY_TOKEN_FILE: `${folder}/token`,
          AWS_ROLE_ARN: "arn:aws:iam::1:role/r",
        }, { sts_endpoint: `http://${endpoint}` }),
        ["AssumeRoleWithWebIdentity arn:aws:iam::1:role/r the-token", "from-sts session"],
      );
      assert.deepEqual(
        await run({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }, {
          access_key: "from-config",
          secret_key: "s",
        }),
        ["from-config none"],
      );
      assert.deepEqual(
        await run({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }, { aws_sdk_auth: true }),
        ["from-env none"],
      );
    } finally {
      await close(server);
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "S3 uploads carry metadata, storage class, checksum and encryption as configured",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "mneme-sse-" });
    const seen: { method: string; headers: http.IncomingHttpHeaders }[] = [];
    const server = http.createServer((request, response) => {
      seen.push({ method: request.method!, headers: request.headers });
      request.resume();
      request.on("end", () => response.end("content"));
    });
    await listen(server);
    const endpoint = `127.0.0.1:${portOf(server)}`;
    const headersOf = async (config: Record<string, unknown>) => {
      const bucket = await openBucket(document(endpoint, { insecure: true, ...config }));
      seen.length = 0;
      await bucket.upload("o", new TextEncoder().encode("content"));
      await bucket.get("o");
      await bucket.attributes("o");
      await bucket.close();
      return seen.map((request) => request.headers);
    };
    try {
      const put_user_metadata = { team: "a", "x-amz-storage-class": "STANDARD_IA" };
      const [plain] = await headersOf({ put_user_metadata });
      assert.equal(plain!["x-amz-meta-team"], "a");
      assert.equal(plain!["x-amz-storage-class"], "STANDARD_IA");
      assert.equal(plain!["content-md5"], "mgNkuembtIDdJeHwKEyFVQ==");
      assert.equal(plain!["x-amz-meta-x-amz-storage-class"], undefined);
      assert.match(String(plain!["user-agent"]), /mneme/);
      const [unsummed] = await headersOf({ send_content_md5: false });
      assert.equal(unsummed!["content-md5"], undefined);
      const [s3] = await headersOf({ sse_config: { type: "SSE-S3" } });
      assert.equal(s3!["x-amz-server-side-encryption"], "AES256");
      const kms = { type: "SSE-KMS", kms_key_id: "k", kms_encryption_context: { a: "b" } };
      const [managed] = await headersOf({ sse_config: kms });
      assert.equal(managed!["x-amz-server-side-encryption"], "aws:kms");
      assert.equal(managed!["x-amz-server-side-encryption-aws-kms-key-id"], "k");
      assert.equal(
        atob(String(managed!["x-amz-server-side-encryption-context"])),
        '{"a":"b"}',
      );
      await Deno.writeFile(`${folder}/key`, new Uint8Array(32).fill(7));
      const customer = { type: "SSE-C", encryption_key: `${folder}/key` };
      for (const headers of await headersOf({ sse_config: customer })) {
        assert.equal(headers["x-amz-server-side-encryption-customer-algorithm"], "AES256");
        const key = headers["x-amz-server-side-encryption-customer-key"];
        assert.equal(key, Buffer.alloc(32, 7).toString("base64"));
      }
      await Deno.writeFile(`${folder}/key`, new Uint8Array(31));
      assert.match(
        await read(document(endpoint, { sse_config: customer })),
        /has 31 bytes, a key has 32/,
      );
    } finally {
      await close(server);
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "S3 adopts the region that a server wants",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const regions: string[] = [];
    const server = http.createServer((request, response) => {
      const region = /Credential=[^/]+\/\d+\/([^/]+)\//.exec(request.headers.authorization!)![1]!;
      regions.push(region);
      request.resume();
      if (region === "eu-north-1") {
        response.end("content");
        return;
      }
      response.writeHead(400, { "content-type": "application/xml" });
      response.end(
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong region</Message>" +
          "<Region>eu-north-1</Region></Error>",
      );
    });
    await listen(server);
    const endpoint = `127.0.0.1:${portOf(server)}`;
    try {
      const bucket = await openBucket(document(endpoint, { insecure: true }));
      assert.equal(new TextDecoder().decode(await bucket.get("o")), "content");
      await bucket.get("o");
      await bucket.close();
      assert.deepEqual(regions, ["us-east-1", "eu-north-1", "eu-north-1"]);
    } finally {
      await close(server);
    }
  },
});
