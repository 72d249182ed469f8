/** Names of objects: one rule for every bucket, checked before anything is touched. */
import { MnemeError } from "../base/mod.ts";

/**
 * Checks the name of an object.
 *
 * Throws: bad_data when the name is empty, starts with "/", has an empty, "." or ".." part, or
 * holds a NUL or half a surrogate pair.
 */
export function checkObjectName(name: string): void {
  const reason = nameFault(name);
  if (reason !== undefined) refuse(name, reason);
}

/** True for names that checkObjectName() accepts. */
export function isObjectName(name: string): boolean {
  return nameFault(name) === undefined;
}

/**
 * The prefix that entries below `dir` share: "" for the root, else `dir` with one "/" at its end.
 *
 * Throws: bad_data as checkObjectName().
 */
export function dirPrefix(dir: string): string {
  let end = dir.length;
  while (end > 0 && dir.charCodeAt(end - 1) === 0x2f) end--;
  if (end === 0) {
    if (dir.length > 1) refuse(dir, "it has an empty part");
    return "";
  }
  const bare = dir.slice(0, end);
  checkObjectName(bare);
  return bare + "/";
}

function nameFault(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (name.includes("\0")) return "it holds a NUL character";
  if (!name.isWellFormed()) return "it is no valid Unicode";
  if (name.startsWith("/")) return "it starts with a slash";
  for (const part of name.split("/")) {
    if (part === "") return "it has an empty part";
    if (part === "." || part === "..") return `it has the part "${part}"`;
  }
  return undefined;
}

function refuse(name: string, reason: string): never {
  throw new MnemeError("bad_data", `Cannot use object name ${JSON.stringify(name)}: ${reason}`);
}

/**
 * Checks the arguments of getRange().
 *
 * Throws: bad_data for a negative or fractional offset, or a length below -1.
 */
export function checkRange(name: string, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (whole && offset >= 0 && length >= -1) return;
  throw new MnemeError(
    "bad_data",
    `Cannot read range of object ${name}: offset ${offset}, length ${length}`,
  );
}

/** The error of every bucket for an object that is not there. */
export function objectNotFound(name: string, bucket: string, cause?: unknown): MnemeError {
  return new MnemeError("not_found", `Cannot find object ${name} in bucket ${bucket}`, {
    cause,
    attrs: { object: name },
  });
}

/** The error of an upload that must not overwrite, when there is an object already. */
export function objectExists(name: string, bucket: string): MnemeError {
  return new MnemeError(
    "conflict",
    `Cannot upload object ${name} to bucket ${bucket}: it is there already`,
    { attrs: { object: name } },
  );
}
