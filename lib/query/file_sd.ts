/** Endpoints out of Prometheus' file service discovery: YAML or JSON lists of target groups. */
import { errorMessage, MnemeError } from "../base/mod.ts";
import { readConfig, schema } from "../config/mod.ts";

/** What file discovery needs of the file system. */
export interface DiscoveryFiles {
  /** Paths that match a pattern, sorted. */
  find(pattern: string): readonly string[];
  read(path: string): string;
  /** Changes when the file does. */
  version(path: string): string;
}

const groups = schema.list(schema.object({
  targets: schema.list(schema.string()),
  labels: schema.map(schema.string()),
}));

/** The addresses in a file's text. Throws: bad_data. */
export function parseTargetGroups(text: string, path: string): string[] {
  if (!/\.(?:json|ya?ml)$/.test(path)) {
    throw new MnemeError("bad_data", `${path}: discovery files end in .json, .yml or .yaml`);
  }
  return readConfig(groups, text, { name: path }).flatMap((group) => group.targets);
}

interface KnownFile {
  version: string;
  readAt: number;
  targets: readonly string[];
}

/** Reads the files again when they change, and now and then in any case. */
export class FileDiscovery {
  readonly #patterns: readonly string[];
  readonly #files: DiscoveryFiles;
  readonly #interval: number;
  readonly #now: () => number;
  readonly #onFailure: (path: string, cause: string) => void;
  #known = new Map<string, KnownFile>();
  readonly #broken = new Map<string, string>();

  constructor(patterns: readonly string[], options: {
    readonly files: DiscoveryFiles;
    /** Longest time without reading a file again, ms. */
    readonly interval: number;
    readonly now: () => number;
    /** Told once of each file that cannot be read; its last targets stay. */
    readonly onFailure: (path: string, cause: string) => void;
  }) {
    this.#patterns = patterns;
    this.#files = options.files;
    this.#interval = options.interval;
    this.#now = options.now;
    this.#onFailure = options.onFailure;
  }

  /** The addresses of the moment; a file that is gone takes its targets with it. */
  addresses(): string[] {
    const found = new Map<string, KnownFile>();
    for (const pattern of this.#patterns) {
      for (const path of this.#files.find(pattern)) {
        const file = this.#read(path);
        if (file !== undefined) found.set(path, file);
      }
    }
    this.#known = found;
    return [...new Set([...found.values()].flatMap((file) => file.targets))];
  }

  #read(path: string): KnownFile | undefined {
    const known = this.#known.get(path);
    const now = this.#now();
    try {
      const version = this.#files.version(path);
      if (known?.version === version && now - known.readAt < this.#interval) return known;
      const targets = parseTargetGroups(this.#files.read(path), path);
      this.#broken.delete(path);
      return { version, readAt: now, targets };
    } catch (error) {
      const cause = errorMessage(error);
      if (this.#broken.get(path) !== cause) this.#onFailure(path, cause);
      this.#broken.set(path, cause);
      return known;
    }
  }
}
