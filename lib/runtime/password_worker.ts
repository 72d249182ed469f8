/** Compares passwords with bcrypt hashes, away from the thread that answers requests. */
import { compareSync } from "bcryptjs";

interface Question {
  readonly id: number;
  readonly password: string;
  readonly hash: string;
}

/** The part of a worker's global scope that is used here. */
interface Scope {
  onmessage: ((event: MessageEvent<Question>) => void) | null;
  postMessage(message: unknown): void;
}

const scope = globalThis as unknown as Scope;
scope.onmessage = ({ data: { id, password, hash } }) => {
  let matches = false;
  try {
    matches = compareSync(password, hash);
  } catch {
    // No hash of bcrypt: nothing matches it.
  }
  scope.postMessage({ id, matches });
};
