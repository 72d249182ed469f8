/** Blocks that real Prometheus and Thanos wrote, for tests; absent in a checkout that stands alone. */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../../shared/golden/", import.meta.url));

/** Directories of the golden blocks of these buckets; empty, with a printed reason, when absent. */
export function goldenBlocks(
  buckets: readonly string[] = ["bucket-in", "bucket-compacted", "bucket-compacted-dedup"],
): string[] {
  const blocks: string[] = [];
  for (const bucket of buckets) {
    const directory = ROOT + bucket;
    if (!existsSync(directory)) {
      console.log(`skipped: ${bucket} is not in ../shared/golden`);
      continue;
    }
    for (const name of readdirSync(directory).sort()) blocks.push(`${directory}/${name}`);
  }
  return blocks;
}
