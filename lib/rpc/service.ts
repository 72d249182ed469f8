/**
 * What a server serves: tables of methods over raw message bytes. Nothing here knows a transport,
 * so another one can take the place of h2/.
 */

/** Circumstances of a call, as a handler sees them. */
export interface ServerCall {
  /** Aborts when the client goes away, the deadline passes or the server stops for good. */
  readonly signal: AbortSignal;
  /** Aborts when the server begins to stop: endless streams should end. */
  readonly stopping: AbortSignal;
  /** Request metadata (text values only), names in lower case. */
  readonly metadata: ReadonlyMap<string, string>;
  /** `host:port` of the client. */
  readonly peer: string;
}

/** One request, one response. */
export interface UnaryMethod {
  readonly kind: "unary";
  handle(request: Uint8Array, call: ServerCall): Promise<Uint8Array>;
}

/** One request, many responses; the next response is asked for when there is room for it. */
export interface ServerStreamMethod {
  readonly kind: "server_stream";
  handle(request: Uint8Array, call: ServerCall): AsyncIterable<Uint8Array>;
  /** Called when a response was copied out of its memory, which the method may then use again. */
  recycle?(response: Uint8Array): void;
}

/** Many requests, many responses. */
export interface BidiMethod {
  readonly kind: "bidi";
  handle(requests: AsyncIterable<Uint8Array>, call: ServerCall): AsyncIterable<Uint8Array>;
}

/** A method of a service. */
export type Method = UnaryMethod | ServerStreamMethod | BidiMethod;

/** A service and its methods by name. */
export interface Service {
  /** Full name with package, e.g. `thanos.Store`. */
  readonly name: string;
  readonly methods: Readonly<Record<string, Method>>;
}

/** Told of every call, for metrics and logs; all members optional. */
export interface ServerObserver {
  started?(service: string, method: string, kind: Method["kind"]): void;
  /** Runs a call's handler, within a trace for instance; calls `work` once and passes its end on. */
  around?(
    call: {
      readonly service: string;
      readonly method: string;
      readonly metadata: ReadonlyMap<string, string>;
      readonly peer: string;
    },
    work: () => Promise<void>,
  ): Promise<void>;
  received?(service: string, method: string, kind: Method["kind"]): void;
  sent?(service: string, method: string, kind: Method["kind"]): void;
  /** A connection beyond the limit was turned away. */
  refused?(peer: string): void;
  /** `seconds` since the start; `error` is what the handler threw, if it did. */
  ended?(call: {
    readonly service: string;
    readonly method: string;
    readonly kind: Method["kind"];
    readonly code: number;
    readonly seconds: number;
    readonly peer: string;
    readonly error: unknown;
  }): void;
}

/** Told of every call that a client makes, its retries included. */
export interface ClientObserver {
  started(call: {
    readonly service: string;
    readonly method: string;
    readonly kind: "unary" | "server_stream";
    readonly address: string;
  }): ClientCallObserver;
}

/** Told how one call goes on. */
export interface ClientCallObserver {
  /** Sent beside the caller's own metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  received?(messages: number): void;
  /** `error` is what ended the call, if it failed; a reader that leaves early ends it as canceled. */
  ended?(code: number, seconds: number, error: unknown): void;
}
