import { bucketAcceptance } from "./acceptance.ts";
import { MemoryBucket } from "./bucket_memory.ts";

bucketAcceptance("memory", () => ({ bucket: new MemoryBucket() }), Deno.test);
