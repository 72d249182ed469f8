/**
 * Copies of blocks in the work directory, `compact/<group key>/<ULID>`. Blocks made here stay until
 * they are compacted further, so they are not fetched again.
 */
import { isUlid } from "../base/mod.ts";
import { downloadBlock } from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { Files } from "../tsdb/mod.ts";

/** Name of the folder inside the data directory. */
export const COMPACT_FOLDER = "compact";

/** The copies. */
export class LocalBlocks {
  readonly #bucket: Bucket;
  readonly #files: Files;
  readonly #folder: string;
  /** Copies that are known to be whole, by id: fetched or made by this process. */
  readonly #whole = new Map<string, string>();

  constructor(bucket: Bucket, files: Files, dataDirectory: string) {
    this.#bucket = bucket;
    this.#files = files;
    this.#folder = `${dataDirectory}/${COMPACT_FOLDER}`;
  }

  /** The directory of a group, made when missing. */
  groupDirectory(key: string): string {
    const path = `${this.#folder}/${key}`;
    this.#files.mkdir(path);
    return path;
  }

  /** The copy of a block, if this process knows it to be whole. */
  whole(ulid: string): string | undefined {
    return this.#whole.get(ulid);
  }

  /** Notes that the block in `directory` is whole. */
  keep(ulid: string, directory: string): void {
    this.#whole.set(ulid, directory);
  }

  /** A copy of a block, fetched when there is none; files with the right hash are kept. */
  async fetch(
    ulid: string,
    key: string,
    options: { readonly concurrency: number; readonly signal?: AbortSignal },
  ): Promise<string> {
    const known = this.#whole.get(ulid);
    if (known !== undefined) return known;
    const directory = `${this.groupDirectory(key)}/${ulid}`;
    await downloadBlock(this.#bucket, this.#files, ulid, directory, {
      ...options,
      sync: false,
      link: true,
    });
    this.#whole.set(ulid, directory);
    return directory;
  }

  /** Removes a copy. */
  drop(ulid: string, key: string): void {
    this.#whole.delete(ulid);
    this.#files.remove(`${this.#folder}/${key}/${ulid}`);
  }

  /** Removes everything that is not `<group key>/<ULID>` of a block in `groups`. */
  clean(groups: ReadonlyMap<string, ReadonlySet<string>>): void {
    if (this.#files.stat(this.#folder) === undefined) return;
    for (const { name: key } of this.#files.list(this.#folder)) {
      const blocks = groups.get(key);
      const path = `${this.#folder}/${key}`;
      if (blocks === undefined || this.#files.stat(path)?.isDirectory !== true) {
        this.#files.remove(path);
        continue;
      }
      for (const { name } of this.#files.list(path)) {
        if (!isUlid(name) || !blocks.has(name)) this.#files.remove(`${path}/${name}`);
      }
    }
    for (const [ulid, directory] of this.#whole) {
      if (this.#files.stat(directory) === undefined) this.#whole.delete(ulid);
    }
  }

  /** Removes all copies. */
  removeAll(): void {
    this.#whole.clear();
    this.#files.remove(this.#folder);
  }
}
