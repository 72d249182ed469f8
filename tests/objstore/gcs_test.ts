/** The bucket contract on an emulator of Google Cloud Storage. */
import { bucketAcceptance } from "../../lib/objstore/acceptance.ts";
import { openBucket } from "../../lib/objstore/mod.ts";
import { startGoogle } from "../servers/object_storage.ts";

Deno.test({
  name: "GCS buckets keep the contract on an emulator",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const server = await startGoogle();
    if (server === undefined) return;
    const host = `127.0.0.1:${server.port}`;
    try {
      let next = 0;
      const steps: [string, () => Promise<void>][] = [];
      bucketAcceptance(
        "gcs",
        async () => {
          const name = `bucket-${next++}`;
          const made = await fetch(`http://${host}/storage/v1/b?project=p`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ name }),
          });
          await made.body?.cancel();
          // The emulator queues five connections and drops the others.
          const http_config = { max_conns_per_host: 4 };
          const document = JSON.stringify({ type: "GCS", config: { bucket: name, http_config } });
          const env = (key: string) => key === "STORAGE_EMULATOR_HOST" ? host : undefined;
          return { bucket: await openBucket(document, { env }) };
        },
        (name, run) => steps.push([name, run]),
        {
          conditionalUploads: "the emulator ignores ifGenerationMatch",
          emptyObjects: "the emulator closes the connection on a body of no bytes",
        },
      );
      for (const [name, run] of steps) await t.step(name, run);
    } finally {
      await server.stop();
    }
  },
});
