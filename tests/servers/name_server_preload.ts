/**
 * Name servers of a process in tests: loaded with `--preload` it sends all DNS questions to
 * `MNEME_TEST_NAME_SERVER` (`host:port`).
 */
import { Resolver } from "node:dns/promises";

const server = Deno.env.get("MNEME_TEST_NAME_SERVER")!;
for (const method of ["resolve4", "resolve6", "resolveSrv"] as const) {
  const real = Resolver.prototype[method] as (name: string) => Promise<unknown>;
  Object.defineProperty(Resolver.prototype, method, {
    value(this: Resolver, name: string) {
      this.setServers([server]);
      return real.call(this, name);
    },
  });
}
