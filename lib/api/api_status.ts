/** `/api/v1/status/flags`, `runtimeinfo` and `buildinfo`: what runs here and how it was started. */
import type { Hono } from "hono";
import type { BuildInfo } from "../telemetry/mod.ts";
import { dataResponse } from "./envelope.ts";
import { route } from "./route.ts";

/** Facts about the process. */
export interface StatusParts {
  /** Flags by name, secrets redacted. */
  readonly flags: Readonly<Record<string, string>>;
  readonly build: BuildInfo;
  /** Ms since the epoch. */
  readonly startTime: number;
  readonly cwd: string;
}

/** Adds the routes to an application whose base path is the route prefix. */
export function addStatusRoutes(app: Hono, parts: StatusParts): void {
  const { build } = parts;
  route(app, "/status/flags", ["GET"], () => dataResponse(parts.flags));
  // Names are those of the field's pages; what has no meaning outside Go is empty.
  route(app, "/status/runtimeinfo", ["GET"], () =>
    dataResponse({
      startTime: new Date(parts.startTime).toISOString(),
      CWD: parts.cwd,
      goroutineCount: 0,
      GOMAXPROCS: navigator.hardwareConcurrency,
      GOGC: "",
      GODEBUG: "",
      GOMEMLIMIT: 0,
    }));
  route(app, "/status/buildinfo", ["GET"], () =>
    dataResponse({
      version: build.version,
      revision: build.revision,
      branch: build.branch,
      buildUser: build.buildUser,
      buildDate: build.buildDate,
      goVersion: build.runtime,
    }));
}
