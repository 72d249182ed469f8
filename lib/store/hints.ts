/** Hints of the Store API that store gateways read and send (package hintspb). */
import { makeMatcher, type Matcher, type MatchType } from "../model/mod.ts";
import { ProtoReader, ProtoWriter } from "../rpc/mod.ts";
import type { AnyMessage } from "../storeapi/mod.ts";

const PREFIX = "type.googleapis.com/hintspb.";
const MATCH_TYPES: readonly MatchType[] = ["=", "!=", "=~", "!~"];

/** Kinds of requests whose hints carry matchers on blocks. */
export type HintedRequest = "Series" | "LabelNames" | "LabelValues";

/**
 * Matchers on external labels and `__block_id` that choose blocks; empty without hints of the kind.
 *
 * Throws: CorruptionError for broken bytes, bad_data for a broken pattern.
 */
export function blockMatchers(request: HintedRequest, hints: AnyMessage | undefined): Matcher[] {
  if (hints === undefined || hints.typeUrl !== `${PREFIX}${request}RequestHints`) return [];
  const matchers: Matcher[] = [];
  const r = new ProtoReader(hints.value);
  while (r.next()) {
    if (r.field !== 1) {
      r.skip();
      continue;
    }
    let type = 0;
    let name = "";
    let value = "";
    r.message((field) => {
      if (field === 1) type = r.int32();
      else if (field === 2) name = r.string();
      else if (field === 3) value = r.string();
      else return false;
    });
    matchers.push(makeMatcher(MATCH_TYPES[type] ?? "=", name, value));
  }
  return matchers;
}

/** Hints of an answer: the blocks that were queried. */
export function queriedBlocks(
  request: "LabelNames" | "LabelValues",
  ulids: readonly string[],
): AnyMessage {
  const w = new ProtoWriter();
  for (const ulid of ulids) {
    const token = w.open(1, ulid.length + 2);
    w.string(1, ulid);
    w.close(token);
  }
  return { typeUrl: `${PREFIX}${request}ResponseHints`, value: w.finish() };
}
