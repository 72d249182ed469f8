/** `/api/v1/blocks` and `/api/v1/blocks/mark`: the blocks a component has, and marks on them. */
import type { Context, Hono } from "hono";
import { type Clock, isUlid, MnemeError } from "../base/mod.ts";
import {
  DELETION_MARK_FILE,
  type MarkFile,
  NO_COMPACT_MANUAL,
  NO_COMPACT_MARK_FILE,
  writeMark,
} from "../block/mod.ts";
import { quoteGo } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import { type BlockMeta, printBlockMeta } from "../tsdb/mod.ts";
import { dataResponse } from "./envelope.ts";
import { route } from "./route.ts";

/** Blocks at some moment. */
export interface BlocksView {
  readonly blocks: readonly BlockMeta[];
  /** Ms, 0 = never. */
  readonly refreshedAt: number;
  readonly error: Error | undefined;
}

/** What the routes need. */
export interface BlockRoutesParts {
  readonly bucket: Bucket;
  readonly clock: Clock;
  /** External label that groups blocks on the page. */
  readonly label: string;
  /** Refuse to write marks. */
  readonly adminDisabled: boolean;
  /** Blocks loaded by this component. */
  readonly loaded: () => BlocksView;
  /** All blocks of the bucket, where the component knows them. */
  readonly global?: () => BlocksView;
  /** Further members of the answer: markers, plans, reasons. */
  readonly notes?: () => Readonly<Record<string, unknown>>;
}

const NOTHING: BlocksView = { blocks: [], refreshedAt: 0, error: undefined };
const MARKS: Readonly<Record<string, { file: MarkFile; reason: string }>> = {
  DELETION: { file: DELETION_MARK_FILE, reason: "" },
  NO_COMPACTION: { file: NO_COMPACT_MARK_FILE, reason: NO_COMPACT_MANUAL },
};

/** Adds the routes. */
export function addBlockRoutes(app: Hono, parts: BlockRoutesParts): void {
  route(app, "/blocks", ["GET"], (c) => {
    const view = c.req.query("view") === "loaded" ? parts.loaded() : parts.global?.() ?? NOTHING;
    return dataResponse({
      label: parts.label,
      blocks: view.blocks.map((meta) => JSON.parse(printBlockMeta(meta)) as unknown),
      refreshedAt: view.refreshedAt === 0
        ? "0001-01-01T00:00:00Z"
        : new Date(view.refreshedAt).toISOString(),
      err: view.error?.message ?? null,
      ...parts.notes?.(),
    });
  });
  route(app, "/blocks/mark", ["POST"], (c) => mark(c, parts));
}

async function mark(c: Context, parts: BlockRoutesParts): Promise<Response> {
  refuseOtherSites(c);
  if (parts.adminDisabled) throw new MnemeError("bad_data", "Admin operations are disabled");
  const form = await c.req.parseBody();
  const field = (name: string) => typeof form[name] === "string" ? form[name] : "";
  const id = field("id");
  if (id === "") throw new MnemeError("bad_data", "ID cannot be empty");
  if (!isUlid(id)) {
    const reason = id.length === 26 ? "ulid: bad data" : "ulid: bad data size when unmarshaling";
    throw new MnemeError("bad_data", `ULID ${quoteGo(id)} is not valid: ${reason}`);
  }
  const action = field("action");
  if (action === "") throw new MnemeError("bad_data", "Action cannot be empty");
  const kind = Object.hasOwn(MARKS, action) ? MARKS[action] : undefined;
  if (kind === undefined) throw new MnemeError("bad_data", `not supported marker ${action}`);
  await writeMark(
    parts.bucket,
    {
      ulid: id,
      time: parts.clock.now(),
      details: field("detail"),
      reason: kind.reason,
    },
    kind.file,
  );
  return new Response(null, { status: 204 });
}

/** A page of another site may send forms here, but must not change the bucket with them. */
function refuseOtherSites(c: Context): void {
  const origin = c.req.header("origin");
  if (origin === undefined) return;
  const host = c.req.header("host") ?? new URL(c.req.url).host;
  let from = "";
  try {
    from = new URL(origin).host;
  } catch {
    // `null` and the like: nobody we know.
  }
  if (from !== host) {
    throw new MnemeError("bad_data", `Admin operations are refused for pages of ${origin}`);
  }
}
