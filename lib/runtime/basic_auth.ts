/** Passwords of HTTP requests: bcrypt in a worker, remembered answers, a brake on guessing. */
import { createHmac, randomBytes } from "node:crypto";
import { MnemeError } from "../base/mod.ts";

/** What became of a login. */
export type LoginResult = "ok" | "denied" | "slow_down";

/** Compares a password with a bcrypt hash. */
export type ComparePassword = (password: string, hash: string) => Promise<boolean>;

/** Salt and hash compared for users that do not exist, so that they take as long as those that do. */
const NOBODY = "C6UzMDM.H6dfI/f/IKcEeO7ZXGgrPyqZyC0a8iFqQJqXqQwQmJm8W";
/** Answers that are remembered. */
const REMEMBERED = 1024;
/** Comparisons at a time, and requests that may wait for one. */
const AT_ONCE = 4;
const WAITING = 256;
/** Wrong logins of one address in a second before it is told to wait, without hashing. */
const WRONG_PER_SECOND = 5;
/** Addresses whose wrong logins are counted. */
const ADDRESSES = 4096;
/** Longest password that bcrypt looks at, and longest header that is decoded, bytes. */
const MAX_HEADER = 1024;

/** Decides about the `Authorization` header of requests. */
export class BasicAuth {
  readonly #compare: ComparePassword;
  readonly #now: () => number;
  /** By an HMAC of user, hash and password: neither can be read out of it nor forged into it. */
  readonly #known = new Map<string, boolean>();
  readonly #secret = randomBytes(32);
  readonly #wrong = new Map<string, { second: number; count: number }>();
  #running = 0;
  readonly #queue: (() => void)[] = [];

  constructor(compare: ComparePassword, now: () => number = Date.now) {
    this.#compare = compare;
    this.#now = now;
  }

  /** Checks a header against the users; `address` is the client's, without its port. */
  async check(
    header: string | undefined,
    users: ReadonlyMap<string, string>,
    address: string,
  ): Promise<LoginResult> {
    const login = parse(header);
    // Nothing was guessed: the browser asks its user next.
    if (login === undefined) return "denied";
    const hash = users.get(login.user) ?? standIn(users);
    const key = this.#keyOf(login.user, hash, login.password);
    const known = this.#known.get(key);
    if (known === true) return "ok";
    if (this.#guesses(address) >= WRONG_PER_SECOND) return "slow_down";
    if (known === false) return this.#deny(address);
    if (this.#queue.length >= WAITING) return "slow_down";
    const matches = await this.#limited(() => this.#compare(login.password, hash));
    const valid = matches && users.has(login.user);
    if (this.#known.size >= REMEMBERED) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(key, valid);
    return valid ? "ok" : this.#deny(address);
  }

  #deny(address: string): LoginResult {
    const second = Math.floor(this.#now() / 1000);
    const counted = this.#wrong.get(address);
    if (counted?.second === second) counted.count++;
    else {
      this.#wrong.delete(address);
      if (this.#wrong.size >= ADDRESSES) this.#wrong.delete(this.#wrong.keys().next().value!);
      this.#wrong.set(address, { second, count: 1 });
    }
    return "denied";
  }

  #guesses(address: string): number {
    const counted = this.#wrong.get(address);
    return counted?.second === Math.floor(this.#now() / 1000) ? counted.count : 0;
  }

  #keyOf(user: string, hash: string, password: string): string {
    // The lengths keep one field from running into the next.
    const text = `${user.length}:${user}${hash.length}:${hash}${password}`;
    return createHmac("sha256", this.#secret).update(text).digest("base64");
  }

  async #limited<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= AT_ONCE) await new Promise<void>((go) => this.#queue.push(go));
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#queue.shift()?.();
    }
  }
}

/** A hash of the users' own cost that fits no password. */
function standIn(users: ReadonlyMap<string, string>): string {
  const [some = "$2b$10$"] = users.values();
  return `$2b$${some.slice(4, 6)}$${NOBODY}`;
}

function parse(header: string | undefined): { user: string; password: string } | undefined {
  if (header === undefined || header.length > MAX_HEADER) return undefined;
  const encoded = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(encoded));
    const colon = text.indexOf(":");
    if (colon < 0) return undefined;
    return { user: text.slice(0, colon), password: text.slice(colon + 1) };
  } catch {
    return undefined;
  }
}

/** bcrypt in a worker of its own, started with the first comparison: it takes tenths of a second. */
export class PasswordWorker {
  #worker: Worker | undefined;
  #next = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<boolean>>();

  readonly compare: ComparePassword = (password, hash) => {
    const worker = this.#worker ??= this.#start();
    const id = this.#next++;
    const answer = Promise.withResolvers<boolean>();
    this.#waiting.set(id, answer);
    worker.postMessage({ id, password, hash });
    return answer.promise;
  };

  #start(): Worker {
    const worker = new Worker(new URL("./password_worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<{ id: number; matches: boolean }>) => {
      this.#waiting.get(data.id)?.resolve(data.matches);
      this.#waiting.delete(data.id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.close();
    };
    return worker;
  }

  /** Ends the worker; comparisons that wait fail. */
  close(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const answer of this.#waiting.values()) {
      answer.reject(new MnemeError("internal", "the password could not be checked"));
    }
    this.#waiting.clear();
  }
}
