/** Stores and failures in the words of Thanos' messages. */
import { errorMessage } from "../base/mod.ts";
import { formatLabels, type Labels, MAX_TIME, MIN_TIME } from "../model/mod.ts";
import { RpcError, STATUS_DEADLINE_EXCEEDED, statusName, statusOf } from "../rpc/mod.ts";

/** A store as far as messages name it. */
export interface NamedStore {
  readonly address: string;
  readonly labelSets: readonly Labels[];
  readonly info: { readonly minTime: number; readonly maxTime: number };
}

/** A store as it is named in messages. */
export function storeText(store: NamedStore): string {
  return `Addr: ${store.address} MinTime: ${timeText(store.info.minTime)} ` +
    `MaxTime: ${timeText(store.info.maxTime)}`;
}

function timeText(ms: number): string {
  if (ms >= MAX_TIME) return "9223372036854775807";
  if (ms <= MIN_TIME) return "-9223372036854775808";
  return String(ms);
}

/** Its label sets; "Store Gateway" for one without. */
export function setsText(store: NamedStore): string {
  if (store.labelSets.length === 0) return "Store Gateway";
  return store.labelSets.map(formatLabels).join(",");
}

/** An error as a gRPC program would print it. */
export function rpcText(error: unknown): string {
  if (error instanceof RpcError) return error.message;
  const { code } = statusOf(error);
  return `rpc error: code = ${statusName(code)} desc = ${errorMessage(error)}`;
}

/** The failure of a call whose time is over. */
export function deadlineExceeded(): RpcError {
  return new RpcError(STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
}
