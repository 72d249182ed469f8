/** One fault a second: processes killed or frozen, doors knocked at by strangers. */
import type { Random } from "../../lib/base/testing/random.ts";
import type { Fleet } from "./fleet.ts";

/** Something that goes wrong; says what it did. */
type Fault = (fleet: Fleet, random: Random) => Promise<string>;

/** The querier is asked all the time and stays, so that its memory can be watched. */
const KILLED = ["prometheus-0", "prometheus-1", "sidecar-0", "sidecar-1", "compact", "s3", "store"];
const FROZEN = [...KILLED, "query"];

function pick<T>(list: readonly T[], random: Random): T {
  return list[random.below(list.length)]!;
}

const kill: Fault = (fleet, random) => {
  // The store gateway's memory is watched, too: it is killed more seldom than the others.
  let name = pick(KILLED, random);
  if (name === "store" && random.float() < 0.97) name = "compact";
  const member = fleet.members.get(name)!;
  member.hurt = true;
  member.child.kill("SIGKILL");
  return Promise.resolve(`kill ${name}`);
};

const freeze: Fault = (fleet, random) => {
  const name = pick(FROZEN, random);
  const { child } = fleet.members.get(name)!;
  const ms = 500 + random.below(2500);
  child.kill("SIGSTOP");
  setTimeout(() => child.kill("SIGCONT"), ms);
  return Promise.resolve(`freeze ${name} for ${ms} ms`);
};

/** Bytes that are no request, at a random door. */
const noise: Fault = async (fleet, random) => {
  const door = pick(
    ["query", "query-grpc", "store", "store-grpc", "sidecar-0-grpc", "compact"],
    random,
  );
  const [hostname, port] = fleet.address(door).split(":") as [string, string];
  const bytes = new Uint8Array(64 + random.below(4000));
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
  try {
    const socket = await Deno.connect({ hostname, port: Number(port) });
    await socket.write(bytes);
    setTimeout(() => {
      try {
        socket.close();
      } catch {
        // The other side was quicker.
      }
    }, 1000);
  } catch {
    // Nobody listens at the moment.
  }
  return `${bytes.length} random bytes to ${door}`;
};

/** Queries that ask for too much, or for nothing sensible. */
const nonsense: Fault = async (fleet, random) => {
  const query = pick([
    "(".repeat(50_000),
    `{__name__=~"${"(a*)*".repeat(500)}"}`,
    "count_over_time(vector(1)[100y:1ms])",
    "x".repeat(200_000),
    "\u0000\uFFFF{",
    'sum by (a) ({__name__=~".+"}[1y])',
  ], random);
  const body = new URLSearchParams({ query, timeout: "2s" });
  await fetch(`http://${fleet.address("query")}/api/v1/query`, {
    method: "POST",
    body,
    signal: AbortSignal.timeout(5_000),
  }).then((answer) => answer.body?.cancel(), () => undefined);
  return `a query of ${query.length} characters`;
};

const FAULTS: readonly (readonly [number, Fault])[] = [
  [4, kill],
  [4, freeze],
  [1, noise],
  [1, nonsense],
];

/** Lets one fault happen. */
export async function hurt(fleet: Fleet, random: Random): Promise<string> {
  const total = FAULTS.reduce((sum, [weight]) => sum + weight, 0);
  let at = random.float() * total;
  for (const [weight, fault] of FAULTS) {
    at -= weight;
    if (at < 0) return await fault(fleet, random);
  }
  return "nothing";
}
