/** A data directory of one process: made when missing, and locked, so that no two share one. */
import { errorMessage, MnemeError } from "../base/mod.ts";

/** Name of the file that is locked. */
const LOCK_FILE = "lock";

/** A directory that this process holds. */
export interface DataDirectory {
  readonly path: string;
  /** Lets others have it; a process that dies lets go by itself. */
  release(): void;
}

/**
 * Makes and locks a data directory.
 *
 * Throws: `conflict`, one line that names directory and flag, when another process holds it;
 * `permission` or `unavailable` when it cannot be used.
 */
export async function lockDataDirectory(
  path: string,
  flag = "--data-dir",
): Promise<DataDirectory> {
  const file = await open(path, flag);
  let locked: boolean;
  try {
    locked = await file.tryLock(true);
  } catch (error) {
    file.close();
    throw new MnemeError("unavailable", `cannot lock ${flag} ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  if (!locked) {
    file.close();
    throw new MnemeError(
      "conflict",
      `${path} is in use by another process; choose another directory with ${flag}`,
    );
  }
  return { path, release: () => file.close() };
}

async function open(path: string, flag: string): Promise<Deno.FsFile> {
  try {
    await Deno.mkdir(path, { recursive: true });
    // The file stays when the lock goes: removing it would let two processes lock two files.
    return await Deno.open(`${path}/${LOCK_FILE}`, { create: true, write: true });
  } catch (error) {
    const denied = error instanceof Deno.errors.PermissionDenied;
    throw new MnemeError(
      denied ? "permission" : "unavailable",
      `cannot use ${flag} ${path}: ${errorMessage(error)}`,
      { cause: error },
    );
  }
}
