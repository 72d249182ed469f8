/** Whether a Prometheus is set up so that a sidecar can stand beside it. */
import { type Clock, errorMessage, parseDuration } from "../base/mod.ts";
import { parseYaml } from "../config/mod.ts";
import type { PrometheusClient } from "../store/mod.ts";
import { checkSkew } from "./bucket_rights.ts";
import { type Finding, findingsOf } from "./finding.ts";

/** What the check knows besides the server. */
export interface PrometheusChecks {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Blocks are to be shipped to a bucket. */
  readonly ships: boolean;
}

/** Version from which remote read streams chunks. */
const STREAMING_VERSION = [2, 13] as const;

/** Looks at version, external labels, block sizes and clock. */
export async function checkPrometheus(
  client: PrometheusClient,
  { clock, signal, ships }: PrometheusChecks,
): Promise<Finding[]> {
  const say = findingsOf("prometheus");
  const at = client.base;
  const findings: Finding[] = [];
  const get = (path: string) => client.get(path, undefined, signal);
  try {
    const before = clock.now();
    const answer = await client.request("/-/ready", { method: "GET" }, signal);
    await answer.body?.cancel();
    const date = Date.parse(answer.headers.get("date") ?? "");
    if (!answer.ok) {
      findings.push(say.warning(
        `${at} is not ready (status ${answer.status})`,
        answer.status === 404
          ? "give the URL with Prometheus' --web.route-prefix"
          : "wait for it; it replays its log after a start",
      ));
    }
    if (!Number.isNaN(date)) {
      findings.push(...checkSkew(`Prometheus ${at}`, date, before, clock.now()));
    }
  } catch (error) {
    return [say.error(errorMessage(error), "check the URL and that Prometheus runs")];
  }
  try {
    const { version } = await get("/api/v1/status/buildinfo") as { version?: string };
    const [major = 0, minor = 0] = (version ?? "").split(".").map(Number);
    const [wantMajor, wantMinor] = STREAMING_VERSION;
    const streams = major > wantMajor || (major === wantMajor && minor >= wantMinor);
    findings.push(
      streams ? say.ok(`${at} is version ${version}`) : say.warning(
        `${at} is version ${version}, which cannot stream chunks`,
        "update Prometheus; before 2.13 queries take much memory on both sides",
      ),
    );
    const { yaml } = await get("/api/v1/status/config") as { yaml?: string };
    findings.push(judgeExternalLabels(at, yaml ?? ""));
    if (ships) findings.push(...judgeFlags(at, await get("/api/v1/status/flags")));
  } catch (error) {
    findings.push(say.error(`${at}: ${errorMessage(error)}`, "check the URL and its path prefix"));
  }
  return findings;
}

function judgeExternalLabels(at: string, yaml: string): Finding {
  const say = findingsOf("labels");
  const root = parseYaml(yaml, { name: "Prometheus' configuration" });
  const global = root?.kind === "map" ? root.entries.get("global") : undefined;
  const external = global?.kind === "map" ? global.entries.get("external_labels") : undefined;
  const names = external?.kind === "map" ? [...external.entries.keys()] : [];
  return names.length === 0
    ? say.error(
      `${at} has no external labels`,
      "set global.external_labels in its configuration, such as {cluster: eu1, replica: a}: they " +
        "name this server among all, and its blocks in the bucket",
    )
    : say.ok(`${at} has the external labels ${names.join(", ")}`);
}

function judgeFlags(at: string, flags: unknown): Finding[] {
  const say = findingsOf("prometheus");
  const read = (name: string) => String((flags as Record<string, unknown> | null)?.[name] ?? "");
  const min = read("storage.tsdb.min-block-duration");
  const max = read("storage.tsdb.max-block-duration");
  if (min === "" || max === "") return [];
  const isDelayed = read("storage.tsdb.delay-compact-file.path") !== "";
  const equal = parseDuration(min) === parseDuration(max);
  if (!equal && !isDelayed) {
    return [say.error(
      `${at} compacts its own blocks (${min} to ${max}), so they cannot be shipped safely`,
      "start Prometheus with --storage.tsdb.min-block-duration=2h --storage.tsdb.max-block-duration=2h",
    )];
  }
  if (parseDuration(min) !== parseDuration("2h")) {
    return [say.warning(`${at} makes blocks of ${min}`, "use 2h, which the compactor expects")];
  }
  return [say.ok(`${at} makes blocks of 2h and leaves compaction to others`)];
}
