/** Errors of the stores below a querier, in the words its users see. */
import { errorKind, errorMessage, MnemeError } from "../base/mod.ts";

/**
 * A failure of the stores as the user of a query sees it: an execution error that names the call.
 * What the user wished (cancelling) stays what it is.
 */
export function proxyError(what: string, error: unknown): unknown {
  if (errorKind(error) === "canceled") return error;
  return new MnemeError("execution", `${what}: ${errorMessage(error)}`, { cause: error });
}
