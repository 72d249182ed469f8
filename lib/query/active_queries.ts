/**
 * The queries of this moment: listed, cancelled by id, and kept in a journal that survives a crash.
 */
import { type Clock, MnemeError } from "../base/mod.ts";
import type { QueryRecorder } from "./query_recorder.ts";

/** Notes what runs where it survives the process. */
export interface QueryJournal {
  /** Notes a query; returns what strikes it out again. */
  begin(query: string, startedAt: number): () => void;
}

/** What is known of a query when it arrives. Times in ms; `step` is 0 for an instant query. */
export interface QueryDescription {
  readonly query: string;
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly tenant: string;
}

/** A query that waits or runs. Units: ms. */
export interface RunningQuery extends QueryDescription {
  readonly id: string;
  readonly elapsed: number;
  /** It still waits for its turn. */
  readonly queued: boolean;
  /** Samples that stores have sent for it so far. */
  readonly samples: number;
}

/** A query in the list, as its runner holds it. */
export class ActiveQuery {
  readonly id: string;
  readonly description: QueryDescription;
  readonly recorder: QueryRecorder;
  readonly startedAt: number;
  readonly #cancel = new AbortController();
  readonly #onEnd: () => void;
  #strikeOut: (() => void) | undefined;
  queued = true;

  constructor(
    id: string,
    description: QueryDescription,
    recorder: QueryRecorder,
    startedAt: number,
    onEnd: () => void,
  ) {
    this.id = id;
    this.description = description;
    this.recorder = recorder;
    this.startedAt = startedAt;
    this.#onEnd = onEnd;
  }
  /** Aborts when someone cancels the query. */
  get signal(): AbortSignal {
    return this.#cancel.signal;
  }
  cancel(): void {
    this.#cancel.abort(new MnemeError("canceled", "the query was canceled on request"));
  }
  /** Its turn has come. */
  run(journal: QueryJournal | undefined): void {
    this.queued = false;
    this.#strikeOut = journal?.begin(this.description.query, this.startedAt);
  }
  end(): void {
    this.#strikeOut?.();
    this.#strikeOut = undefined;
    this.#onEnd();
  }
}

/** The list. */
export class ActiveQueries {
  readonly #clock: Clock;
  readonly #journal: QueryJournal | undefined;
  readonly #makeId: () => string;
  readonly #all = new Map<string, ActiveQuery>();

  constructor(options: {
    readonly clock: Clock;
    readonly makeId: () => string;
    readonly journal?: QueryJournal;
  }) {
    this.#clock = options.clock;
    this.#makeId = options.makeId;
    this.#journal = options.journal;
  }

  get journal(): QueryJournal | undefined {
    return this.#journal;
  }

  /** Takes a query into the list until its end(). */
  add(description: QueryDescription, recorder: QueryRecorder): ActiveQuery {
    const id = this.#makeId();
    const query = new ActiveQuery(
      id,
      description,
      recorder,
      this.#clock.now(),
      () => this.#all.delete(id),
    );
    this.#all.set(id, query);
    return query;
  }

  /** The queries, longest running first; only those of `tenant` when given. */
  list(tenant?: string): RunningQuery[] {
    const now = this.#clock.now();
    return [...this.#all.values()]
      .filter((q) => tenant === undefined || q.description.tenant === tenant)
      .map((q) => ({
        id: q.id,
        ...q.description,
        elapsed: now - q.startedAt,
        queued: q.queued,
        samples: q.recorder.samples,
      }));
  }

  /** Cancels a query; false when there is none of that id (and tenant, when given). */
  cancel(id: string, tenant?: string): boolean {
    const query = this.#all.get(id);
    if (query === undefined) return false;
    if (tenant !== undefined && query.description.tenant !== tenant) return false;
    query.cancel();
    return true;
  }
}
