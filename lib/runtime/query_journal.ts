/**
 * The queries of this moment in a file, so that the next start can tell which ran at a crash.
 *
 * Layout, as Prometheus' `queries.active`: `[`, then slots of 1000 bytes, each a JSON object, a
 * comma and NUL bytes; an empty slot is NUL bytes only.
 */
import { errorMessage, MnemeError } from "../base/mod.ts";

const SLOT = 1000;
/** Room for the rest of an entry beside its query, escapes included. */
const MAX_QUERY = 900;
/** A file larger than this is not one of ours. */
const MAX_FILE = 64 * 1024 * 1024;

/** A query that had not ended when the process did. */
export interface UnfinishedQuery {
  readonly query: string;
  /** Seconds since the epoch. */
  readonly startedAt: number;
}

/** The file; one process holds it. */
export class QueryJournalFile {
  readonly #file: Deno.FsFile;
  readonly #taken: boolean[] = [];
  /** What the last process left behind. */
  readonly unfinished: readonly UnfinishedQuery[];

  private constructor(file: Deno.FsFile, unfinished: readonly UnfinishedQuery[]) {
    this.#file = file;
    this.unfinished = unfinished;
  }

  /**
   * Opens `queries.active` in a folder, which is made when it is missing, and empties it.
   *
   * Throws: unavailable.
   */
  static open(folder: string): QueryJournalFile {
    const path = `${folder}/queries.active`;
    try {
      Deno.mkdirSync(folder, { recursive: true });
      const file = Deno.openSync(path, { read: true, write: true, create: true });
      const { size } = file.statSync();
      const bytes = new Uint8Array(Math.min(size, MAX_FILE));
      let read = 0;
      while (read < bytes.length) {
        const n = file.readSync(bytes.subarray(read));
        if (n === null) break;
        read += n;
      }
      file.truncateSync(0);
      file.seekSync(0, Deno.SeekMode.Start);
      file.writeSync(new TextEncoder().encode("["));
      return new QueryJournalFile(file, parseEntries(bytes.subarray(0, read)));
    } catch (cause) {
      throw new MnemeError(
        "unavailable",
        `--query.active-query-path: cannot open ${path}: ${errorMessage(cause)}`,
        { cause },
      );
    }
  }

  /** Notes a query; returns what strikes it out. `startedAt` in ms. */
  begin(query: string, startedAt: number): () => void {
    let slot = this.#taken.indexOf(false);
    if (slot < 0) slot = this.#taken.length;
    this.#taken[slot] = true;
    this.#write(slot, encodeEntry(query, startedAt));
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#write(slot, new Uint8Array(SLOT));
      this.#taken[slot] = false;
    };
  }

  #write(slot: number, bytes: Uint8Array): void {
    // The system's cache outlives the process; only a crash of the machine loses what is written.
    this.#file.seekSync(1 + slot * SLOT, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
  }

  close(): void {
    this.#file.close();
  }
}

function encodeEntry(query: string, startedAt: number): Uint8Array {
  const bytes = new Uint8Array(SLOT);
  const encoder = new TextEncoder();
  for (let length = Math.min(query.length, MAX_QUERY);; length = Math.floor(length * 0.8)) {
    const text = query.slice(0, length).toWellFormed();
    const entry = JSON.stringify({
      query: length < query.length ? `${text}…` : text,
      timestamp_sec: Math.floor(startedAt / 1000),
    });
    const encoded = encoder.encode(`${entry},`);
    if (encoded.length > SLOT) continue;
    bytes.set(encoded);
    return bytes;
  }
}

function parseEntries(bytes: Uint8Array): UnfinishedQuery[] {
  const out: UnfinishedQuery[] = [];
  for (const piece of new TextDecoder().decode(bytes).replace(/^\[/, "").split("\0")) {
    if (piece === "") continue;
    try {
      const { query, timestamp_sec } = JSON.parse(piece.replace(/[,\]]+$/, ""));
      out.push({ query: String(query), startedAt: Number(timestamp_sec) });
    } catch {
      // Half a write of the moment the machine stopped.
    }
  }
  return out;
}
