/** Looks at an installation and explains what is wrong and how to mend it. */
import { errorMessage } from "../lib/base/mod.ts";
import { type ConfigOf, flag } from "../lib/config/mod.ts";
import {
  checkBlocks,
  checkBucketRights,
  checkEndpoints,
  checkPrometheus,
  type Finding,
  findingsOf,
  printFindings,
} from "../lib/doctor/mod.ts";
import { type Bucket, NO_FOLDER, openBucket } from "../lib/objstore/mod.ts";
import { systemLookup } from "../lib/query/mod.ts";
import { connectRpc } from "../lib/rpc/mod.ts";
import { checkDataDirectory, httpClient } from "../lib/runtime/mod.ts";
import { PrometheusClient } from "../lib/store/mod.ts";
import { fetchInfo } from "../lib/storeapi/mod.ts";
import { type CommandEnv, defineCommand, runMain } from "./command.ts";
import { optionalObjstoreFlags } from "./flags_common.ts";

const flags = {
  ...optionalObjstoreFlags,
  endpoints: flag.repeated(
    flag.kinds.address,
    "endpoint",
    "Endpoint of a querier to look at; 'dns+' and 'dnssrv+' are looked up (repeated field).",
    { aliases: ["store"] },
  ),
  prometheusUrls: flag.repeated(
    flag.kinds.string,
    "prometheus.url",
    "URL of a Prometheus to look at (repeated field).",
  ),
  httpClient: flag.pathOrContent(
    "prometheus.http-client",
    "YAML file with HTTP client configuration: basic_auth, bearer_token, proxy_url, tls_config.",
    { expand: false, secret: true },
  ),
  dataDirs: flag.repeated(flag.kinds.path, "data-dir", "Data folder to look at (repeated field)."),
  replicaLabels: flag.repeated(
    flag.kinds.string,
    "query.replica-label",
    "Labels in which replicas differ, as given to the querier (repeated field).",
  ),
  readOnly: flag.bool("read-only", false, "Write nothing to the bucket, not even a test object."),
  timeout: flag.duration("timeout", "10s", "Longest wait for each answer."),
  output: flag.oneOf(["text", "json"], "output", "text", "Form of the findings."),
} as const;

type Config = ConfigOf<typeof flags>;

export const doctor = defineCommand({
  name: "doctor",
  help:
    "Checks configuration, bucket, clocks, names, labels, blocks and data folders, and explains how to mend what is wrong. Exit code 1: there is something to mend.",
  flags,
  run: async (config, env) => {
    const findings = await look(config, env);
    const isJson = config.output === "json";
    console.log(isJson ? JSON.stringify(findings, null, 2) : printFindings(findings));
    // The findings say it all: the exit code tells scripts.
    return findings.some(({ severity }) => severity === "error") ? 1 : 0;
  },
});

async function look(config: Config, env: CommandEnv): Promise<Finding[]> {
  const { clock } = env;
  const limited = () => AbortSignal.any([env.signal, AbortSignal.timeout(config.timeout)]);
  const findings: Finding[] = [
    findingsOf("version").ok(`mneme ${env.build.version} on ${env.build.runtime}`),
  ];
  const bucket = await open(config, findings);
  if (bucket !== undefined) {
    // Trying to write would make a folder out of a path that is a mistake.
    const readOnly = config.readOnly || findings.some(({ message }) => message === NO_FOLDER);
    const rights = await checkBucketRights(bucket, { clock, readOnly, signal: limited() });
    findings.push(...rights);
    // Without reading nothing can be said about blocks.
    if (!rights.some(({ severity }) => severity === "error")) {
      findings.push(...await checkBlocks(bucket, { clock, signal: env.signal }));
    }
    await bucket.close();
  }
  const http = httpClient(config.httpClient.load(), config.httpClient.source);
  for (const url of config.prometheusUrls) {
    const client = new PrometheusClient({ url, userAgent: `Thanos/${env.build.version}`, ...http });
    const ships = bucket !== undefined;
    findings.push(...await checkPrometheus(client, { clock, signal: limited(), ships }));
  }
  findings.push(
    ...await checkEndpoints(config.endpoints, {
      lookup: systemLookup,
      replicaLabels: config.replicaLabels,
      info: async (address) => {
        const client = connectRpc(address);
        try {
          return await fetchInfo(client, { signal: limited(), timeoutMs: config.timeout });
        } finally {
          client.close();
        }
      },
    }),
  );
  for (const path of config.dataDirs) findings.push(...await checkDataDirectory(path));
  if (findings.length === 1) {
    findings.push(
      findingsOf("config").note(
        "nothing was given to look at",
        "give --objstore.config-file, --prometheus.url, --endpoint or --data-dir",
      ),
    );
  }
  return findings;
}

/** The bucket, or a finding that says why it cannot be opened. */
async function open(config: Config, findings: Finding[]): Promise<Bucket | undefined> {
  const say = findingsOf("config");
  try {
    const text = config.objstore.load();
    if (text === "") return undefined;
    const { source } = config.objstore;
    const warn = (message: string) =>
      findings.push(
        message === NO_FOLDER
          ? say.warning(message, "check the path; the first upload makes the folder")
          : say.note(message),
      );
    const bucket = await openBucket(text, { source, hedging: true, warn });
    findings.push(say.ok(`${source} has a bucket of type ${bucket.provider}: ${bucket.name}`));
    return bucket;
  } catch (error) {
    findings.push(say.error(errorMessage(error), "mend the document, see docs/objstore.md"));
    return undefined;
  }
}

if (import.meta.main) await runMain(doctor);
