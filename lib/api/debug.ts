/** `/debug/pprof/`: profiles of the process for whoever may open the port; off unless asked for. */
import type { Hono } from "hono";
import { errorMessage } from "../base/mod.ts";

/** Makes profiles. */
export interface ProfileSource {
  cpu(seconds: number, signal?: AbortSignal): Promise<string>;
  heap(): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>;
}

const DEFAULT_SECONDS = 30;
const MAX_SECONDS = 300;
const OFF = "profiling is off; start the process with --debug.pprof\n";
const INDEX = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>profiles</title>
</head><body><h1>Profiles</h1><ul>
<li><a href="profile?seconds=30">profile</a>: CPU of the next 30 s (<code>?seconds=N</code>), opens
in the Performance panel of Chrome's developer tools</li>
<li><a href="heap">heap</a>: snapshot of the heap, opens in the Memory panel; the process stands
still while it is taken</li>
</ul></body></html>
`;

/** Adds the routes; without a source they say how to switch profiling on. */
export function addDebugRoutes(app: Hono, source: ProfileSource | undefined): void {
  const text = (body: string, status: number) =>
    new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
  if (source === undefined) {
    app.all("/debug/pprof/*", () => text(OFF, 404));
    return;
  }
  const file = (body: BodyInit, name: string) =>
    new Response(body, {
      headers: {
        "content-type": "application/json",
        "content-disposition": `attachment; filename="${name}"`,
      },
    });
  app.get("/debug/pprof/", (c) => c.html(INDEX));
  app.get("/debug/pprof/profile", async (c) => {
    const seconds = Number(c.req.query("seconds") ?? DEFAULT_SECONDS);
    if (!(seconds > 0 && seconds <= MAX_SECONDS)) {
      return text(`seconds must be a number above 0 and at most ${MAX_SECONDS}\n`, 400);
    }
    try {
      return file(await source.cpu(seconds, c.req.raw.signal), "mneme.cpuprofile");
    } catch (error) {
      return text(`${errorMessage(error)}\n`, 503);
    }
  });
  app.get("/debug/pprof/heap", async () => {
    try {
      return file(await source.heap(), "mneme.heapsnapshot");
    } catch (error) {
      return text(`${errorMessage(error)}\n`, 503);
    }
  });
  app.all(
    "/debug/pprof/*",
    () => text("no such profile; there are profile and heap, see /debug/pprof/\n", 404),
  );
}
