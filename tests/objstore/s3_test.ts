/** The bucket contract on real S3 servers. */
import { bucketAcceptance } from "../../lib/objstore/acceptance.ts";
import { openBucket } from "../../lib/objstore/mod.ts";
import { makeBucket, s3Document, startMoto, startS3rver } from "../servers/object_storage.ts";

Deno.test({
  name: "S3 buckets keep the contract on s3rver",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const names = Array.from({ length: 40 }, (_, i) => `bucket-${i}`);
    const server = await startS3rver(names);
    try {
      let next = 0;
      const steps: [string, () => Promise<void>][] = [];
      bucketAcceptance(
        "s3rver",
        async () => ({ bucket: await openBucket(s3Document(server.port, names[next++]!)) }),
        (name, run) => steps.push([name, run]),
        {
          conditionalUploads: "s3rver ignores If-None-Match",
          atomicOverwrites: "s3rver writes over the file that is being read",
        },
      );
      for (const [name, run] of steps) await t.step(name, run);
    } finally {
      await server.stop();
    }
  },
});

Deno.test({
  name: "S3 buckets keep the contract on moto",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const server = await startMoto();
    if (server === undefined) return;
    try {
      let next = 0;
      const steps: [string, () => Promise<void>][] = [];
      bucketAcceptance(
        "moto",
        async () => {
          const name = `bucket-${next++}`;
          await makeBucket(server, name);
          return { bucket: await openBucket(s3Document(server.port, name)) };
        },
        (name, run) => steps.push([name, run]),
      );
      for (const [name, run] of steps) await t.step(name, run);
    } finally {
      await server.stop();
    }
  },
});
