/** A DNS server on a port of this machine, for tests of lookups. */
import { createSocket } from "node:dgram";

/** What the server knows, by name: addresses (A), or places behind a service (SRV). */
export interface Records {
  readonly a?: Readonly<Record<string, readonly string[]>>;
  readonly srv?: Readonly<
    Record<string, readonly { readonly name: string; readonly port: number }[]>
  >;
}

/** The server; to be closed. */
export interface NameServer {
  /** `host:port`. */
  readonly address: string;
  close(): void;
}

const TYPE_A = 1;
const TYPE_SRV = 33;

/** Starts a server over UDP; a name that is not in its records does not exist. */
export async function openNameServer(records: Records): Promise<NameServer> {
  const socket = createSocket("udp4");
  socket.on("message", (query, peer) => {
    const { name, end } = readName(query);
    const type = query[end - 3]!;
    const found = type === TYPE_A
      ? records.a?.[name]?.map((ip) => ip.split(".").map(Number))
      : type === TYPE_SRV
      ? records.srv?.[name]?.map((s) => [0, 0, 0, 0, ...word(s.port), ...writeName(s.name)])
      : undefined;
    const known = found !== undefined || name in (records.a ?? {}) || name in (records.srv ?? {});
    const answers = (found ?? []).map((data) => // The name of the question, its type, class IN, a lifetime of one second.
    [0xc0, 12, ...word(type), 0, 1, 0, 0, 0, 1, ...word(data.length), ...data]);
    const flags = known ? [0x81, 0x80] : [0x81, 0x83];
    const head = [query[0]!, query[1]!, ...flags, 0, 1, ...word(answers.length), 0, 0, 0, 0];
    const answer = Uint8Array.from([...head, ...query.subarray(12, end), ...answers.flat()]);
    socket.send(answer, peer.port, peer.address);
  });
  await new Promise<void>((done) => socket.bind(0, "127.0.0.1", done));
  return { address: `127.0.0.1:${socket.address().port}`, close: () => void socket.close() };
}

function word(n: number): [number, number] {
  return [n >> 8, n & 255];
}

function writeName(name: string): number[] {
  const parts = name.split(".").flatMap((part) => [part.length, ...new TextEncoder().encode(part)]);
  return [...parts, 0];
}

/** The name that is asked for, and where the question ends. */
function readName(query: Uint8Array): { name: string; end: number } {
  const parts: string[] = [];
  let at = 12;
  while (query[at] !== 0) {
    const length = query[at]!;
    parts.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + length)));
    at += length + 1;
  }
  return { name: parts.join(".").toLowerCase(), end: at + 5 };
}
