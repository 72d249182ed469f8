/**
 * Object storage servers for tests, each in a process of its own on a free port of the loopback
 * address: s3rver (npm), moto (PyPI), Azurite (npm), and a Google emulator (PyPI).
 */
import { createConnection } from "node:net";
import { ChildProcess, freePort, isOnPath } from "../../lib/runtime/mod.ts";

/** A running server. */
export interface ObjectServer {
  readonly child: ChildProcess;
  readonly port: number;
  stop(): Promise<void>;
}

/** Keys that s3rver knows, and any server here accepts. */
export const KEYS = { access: "S3RVER", secret: "S3RVER" } as const;

/** Starts s3rver with these buckets. */
export async function startS3rver(buckets: readonly string[]): Promise<ObjectServer> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-s3rver-" });
  const program = new URL("./s3/s3rver", import.meta.url).pathname;
  return await start("s3rver", Deno.execPath(), (port) => [
    "run",
    "-A",
    "--no-check",
    `--config=${program}.json`,
    `${program}.ts`,
    String(port),
    folder,
    ...buckets,
  ], folder);
}

/** Starts moto's S3, undefined (with the reason printed) when it is not installed. */
export async function startMoto(): Promise<ObjectServer | undefined> {
  if (!isOnPath("moto_server")) {
    return skip("moto_server is not on PATH: pip install 'moto[server]'");
  }
  return await start(
    "moto_server",
    "moto_server",
    (port) => ["-H", "127.0.0.1", "-p", String(port)],
  );
}

/** Starts Azurite's blob service, undefined when it is not installed. */
export async function startAzurite(): Promise<ObjectServer | undefined> {
  if (!isOnPath("azurite-blob")) return skip("azurite-blob is not on PATH: npm install -g azurite");
  const folder = await Deno.makeTempDir({ prefix: "mneme-azurite-" });
  return await start("azurite", "azurite-blob", (port) => [
    "--blobHost",
    "127.0.0.1",
    "--blobPort",
    String(port),
    "--location",
    folder,
    "--silent",
    "--skipApiVersionCheck",
  ], folder);
}

/** Starts the Google emulator, undefined when it is not installed. */
export async function startGoogle(): Promise<ObjectServer | undefined> {
  if (!isOnPath("gcp-storage-emulator")) {
    return skip("gcp-storage-emulator is not on PATH: pip install gcp-storage-emulator");
  }
  return await start("gcp-storage-emulator", "gcp-storage-emulator", (port) => [
    "start",
    "--host=127.0.0.1",
    `--port=${port}`,
    "--in-memory",
  ]);
}

/** Makes a bucket on a server that asks for no signature. */
export async function makeBucket(server: ObjectServer, name: string): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${server.port}/${name}`, { method: "PUT" });
  await answer.body?.cancel();
  if (!answer.ok) throw new Error(`Cannot make bucket ${name}: ${answer.status}`);
}

/** The configuration of an S3 bucket on a server of these. */
export function s3Document(
  port: number,
  bucket: string,
  more: Record<string, unknown> = {},
): string {
  return JSON.stringify({
    type: "S3",
    config: {
      bucket,
      endpoint: `127.0.0.1:${port}`,
      insecure: true,
      access_key: KEYS.access,
      secret_key: KEYS.secret,
      ...more,
    },
  });
}

function skip(reason: string): undefined {
  console.log(`skipped: ${reason}`);
  return undefined;
}

async function start(
  name: string,
  command: string,
  args: (port: number) => readonly string[],
  folder?: string,
): Promise<ObjectServer> {
  const port = freePort();
  const child = ChildProcess.start({ name, command, args: args(port) });
  const stop = async () => {
    child.kill("SIGKILL");
    await child.exit;
    if (folder !== undefined) await Deno.remove(folder, { recursive: true }).catch(() => {});
  };
  const end = Date.now() + 60_000;
  while (!await accepts(port)) {
    if (!child.running || Date.now() > end) {
      await stop();
      throw new Error(`${name} did not start:\n${child.tail.join("\n")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { child, port, stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Account of the emulator, the same everywhere. */
const EMULATOR_KEY =
  "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/** The configuration of a container on Azurite. */
export function azureDocument(port: number, container: string): string {
  const account = "devstoreaccount1";
  return JSON.stringify({
    type: "AZURE",
    config: {
      container,
      storage_connection_string: `DefaultEndpointsProtocol=http;AccountName=${account};` +
        `AccountKey=${EMULATOR_KEY};BlobEndpoint=http://127.0.0.1:${port}/${account};`,
    },
  });
}
