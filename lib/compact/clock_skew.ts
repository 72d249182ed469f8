/** Compares this clock with the bucket's, before something is deleted because of its age. */
import { type Clock, encodeUtf8 } from "../base/mod.ts";
import type { Bucket } from "../objstore/mod.ts";

/** Written over and over; outside of all blocks, where every reader ignores it. */
export const CLOCK_OBJECT = "debug/mneme-clock";

/** How far this clock is ahead of the bucket's, ms; the time that the answer took is not counted. */
export async function bucketClockSkew(
  bucket: Bucket,
  clock: Clock,
  signal?: AbortSignal,
): Promise<number> {
  const options = signal === undefined ? {} : { signal };
  const before = clock.now();
  await bucket.upload(CLOCK_OBJECT, encodeUtf8(`${new Date(before).toISOString()}\n`), options);
  const after = clock.now();
  const { lastModified } = await bucket.attributes(CLOCK_OBJECT, options);
  if (lastModified < before) return before - lastModified;
  return lastModified > after ? after - lastModified : 0;
}
