/**
 * Several addresses as one peer: each call goes to the next one, and to another when that one is
 * away and nothing was received yet.
 */
import { MnemeError } from "../base/mod.ts";
import { type CallOptions, connectRpc, type RpcClient, type RpcClientOptions } from "./client.ts";
import { RpcError, STATUS_UNAVAILABLE } from "./status.ts";

/** Attempts of one call, as many as a service configuration usually allows. */
const ATTEMPTS = 3;

/** Connects to the addresses that `addresses` gives at the moment of each call. */
export function connectRpcGroup(
  name: string,
  addresses: () => readonly string[],
  options: RpcClientOptions = {},
): RpcClient {
  return new Group(name, addresses, options);
}

class Group implements RpcClient {
  readonly address: string;
  readonly #addresses: () => readonly string[];
  readonly #options: RpcClientOptions;
  readonly #members = new Map<string, RpcClient>();
  #next = 0;
  #closed = false;

  constructor(name: string, addresses: () => readonly string[], options: RpcClientOptions) {
    this.address = name;
    this.#addresses = addresses;
    // Trying another member is better than trying the same one again.
    this.#options = { ...options, attempts: 1 };
  }

  /** The members of the moment, beginning with the one whose turn it is. */
  #turn(): RpcClient[] {
    if (this.#closed) throw new MnemeError("canceled", "the client was closed");
    const addresses = this.#addresses();
    for (const [address, client] of this.#members) {
      if (addresses.includes(address)) continue;
      this.#members.delete(address);
      client.close();
    }
    const members = addresses.map((address) => {
      let client = this.#members.get(address);
      if (client === undefined) {
        client = connectRpc(address, this.#options);
        this.#members.set(address, client);
      }
      return client;
    });
    if (members.length === 0) {
      throw new RpcError(STATUS_UNAVAILABLE, `no addresses are known for ${this.address}`);
    }
    const first = this.#next++ % members.length;
    return [...members.slice(first), ...members.slice(0, first)];
  }

  async unary(path: string, request: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return await this.#try(options, (member, inner) => member.unary(path, request, inner));
  }

  async *stream(
    path: string,
    request: Uint8Array,
    options?: CallOptions,
  ): AsyncIterable<readonly Uint8Array[]> {
    let open: AsyncIterator<readonly Uint8Array[]> | undefined;
    // The first messages decide which member answers; from then on a failure is final.
    let step = await this.#try(options, async (member, inner) => {
      open = member.stream(path, request, inner)[Symbol.asyncIterator]();
      return await open.next();
    });
    try {
      for (; !step.done; step = await open!.next()) yield step.value;
    } finally {
      await open?.return?.();
    }
  }

  async #try<T>(
    options: CallOptions | undefined,
    call: (member: RpcClient, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const members = this.#turn();
    // A member that is away must not be waited for while others are there.
    const inner = { ...options, waitForReady: false };
    for (let attempt = 0;; attempt++) {
      const member = members[attempt % members.length]!;
      try {
        return await call(member, inner);
      } catch (error) {
        const away = error instanceof MnemeError && error.kind === "unavailable";
        if (!away || attempt + 1 >= Math.max(ATTEMPTS, members.length)) throw error;
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const member of this.#members.values()) member.close();
    this.#members.clear();
  }
}
