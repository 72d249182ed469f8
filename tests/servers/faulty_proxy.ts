/** An HTTP proxy in front of a real server that spoils answers as it is told, and counts requests. */
import { Buffer } from "node:buffer";
import * as http from "node:http";
import type { AddressInfo } from "node:net";

/** What happens to a request. */
export type ProxyFault =
  /** Answered by the proxy itself; the server never sees it. */
  | {
    readonly type: "answer";
    readonly status: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  }
  /** The connection is closed before anything is done. */
  | { readonly type: "reset" }
  /** The server does it, and the answer gets lost. */
  | { readonly type: "lost" }
  /** No answer at all, the connection stays open. */
  | { readonly type: "silent" }
  /** This many bytes of the body, then the connection is closed. */
  | { readonly type: "short"; readonly bytes: number }
  /** This many bytes of the body, then silence. */
  | { readonly type: "stall"; readonly bytes: number }
  /** One byte of the body is changed. */
  | { readonly type: "corrupt"; readonly at: number }
  /** The range that was asked for is not looked at. */
  | { readonly type: "whole" };

/** Which requests a fault hits. */
export interface ProxyRule {
  readonly fault: ProxyFault;
  /** Request line, such as `GET /bucket/object?x=y`, matches. */
  readonly match?: RegExp;
  /** Requests that pass first. */
  readonly skip?: number;
  /** Number of hits; unlimited when absent. */
  readonly times?: number;
}

/** A proxy on a free port of the loopback address. */
export class FaultyProxy implements AsyncDisposable {
  /** Request lines so far. */
  readonly requests: string[] = [];
  readonly #server: http.Server;
  readonly #target: number;
  #rules: { readonly rule: ProxyRule; seen: number; hits: number }[] = [];

  private constructor(target: number) {
    this.#target = target;
    this.#server = http.createServer((request, response) => this.#handle(request, response));
  }

  static async start(target: number, rules: readonly ProxyRule[] = []): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target);
    proxy.setRules(rules);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", () => resolve()));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Replaces the rules and forgets the requests; an empty list heals the proxy. */
  setRules(rules: readonly ProxyRule[]): void {
    this.#rules = rules.map((rule) => ({ rule, seen: 0, hits: 0 }));
    this.requests.length = 0;
  }

  /** Requests so far whose line matches. */
  count(match: RegExp): number {
    return this.requests.filter((line) => match.test(line)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #choose(line: string): ProxyFault | undefined {
    for (const state of this.#rules) {
      const { rule } = state;
      if (rule.match !== undefined && !rule.match.test(line)) continue;
      if (state.seen++ < (rule.skip ?? 0)) continue;
      if (rule.times !== undefined && state.hits >= rule.times) continue;
      state.hits++;
      return rule.fault;
    }
    return undefined;
  }

  #handle(request: http.IncomingMessage, response: http.ServerResponse): void {
    const line = `${request.method} ${request.url}`;
    this.requests.push(line);
    const fault = this.#choose(line);
    const pieces: Uint8Array[] = [];
    request.on("data", (piece: Uint8Array) => pieces.push(piece));
    request.on("error", () => response.destroy());
    request.on("end", () => {
      if (fault?.type === "reset") request.socket.destroy();
      else if (fault?.type === "answer") {
        response.writeHead(fault.status, { ...fault.headers });
        response.end(request.method === "HEAD" ? undefined : fault.body ?? "");
      } else if (fault?.type !== "silent") {
        this.#forward(request, response, Buffer.concat(pieces), fault);
      }
    });
  }

  #forward(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    body: Uint8Array,
    fault: ProxyFault | undefined,
  ): void {
    const headers = { ...request.headers };
    if (fault?.type === "whole") delete headers.range;
    const onward = http.request({
      host: "127.0.0.1",
      port: this.#target,
      method: request.method,
      path: request.url,
      headers,
      agent: false,
    }, (answer) => {
      const pieces: Uint8Array[] = [];
      answer.on("data", (piece: Uint8Array) => pieces.push(piece));
      answer.on("end", () => {
        const bytes = Buffer.concat(pieces);
        if (fault?.type === "lost") {
          request.socket.destroy();
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        if (fault?.type === "short" || fault?.type === "stall") {
          response.write(bytes.subarray(0, fault.bytes), () => {
            if (fault.type === "short") setTimeout(() => request.socket.destroy(), 20);
          });
          return;
        }
        if (fault?.type === "corrupt") bytes[fault.at]! ^= 0x10;
        response.end(bytes);
      });
      answer.on("error", () => response.destroy());
    });
    onward.on("error", () => response.destroy());
    onward.end(body);
  }
}
