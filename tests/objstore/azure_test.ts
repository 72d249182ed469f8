/** The bucket contract on Azurite, the emulator of Azure's own makers. */
import { bucketAcceptance } from "../../lib/objstore/acceptance.ts";
import { openBucket } from "../../lib/objstore/mod.ts";
import { azureDocument, startAzurite } from "../servers/object_storage.ts";

Deno.test({
  name: "AZURE buckets keep the contract on Azurite",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const server = await startAzurite();
    if (server === undefined) return;
    try {
      let next = 0;
      const steps: [string, () => Promise<void>][] = [];
      bucketAcceptance(
        "azurite",
        async () => ({ bucket: await openBucket(azureDocument(server.port, `bucket-${next++}`)) }),
        (name, run) => steps.push([name, run]),
      );
      for (const [name, run] of steps) await t.step(name, run);
    } finally {
      await server.stop();
    }
  },
});
