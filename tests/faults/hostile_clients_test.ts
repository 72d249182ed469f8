/**
 * Hostile clients of the HTTP server (rows HS1 to HS7, HS13 and HS14 of the fault catalogue): raw
 * bytes on a socket, against the server alone with short limits and against a whole querier.
 */
import { strict as assert } from "node:assert";
import { HttpServer, type HttpServerOptions } from "../../lib/runtime/mod.ts";
import { silentLogger } from "../../lib/telemetry/mod.ts";
import { type Server, Stage, until } from "../mneme.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Sends bytes and reads until the server closes, or for `patience` ms. */
async function exchange(
  port: number,
  send: (conn: Deno.TcpConn) => Promise<unknown>,
  patience = 20_000,
): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const timer = setTimeout(() => conn.close(), patience);
  let text = "";
  try {
    const sending = send(conn).catch(() => {
      // The server has closed already; what it said is read below.
    });
    const piece = new Uint8Array(64 * 1024);
    for (;;) {
      const n = await conn.read(piece);
      if (n === null) break;
      text += new TextDecoder().decode(piece.subarray(0, n));
    }
    await sending;
  } catch (error) {
    if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
      return `${text}[still open]`;
    }
  } finally {
    clearTimeout(timer);
    try {
      conn.close();
    } catch {
      // Closed by the timer.
    }
  }
  return text;
}

const say = (port: number, text: string) =>
  exchange(port, (conn) => conn.write(encode(text)), 10_000);
const statusOf = (answer: string) => /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? answer.slice(0, 40);

async function serving(
  more: Partial<HttpServerOptions>,
  run: (port: number) => Promise<void>,
): Promise<void> {
  const server = new HttpServer({
    address: { hostname: "127.0.0.1", port: 0 },
    handle: async (request) => new Response(`${(await request.text()).length}`),
    gracePeriod: 0,
    logger: silentLogger,
    ...more,
  });
  await server.start();
  const controller = new AbortController();
  const done = server.run(controller.signal);
  try {
    await run(server.address.port);
  } finally {
    controller.abort();
    await done;
  }
}

async function healthy(port: number): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "abc" });
  assert.equal(await answer.text(), "3");
}

Deno.test("HS1: clients that hold back their headers are cut off", async () => {
  await serving({ limits: { headerTime: 300, requestTime: 2_000 } }, async (port) => {
    const beginnings = ["", "GET", "GET / HTTP/1.1\r\nHost: x\r\nA: "];
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => say(port, beginnings[i % 3]!)),
    );
    for (const answer of answers) {
      assert.ok(answer === "" || statusOf(answer) === "408", answer);
    }
    await healthy(port);
  });
});

Deno.test("HS1: connections beyond the limit are closed, and those within it served", async () => {
  await serving({ limits: { connections: 4 } }, async (port) => {
    const open: Deno.TcpConn[] = [];
    for (let i = 0; i < 4; i++) open.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    // A request proves that they were accepted, not only queued.
    for (const conn of open) {
      await conn.write(encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
      assert.ok(await conn.read(new Uint8Array(1000)) !== null);
    }
    assert.equal(await say(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "");
    for (const conn of open) conn.close();
    await until("room", async () => (await say(port, "GET / HTTP/1.0\r\n\r\n")) !== "");
  });
});

Deno.test("HS2: a body that trickles is cut off, whatever it pretends", async () => {
  await serving({ limits: { headerTime: 300, requestTime: 700 } }, async (port) => {
    let trickle: Promise<void> | undefined;
    const answer = await exchange(port, (conn) =>
      trickle = (async () => {
        await conn.write(encode("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"));
        for (let i = 0; i < 1000; i++) {
          await conn.write(encode("a"));
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      })());
    // The connection is closed: the next byte fails.
    await trickle?.catch(() => undefined);
    assert.ok(answer === "" || statusOf(answer) === "408", answer);
    await healthy(port);
  });
});

Deno.test("HS2: a client that does not take its answer is cut off", async () => {
  let failed = false;
  const endless = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(256 * 1024)),
        cancel: () => {
          failed = true;
        },
      }, { highWaterMark: 0 }),
    );
  await serving({ handle: endless, limits: { writeTime: 200 } }, async (port) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    await until("the end of the answer", () => failed);
    conn.close();
  });
});

Deno.test("HS3, HS4: requests that are no HTTP/1.1 are refused", async () => {
  await serving({}, async (port) => {
    const rows: [string, string, RegExp][] = [
      [`GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(2_000_000)}\r\n\r\n`, "2 MB", /^431$|^$/],
      ["GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", "NUL", /^400$/],
      ["GET / HTTP/1.1\r\n\r\n", "no Host", /^400$/],
      ["GET /\r\n\r\n", "HTTP/0.9", /^400$/],
      ["GET / HTTP/1.1\nHost: x\n\n", "bare LF", /^400$/],
      ["GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "folded header", /^400$/],
      ["GET / HTTP/1.1\r\nHost : x\r\n\r\n", "blank before the colon", /^400$/],
      ["GE T / HTTP/1.1\r\nHost: x\r\n\r\n", "blank in the method", /^400$/],
      ["GET http://[bad/ HTTP/1.1\r\nHost: x\r\n\r\n", "no URL", /^400$/],
      ["GET * HTTP/1.1\r\nHost: x\r\n\r\n", "asterisk", /^400$/],
      ["TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", "TRACE", /^400$/],
      ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", "negative length", /^400$/],
      ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n", "odd length", /^400$/],
      [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "two lengths",
        /^400$/,
      ],
      [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        "length and chunks",
        /^400$/,
      ],
      [
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "unknown transfer encoding",
        /^400$/,
      ],
      ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a TLS greeting", /^400$/],
      ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2", /^400$|^505$/],
    ];
    for (const [bytes, what, expected] of rows) {
      assert.match(statusOf(await say(port, bytes)), expected, what);
    }
    // More headers than anybody needs are cut, not kept.
    const many = Array.from({ length: 5_000 }, (_, i) => `H${i}: x\r\n`).join("");
    assert.match(
      statusOf(await say(port, `GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${many}\r\n`)),
      /^(?:200|431)$|^$/,
    );
    await healthy(port);
  });
});

const portOf = (server: Server) => Number(new URL(server.http).port);

Deno.test("HS5, HS6, HS7, HS13: no way into files, headers, labels and logs", async () => {
  await using stage = await Stage.open();
  const lines: string[] = [];
  const querier = await stage.mneme("query", [
    "--web.route-prefix=/mneme",
    "--request.logging-config=options: {level: DEBUG, decision: {log_start: true, log_end: true}}",
    "--log.level=debug",
  ]);
  const port = portOf(querier);
  const raw = (target: string, headers = "") =>
    say(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`);
  for (
    const path of [
      "/mneme/static/../../../etc/passwd",
      "/mneme/static/..%2f..%2f..%2fetc/passwd",
      "/mneme/static/%2e%2e/%2e%2e/etc/passwd",
      "/../../../etc/passwd",
      "/mneme//etc/passwd",
      "/mneme/static/....//etc/passwd",
      "/mneme/static/a\\..\\..\\etc\\passwd",
    ]
  ) {
    const answer = await raw(path);
    assert.ok(!answer.includes("root:"), path);
    assert.match(statusOf(answer), /^[34]\d\d$/, path);
    const to = /^location: (.*)$/im.exec(answer)?.[1] ?? "/";
    assert.ok(/^\/(?!\/)/.test(to.trim()), `${path} leads to ${to}`);
  }
  for (
    const path of ["/%0d%0aSet-Cookie:%20a=b", "/mneme/graph%0d%0aX-Evil:%201", "//evil.test/"]
  ) {
    const answer = await raw(path);
    assert.ok(!/^(?:set-cookie|x-evil):/im.test(answer), answer);
    assert.ok(!/^location:\s*(?:https?:)?\/\/evil/im.test(answer), answer);
  }
  for (let i = 0; i < 200; i++) {
    assert.equal(
      statusOf(await say(port, `M${i} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)),
      "400",
    );
  }
  for (const method of ["PROPFIND", "MKCOL", "PURGE"]) {
    await say(port, `${method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  }
  const forged = "\nts=2026-01-01T00:00:00Z level=error msg=forged\u001b[31m\u0085\u2028";
  for (const query of [forged, `vector(1)${forged}`, `{a="${forged}"}`]) {
    await (await fetch(`${querier.http}/mneme/api/v1/query?${new URLSearchParams({ query })}`))
      .text();
  }
  await raw("/mneme/api/v1/query?query=1", 'X-Request-Id: a" level=error msg="forged\r\n');
  await raw("/mneme/api/v1/query?query=1", "THANOS-TENANT: ../..\r\n");
  await raw("/mneme/api/v1/query?query=%0a%0dlevel=error%20msg=forged");
  const metrics = await (await fetch(`${querier.http}/metrics`)).text();
  const methods = new Set([...metrics.matchAll(/^http_\S*method="([^"]*)"/gm)].map((m) => m[1]));
  assert.ok(methods.size <= 10, [...methods].join());
  for (const method of methods) assert.match(method!, /^[a-z]+$/);
  lines.push(...querier.child.tail);
  for (const line of lines) {
    assert.match(line, /^ts=|^\s*$/, `a line of its own: ${line}`);
    // deno-lint-ignore no-control-regex
    assert.ok(!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(line), JSON.stringify(line));
    assert.ok(
      !/ level=\w+.* level=error msg=forged/.test(line.replace(/"(?:[^"\\]|\\.)*"/g, '""')),
    );
  }
});

Deno.test("HS14: SIGTERM under load: not ready first, running requests end, exit code 0", async () => {
  await using stage = await Stage.open();
  const querier = await stage.mneme("query", []);
  const results = { answered: 0, refused: 0, broken: 0 };
  let stopping = false;
  const load = async () => {
    while (!stopping || querier.child.running) {
      let answer: Response;
      try {
        answer = await fetch(`${querier.http}/api/v1/query?query=vector(1)`);
      } catch {
        results.refused++;
        if (stopping) return;
        continue;
      }
      try {
        const body = await answer.text();
        if (answer.status === 503 || body.includes('"success"')) results.answered++;
        else results.broken++;
      } catch {
        results.broken++;
      }
    }
  };
  const workers = Array.from({ length: 8 }, load);
  await until("load", () => results.answered > 50);
  stopping = true;
  querier.child.kill("SIGTERM");
  assert.equal(await querier.child.exit, 0);
  await Promise.all(workers);
  assert.equal(results.broken, 0, JSON.stringify(results));
});
