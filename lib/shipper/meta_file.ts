/**
 * The shipper's memory on disk: which blocks are in the bucket.
 *
 * `{"version": 1, "uploaded": ["<ULID>", …]}`, indented by tabs. Losing it costs a look into the
 * bucket per block, nothing else; Prometheus reads it to delay its own compaction.
 */
import { encodeUtf8, isUlid } from "../base/mod.ts";
import type { Files } from "../tsdb/mod.ts";

const MAX_BYTES = 16 * 1024 * 1024;

/** Uploaded blocks, or undefined when the file is missing or no such file. */
export function readShipperMeta(files: Files, path: string): string[] | undefined {
  if (files.stat(path) === undefined) return undefined;
  const file = files.open(path);
  try {
    if (file.size > MAX_BYTES) return undefined;
    const bytes = new Uint8Array(file.size);
    file.readAt(bytes, 0);
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value !== "object" || value === null) return undefined;
    const { version, uploaded } = value as { version?: unknown; uploaded?: unknown };
    if (version !== 1) return undefined;
    if (uploaded === null || uploaded === undefined) return [];
    if (!Array.isArray(uploaded)) return undefined;
    return uploaded.filter((id): id is string => typeof id === "string" && isUlid(id));
  } catch {
    // Not JSON: the caller starts afresh and says so.
    return undefined;
  } finally {
    file.close();
  }
}

/** Replaces the file: temporary name, sync, rename. */
export function writeShipperMeta(files: Files, path: string, uploaded: readonly string[]): void {
  const temporary = `${path}.tmp`;
  const file = files.create(temporary);
  try {
    file.append(encodeUtf8(JSON.stringify({ version: 1, uploaded }, undefined, "\t") + "\n"));
    file.sync();
  } finally {
    file.close();
  }
  files.rename(temporary, path);
}
