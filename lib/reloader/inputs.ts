/**
 * What a reloader watches: its bytes, expanded for Prometheus, and a hash that tells changes.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import {
  compareUtf8,
  decodeUtf8Strict,
  encodeUtf8,
  errorMessage,
  MnemeError,
} from "../base/mod.ts";
import { expandEnv } from "../config/mod.ts";

/** Largest configuration that is expanded, bytes after decompression. */
const MAX_CONFIG = 64 * 1024 * 1024;

/** Reads a file; the error names it. */
export function readInput(path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw new MnemeError("not_found", `Cannot read ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/**
 * The configuration as Prometheus shall read it: decompressed when it is gzip, and with `$(NAME)`
 * replaced by environment variables.
 *
 * Throws: bad_data for an unset variable, broken gzip or more than 64 MiB.
 */
export async function expandConfig(
  input: Uint8Array<ArrayBuffer>,
  env: (name: string) => string | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const gzip = input.length >= 3 && input[0] === 0x1f && input[1] === 0x8b && input[2] === 8;
  const plain = gzip ? await gunzip(input) : input;
  let text: string;
  try {
    text = decodeUtf8Strict(plain);
  } catch {
    throw new MnemeError("bad_data", "the configuration is not UTF-8 text");
  }
  return encodeUtf8(expandEnv(text, env));
}

async function gunzip(input: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    const stream = new Blob([input]).stream().pipeThrough(new DecompressionStream("gzip"));
    for await (const part of stream) {
      size += part.length;
      if (size > MAX_CONFIG) {
        throw new MnemeError("limit", `the configuration is larger than ${MAX_CONFIG} bytes`);
      }
      parts.push(part);
    }
  } catch (error) {
    if (error instanceof MnemeError) throw error;
    throw new MnemeError("bad_data", `Cannot decompress the configuration: ${errorMessage(error)}`);
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * Writes a file under a temporary name and renames it, so that a reader never sees a part.
 *
 * A file that holds these bytes already is left alone: rewriting it would be a change to watch.
 */
export function replaceFile(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.tmp`;
  try {
    if (existsSync(path) && readFileSync(path).equals(bytes)) return;
    writeFileSync(temporary, bytes, { mode: 0o644 });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new MnemeError("permission", `Cannot write ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** SHA-256 over all inputs: for each file 0xFF, path, 0xFF, content; folders in lexical order. */
export function hashInputs(files: readonly string[], folders: readonly string[]): string {
  const hash = createHash("sha256");
  const add = (path: string) => {
    hash.update(Uint8Array.of(0xff));
    hash.update(path);
    hash.update(Uint8Array.of(0xff));
    hash.update(readInput(path));
  };
  for (const file of files) add(file);
  for (const folder of folders) walk(folder, add);
  return hash.digest("hex");
}

/**
 * What tells a changed input without reading it: place, size and time of each file. An input that
 * cannot be looked at counts as absent.
 */
export function lookAtInputs(files: readonly string[], folders: readonly string[]): string {
  const parts: string[] = [];
  const add = (path: string) => {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
    parts.push(`${path} ${stat?.dev} ${stat?.ino} ${stat?.size} ${stat?.mtimeNs}`);
  };
  try {
    for (const file of files) add(file);
    for (const folder of folders) walk(folder, add);
  } catch {
    // The next pass reads them and tells what is wrong.
    parts.push("unreadable");
  }
  return parts.join("\n");
}

/** Visits the files below a folder; symbolic links lead to files but not into folders. */
function walk(folder: string, visit: (path: string) => void): void {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    throw new MnemeError("not_found", `Cannot read folder ${folder}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  for (const entry of entries.sort((a, b) => compareUtf8(a.name, b.name))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) walk(path, visit);
    else if (entry.isFile()) visit(path);
    else if (entry.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isFile()) {
      visit(path);
    }
  }
}
