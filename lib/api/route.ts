/** Routes of the API: a handler for some methods, 405 for the rest. */
import type { Context, Hono } from "hono";

/** Adds `/api/v1<path>`; errors that `run` throws become the JSON envelope in `app.ts`. */
export function route(
  app: Hono,
  path: string,
  methods: readonly string[],
  run: (c: Context) => Response | Promise<Response>,
): void {
  const full = `/api/v1${path}`;
  app.on([...methods], full, (c) => c.req.raw.method === "HEAD" ? refuse(methods) : run(c));
  app.all(full, () => refuse(methods));
}

function refuse(methods: readonly string[]): Response {
  return new Response("Method Not Allowed\n", {
    status: 405,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      allow: [...methods, "OPTIONS"].join(", "),
    },
  });
}
