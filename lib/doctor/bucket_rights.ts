/** Whether the bucket lets Mneme do what it must, and whether its clock agrees with ours. */
import { type Clock, errorKind, errorMessage, makeUlid } from "../base/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import { type Finding, findingsOf } from "./finding.ts";

/** Folder of the test object: no block has such a name. */
const FOLDER = "debug/doctor";
/** Differences of clocks that are noted and that do harm, ms. */
const SKEW_WARNING = 30_000;
const SKEW_ERROR = 300_000;

/** What each operation is needed for, and the right that S3 calls it by. */
const RIGHTS = {
  upload: ["write", "s3:PutObject: needed by the sidecar and the compactor"],
  get: ["read", "s3:GetObject: needed by every part"],
  getRange: ["read ranges", "s3:GetObject with Range: needed by the store gateway"],
  attributes: ["tell attributes", "s3:GetObject (HEAD): needed by the compactor"],
  iter: ["list", "s3:ListBucket: needed by the store gateway and the compactor"],
  delete: ["delete", "s3:DeleteObject: needed by the compactor"],
} as const;

const UNREACHABLE = "check address, name, credentials and network of the bucket";

function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Settings of the check. */
export interface BucketRightsOptions {
  readonly clock: Clock;
  /** Only read: nothing is written or deleted. */
  readonly readOnly: boolean;
  readonly signal?: AbortSignal;
}

/** Writes, reads, lists and deletes a small object, and says which of it is refused. */
export async function checkBucketRights(
  bucket: Bucket,
  options: BucketRightsOptions,
): Promise<Finding[]> {
  const { clock, readOnly, signal } = options;
  const call = signal === undefined ? {} : { signal };
  const say = findingsOf("bucket");
  const findings: Finding[] = [];
  const attempt = async (right: keyof typeof RIGHTS, work: () => Promise<string | void>) => {
    const [verb, needed] = RIGHTS[right];
    try {
      const wrong = await work();
      if (wrong !== undefined) findings.push(say.error(`cannot ${verb}: ${wrong}`));
      return wrong === undefined;
    } catch (error) {
      const denied = errorKind(error) === "permission";
      findings.push(
        say.error(
          `cannot ${verb} in ${bucket.name}: ${errorMessage(error)}`,
          denied ? `grant ${needed}` : UNREACHABLE,
        ),
      );
      return false;
    }
  };
  const list = () =>
    attempt("iter", async () => {
      for await (const _entry of bucket.iter("", call)) return;
    });
  if (readOnly) {
    if (await list()) findings.push(say.ok(`${bucket.name} can be listed (write checks left out)`));
    return findings;
  }
  const name = `${FOLDER}/${makeUlid(clock.now())}`;
  const body = new TextEncoder().encode("written by mneme doctor, to be removed at once\n");
  const began = clock.now();
  const steps: boolean[] = [await list()];
  // A bucket that cannot be reached need not be asked five times.
  if (findings.some(({ cure }) => cure === UNREACHABLE)) return findings;
  const written = await attempt("upload", () => bucket.upload(name, body, call));
  steps.push(written);
  if (written) {
    const ended = clock.now();
    steps.push(
      await attempt(
        "get",
        async () =>
          bytesEqual(await bucket.get(name, call), body) ? undefined : "other bytes came back",
      ),
      await attempt("getRange", async () => {
        const part = await bucket.getRange(name, 8, 2, call);
        return bytesEqual(part, body.subarray(8, 10)) ? undefined : "ranges are not honoured";
      }),
      await attempt("attributes", async () => {
        const { size, lastModified } = await bucket.attributes(name, call);
        findings.push(...checkSkew("bucket", lastModified, began, ended));
        return size === body.length ? undefined : `the size is told as ${size}`;
      }),
      await attempt("iter", async () => {
        for await (const entry of bucket.iter(`${FOLDER}/`, call)) {
          if (entry.name === name) return;
        }
        return "an object is not listed right after it was written; such a store loses blocks";
      }),
      await attempt("delete", () => bucket.delete(name, call)),
    );
  }
  if (steps.every(Boolean)) {
    findings.unshift(say.ok(`${bucket.name} can be listed, written, read and deleted in`));
  }
  return findings;
}

/** Compares a time that another machine told between two readings of our clock; ms. */
export function checkSkew(
  what: string,
  theirs: number,
  before: number,
  after: number,
): Finding[] {
  const say = findingsOf("clock");
  // Times are told in whole seconds at times.
  const skew = theirs < before - 1000
    ? theirs - before
    : theirs > after + 1000
    ? theirs - after
    : 0;
  const seconds = Math.abs(skew / 1000).toFixed(0);
  const text = `the clock of the ${what} is ${seconds} s ${skew > 0 ? "ahead of" : "behind"} ours`;
  const cure = "run NTP on both machines; delays of deletion and consistency depend on clocks";
  if (Math.abs(skew) >= SKEW_ERROR) return [say.error(text, cure)];
  if (Math.abs(skew) >= SKEW_WARNING) return [say.warning(text, cure)];
  return [say.ok(`the clock of the ${what} agrees with ours`)];
}
