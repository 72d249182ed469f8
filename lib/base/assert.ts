/** Assertions for our own mistakes; they stay on in production and never stand inside hot loops. */
import { MnemeError } from "./errors.ts";

/** Throws an `internal` error when `condition` is false. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new MnemeError("internal", `Assertion failed: ${message}`);
}

/** Marks a branch that the types say cannot be reached. */
export function unreachable(value: never, what = "value"): never {
  throw new MnemeError("internal", `Assertion failed: unexpected ${what} ${String(value)}`);
}
