/** The health service grpc.health.v1: the whole server ("") is either serving or not. */
import { ProtoReader, ProtoWriter } from "./wire.ts";
import type { ServerCall, Service } from "./service.ts";
import { RpcError, STATUS_NOT_FOUND } from "./status.ts";

export const HEALTH_SERVICE = "grpc.health.v1.Health";
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

/** The state that the health service tells; starts as not serving. */
export class Health {
  #serving = false;
  #watchers = new Set<() => void>();

  get serving(): boolean {
    return this.#serving;
  }
  /** Changes the state and tells everyone who watches. */
  set(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const wake of [...this.#watchers]) wake();
  }
  /** Resolves at the next change, or when one of the signals aborts. */
  changed(signals: readonly AbortSignal[]): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#watchers.delete(done);
        for (const signal of signals) signal.removeEventListener("abort", done);
        resolve();
      };
      this.#watchers.add(done);
      for (const signal of signals) {
        if (signal.aborted) done();
        else signal.addEventListener("abort", done, { once: true });
      }
    });
  }
}

/** The service over a state; watchers are let go when the server begins to stop. */
export function healthService(health: Health): Service {
  return {
    name: HEALTH_SERVICE,
    methods: {
      Check: {
        kind: "unary",
        // deno-lint-ignore require-await
        async handle(request) {
          if (serviceName(request) !== "") {
            throw new RpcError(STATUS_NOT_FOUND, "unknown service");
          }
          return encodeStatus(health.serving ? SERVING : NOT_SERVING);
        },
      },
      Watch: {
        kind: "server_stream",
        handle: (request, call) => watch(health, serviceName(request), call),
      },
    },
  };
}

async function* watch(
  health: Health,
  service: string,
  call: ServerCall,
): AsyncIterable<Uint8Array> {
  const over = [call.signal, call.stopping];
  if (service !== "") {
    yield encodeStatus(SERVICE_UNKNOWN);
    const never = new Health();
    await never.changed(over);
    return;
  }
  let told: boolean | undefined;
  while (!over.some((signal) => signal.aborted)) {
    const serving = health.serving;
    if (serving !== told) {
      told = serving;
      yield encodeStatus(serving ? SERVING : NOT_SERVING);
    } else await health.changed(over);
  }
}

function serviceName(request: Uint8Array): string {
  const r = new ProtoReader(request);
  let name = "";
  while (r.next()) {
    if (r.field === 1) name = r.string();
    else r.skip();
  }
  return name;
}

function encodeStatus(status: number): Uint8Array {
  const w = new ProtoWriter(16);
  w.int32(1, status);
  return w.finish();
}
