/** Byte connections to a peer: TCP in clear text, or TLS. The only file here that opens sockets. */
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import {
  connect as connectTls,
  createServer as createTlsServer,
  type TlsOptions,
  type TLSSocket,
} from "node:tls";
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
  /** Oldest version of TLS that is spoken; default 1.3. */
  readonly minVersion?: TlsVersion;
}

/** Versions of TLS that the runtime speaks. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

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
    let reason = errorMessage(error).replace(/ \(os error \d+\)$/, "").toLowerCase();
    if (/alert: protocol_?version/.test(reason)) {
      reason +=
        ` (it speaks nothing as new as ${tls?.minVersion ?? "TLSv1.3"}, the least that its ` +
        "client settings allow)";
    }
    throw new RpcError(STATUS_UNAVAILABLE, `connection error: connect ${address}: ${reason}`, {
      cause: error,
    });
  }
}

async function openPlain(hostname: string, port: number): Promise<Socket> {
  return plainStream(await Deno.connect({ hostname, port }));
}

function plainStream(conn: Deno.TcpConn): Socket {
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
      // Addresses are verified too, but are no names to ask for.
      ...(isIP(tls.serverName ?? hostname) === 0 ? { servername: tls.serverName ?? hostname } : {}),
      ca: pem(tls.ca),
      cert: pem(tls.cert),
      key: pem(tls.key),
      rejectUnauthorized: tls.skipVerify !== true,
      minVersion: tls.minVersion ?? "TLSv1.3",
      ALPNProtocols: ["h2"],
    });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      socket.off("error", reject);
      resolve(tlsStream(socket));
    });
  });
}

/** A TLS socket of Node's kind as a byte stream; reads one piece at a time. */
function tlsStream(socket: TLSSocket): Socket {
  const parts: Uint8Array[] = [];
  let ended = false;
  let failure: unknown;
  let wake: (() => void) | undefined;
  const notify = () => {
    wake?.();
    wake = undefined;
  };
  socket.on("data", (part: Uint8Array) => {
    parts.push(part);
    socket.pause();
    notify();
  });
  socket.on("error", (error) => {
    failure = error;
    ended = true;
    notify();
  });
  for (const event of ["end", "close"]) {
    socket.on(event, () => {
      ended = true;
      notify();
    });
  }
  return {
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
        // Copied: the caller reuses its buffer.
        socket.write(
          bytes.slice(),
          (error: Error | null | undefined) => error ? fail(error) : done(),
        )
      ),
    close: () => void socket.destroy(),
  };
}

/** Certificates of a server (PEM). */
export interface ServerTls {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  /** When set, clients must show a certificate signed by it. */
  readonly clientCa?: Uint8Array;
  /** Oldest version of TLS that is spoken; default 1.3. */
  readonly minVersion?: TlsVersion;
}

/** Longest TLS handshake of a client, ms. */
const HANDSHAKE = 10_000;

/** A listening socket. */
export interface Listener {
  /** The real port, when port 0 was asked for. */
  readonly port: number;
  /** Takes no further connections; resolves when the port is free. */
  close(): Promise<void>;
  /** Serves these certificates to connections made from now on. */
  setTls(tls: ServerTls): void;
}

/**
 * Listens on `host:port`; an empty host is every address of the machine. `accept` gets each
 * connection with the peer's address. TLS
 * handshakes of twice `most` connections may be under way or done.
 */
export async function listenSockets(
  address: string,
  tls: ServerTls | undefined,
  most: number,
  accept: (socket: Socket, peer: string) => void,
): Promise<Listener> {
  const m = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(m?.[3]);
  if (m === null || port > 65535) {
    throw new MnemeError("bad_data", `address '${address}' is not <host>:<port>`);
  }
  const hostname = (m[1] ?? m[2]) || "0.0.0.0";
  return tls === undefined
    ? listenPlain(hostname, port, accept)
    : await listenTls(hostname, port, tls, most, accept);
}

function listenPlain(
  hostname: string,
  port: number,
  accept: (socket: Socket, peer: string) => void,
): Listener {
  const listener = Deno.listen({ hostname, port });
  const loop = async () => {
    for await (const conn of listener) {
      const { hostname, port } = conn.remoteAddr as Deno.NetAddr;
      accept(plainStream(conn), joinAddress(hostname, port));
    }
  };
  // The loop ends with the listener; a connection that broke while it was accepted is no failure.
  const run = (): Promise<void> => loop().catch(() => listening ? run() : undefined);
  let listening = true;
  const ended = run();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async close() {
      if (listening) {
        listening = false;
        listener.close();
      }
      await ended;
    },
    setTls() {
      // Nothing to change: this one speaks clear text.
    },
  };
}

function tlsSettings(tls: ServerTls): TlsOptions {
  return {
    cert: Buffer.from(tls.cert),
    key: Buffer.from(tls.key),
    minVersion: tls.minVersion ?? "TLSv1.3",
    ...(tls.clientCa === undefined
      ? {}
      : { ca: Buffer.from(tls.clientCa), requestCert: true, rejectUnauthorized: true }),
    ALPNProtocols: ["h2"],
    handshakeTimeout: HANDSHAKE,
  };
}

function listenTls(
  hostname: string,
  port: number,
  tls: ServerTls,
  most: number,
  accept: (socket: Socket, peer: string) => void,
): Promise<Listener> {
  const server = createTlsServer(tlsSettings(tls));
  // Who never ends its handshake counts as well; who ends it in vain is told so.
  server.maxConnections = 2 * most;
  server.on("secureConnection", (socket) => {
    accept(tlsStream(socket), joinAddress(socket.remoteAddress ?? "", socket.remotePort ?? 0));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, () => {
      server.off("error", reject);
      const bound = server.address();
      resolve({
        port: typeof bound === "object" && bound !== null ? bound.port : port,
        // Only told of connections that ended: those that are open are the owner's.
        close: () => new Promise((done) => server.listening ? (server.close(), done()) : done()),
        setTls: (next) => server.setSecureContext(tlsSettings(next)),
      });
    });
  });
}

function joinAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
