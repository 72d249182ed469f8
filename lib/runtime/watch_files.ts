/** File system events and signals to other processes: what a sidecar's reloader needs. */
import { MnemeError } from "../base/mod.ts";

/**
 * Calls back on changes below the paths, and once when events cannot be had any more; returns how
 * to stop.
 *
 * Throws: when a path cannot be watched.
 */
export function watchFiles(
  paths: readonly string[],
  onChange: () => void,
  onFailure: (cause: unknown) => void,
): () => void {
  const watcher = Deno.watchFs([...paths], { recursive: true });
  const deliver = async () => {
    for await (const event of watcher) {
      // Reading a file is no change of it.
      if (event.kind !== "access") onChange();
    }
  };
  deliver().catch(onFailure);
  return () => watcher.close();
}

/** Sends SIGHUP to the first process whose executable has this name (Linux only). */
export function hangUpByName(name: string): void {
  const found: number[] = [];
  try {
    for (const entry of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(entry.name)) continue;
      try {
        const executable = Deno.readLinkSync(`/proc/${entry.name}/exe`);
        if (executable.slice(executable.lastIndexOf("/") + 1) === name) {
          found.push(Number(entry.name));
        }
      } catch {
        // Another user's process, or one that has just ended.
      }
    }
  } catch (cause) {
    throw new MnemeError("unavailable", "cannot look for processes: /proc is not readable", {
      cause,
    });
  }
  const pid = found.sort((a, b) => a - b)[0];
  if (pid === undefined) throw new MnemeError("not_found", `no process named '${name}' is running`);
  Deno.kill(pid, "SIGHUP");
}
