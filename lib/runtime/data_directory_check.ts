/** Whether a data folder can be used: there, writable, on a disk with room, not held by another. */
import { errorMessage } from "../base/mod.ts";
import { type Finding, findingsOf } from "../doctor/mod.ts";
import { statfsSync } from "node:fs";
import { lockDataDirectory } from "./data_directory.ts";

const GIB = 1024 ** 3;
/** Free space below which a part may soon fail. */
const LOW_SPACE = 5 * GIB;

/** Looks at one folder; leaves nothing behind but the folder itself. */
export async function checkDataDirectory(path: string): Promise<Finding[]> {
  const say = findingsOf("disk");
  try {
    (await lockDataDirectory(path)).release();
  } catch (error) {
    const message = errorMessage(error);
    return /in use by another process/.test(message)
      ? [say.note(`${path} is in use by a running process`)]
      : [say.error(message, `make ${path} writable for the user that runs Mneme`)];
  }
  let free: number;
  try {
    const { bavail, bsize } = statfsSync(path);
    free = Number(bavail) * Number(bsize);
  } catch {
    // Not told on this system: that it can be written is known.
    return [say.ok(`${path} can be written`)];
  }
  const text = `${path} can be written, ${(free / GIB).toFixed(1)} GiB are free`;
  return free >= LOW_SPACE ? [say.ok(text)] : [
    say.warning(
      text,
      "give it more room; the compactor needs about twice its largest compaction (docs/sizing.md)",
    ),
  ];
}
