/** Byte connections to a peer: TCP in clear text, or TLS. The only file here that opens sockets. */
import { Buffer } from "node:buffer";
import { connect as connectTls } from "node:tls";
import { errorMessage, MnemeError } from "../../base/mod.ts";
import { RpcError, STATUS_UNAVAILABLE } from "../status.ts";

/** A connected byte stream. */
export interface Socket {
  /** Reads into `target`; null at the end. */
  read(target: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** Certificates of a client (PEM). */
export interface SocketTls {
  readonly ca?: Uint8Array;
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
  readonly serverName?: string;
  readonly skipVerify?: boolean;
}

/** Splits `host:port` and `[v6]:port`. */
export function parseAddress(address: string): { hostname: string; port: number } {
  const m = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(m?.[3]);
  if (m === null || port > 65535) {
    throw new MnemeError("bad_data", `address '${address}' is not <host>:<port>`);
  }
  const hostname = m[1] ?? m[2]!;
  return { hostname: hostname === "" ? "127.0.0.1" : hostname, port };
}

/** Connects; throws `unavailable` with the cause. */
export async function openSocket(address: string, tls: SocketTls | undefined): Promise<Socket> {
  const { hostname, port } = parseAddress(address);
  try {
    return tls === undefined ? await openPlain(hostname, port) : await openTls(hostname, port, tls);
  } catch (error) {
    if (error instanceof MnemeError && error.kind === "bad_data") throw error;
    const reason = errorMessage(error).replace(/ \(os error \d+\)$/, "").toLowerCase();
    throw new RpcError(STATUS_UNAVAILABLE, `connection error: connect ${address}: ${reason}`, {
      cause: error,
    });
  }
}

async function openPlain(hostname: string, port: number): Promise<Socket> {
  const conn = await Deno.connect({ hostname, port });
  conn.setNoDelay(true);
  return {
    read: (target) => conn.read(target),
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    },
    close() {
      try {
        conn.close();
      } catch {
        // Closed already by the failure that brings us here.
      }
    },
  };
}

function openTls(hostname: string, port: number, tls: SocketTls): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const pem = (bytes: Uint8Array | undefined) =>
      bytes === undefined ? undefined : Buffer.from(bytes);
    const socket = connectTls({
      host: hostname,
      port,
      servername: tls.serverName ?? hostname,
      ca: pem(tls.ca),
      cert: pem(tls.cert),
      key: pem(tls.key),
      rejectUnauthorized: tls.skipVerify !== true,
      ALPNProtocols: ["h2"],
    });
    const parts: Uint8Array[] = [];
    let ended = false;
    let failure: unknown;
    let wake: (() => void) | undefined;
    const notify = () => {
      wake?.();
      wake = undefined;
    };
    socket.once("secureConnect", () => {
      socket.off("error", reject);
      socket.on("error", (error) => {
        failure = error;
        ended = true;
        notify();
      });
      resolve({
        async read(target) {
          while (parts.length === 0) {
            if (failure !== undefined) throw failure;
            if (ended) return null;
            socket.resume();
            await new Promise<void>((done) => wake = done);
          }
          const part = parts[0]!;
          const n = Math.min(part.length, target.length);
          target.set(part.subarray(0, n));
          if (n === part.length) parts.shift();
          else parts[0] = part.subarray(n);
          return n;
        },
        write: (bytes) =>
          new Promise((done, fail) =>
            socket.write(bytes, (error: Error | null | undefined) => error ? fail(error) : done())
          ),
        close: () => void socket.destroy(),
      });
    });
    socket.once("error", reject);
    socket.on("data", (part: Uint8Array) => {
      parts.push(part);
      socket.pause();
      notify();
    });
    socket.on("close", () => {
      ended = true;
      notify();
    });
  });
}
