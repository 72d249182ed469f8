/** The house rules as functions from sources to complaints, so that each can be tested alone. */
import { blankTexts, importsOf, resolveFrom } from "./imports.ts";
import { BANNED_NAMES, COMMAND_LINES, DENO_ALLOWED, LAYERS, PACKAGES } from "./layers.ts";

/** A source file: path from the root, and text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** Tests, contract suites, benchmarks, fuzzers, examples, data makers: bound by fewer rules. */
export function isTestFile(path: string): boolean {
  return /^(?:tests|examples|proto)\//.test(path) || path.includes("/testing/") ||
    path.endsWith("/acceptance.ts") || /_(?:test|bench|fuzz)\.tsx?$/.test(path);
}

/** The module of a path in `lib/`, undefined elsewhere. */
export function moduleOf(path: string): string | undefined {
  return /^lib\/([^/]+)\//.exec(path)?.[1];
}

function at(source: Source, line: number, message: string): string {
  return `${source.path}:${line}: ${message}`;
}

/** Imports go strictly downward, and across modules only through `mod.ts`. */
export function checkLayers(source: Source): string[] {
  const complaints: string[] = [];
  const from = moduleOf(source.path);
  const isLib = from !== undefined;
  const fromLayer = isLib ? LAYERS[from] : Infinity;
  if (isLib && fromLayer === undefined) {
    return [at(source, 1, `module '${from}' has no layer: add it to tests/tidy/layers.ts`)];
  }
  for (const { specifier, line } of importsOf(source.text)) {
    if (!specifier.startsWith(".")) {
      if (/^(?:https?|npm|jsr|file):/.test(specifier)) {
        complaints.push(at(source, line, `'${specifier}': name packages as deno.json does`));
      }
      continue;
    }
    const target = resolveFrom(source.path, specifier);
    const to = moduleOf(target);
    if (target.startsWith("ui/") !== source.path.startsWith("ui/") && !isTestFile(source.path)) {
      complaints.push(at(source, line, `'${specifier}': the pages are a tree of their own`));
      continue;
    }
    if (isTestFile(source.path)) continue;
    if (isTestFile(target)) {
      complaints.push(at(source, line, `'${specifier}' is for tests`));
      continue;
    }
    if (to === undefined) {
      if (isLib) complaints.push(at(source, line, `'${specifier}' is outside lib`));
      continue;
    }
    if (to === from) continue;
    const toLayer = LAYERS[to];
    if (toLayer === undefined || toLayer >= fromLayer!) {
      complaints.push(
        at(
          source,
          line,
          `'${from ?? "cmd"}' (layer ${fromLayer}) must not import '${to}' ` +
            `(layer ${toLayer}): imports go strictly downward`,
        ),
      );
    } else if (target !== `lib/${to}/mod.ts`) {
      complaints.push(at(source, line, `import lib/${to}/mod.ts instead of '${specifier}'`));
    }
  }
  return complaints;
}

/** An npm package is named in one place; `hono`'s types may be named where routes are handed over. */
export function checkPackages(source: Source): string[] {
  const complaints: string[] = [];
  for (const { specifier, line, typeOnly } of importsOf(source.text)) {
    if (specifier.startsWith(".") || specifier.startsWith("node:")) continue;
    const name = Object.keys(PACKAGES).find((p) =>
      specifier === p || specifier.startsWith(`${p}/`)
    );
    if (name === undefined) {
      complaints.push(at(source, line, `'${specifier}' is not in the list of packages`));
      continue;
    }
    const place = PACKAGES[name]!;
    const fits = place.endsWith("/") ? source.path.startsWith(place) : source.path === place;
    const testOnly = place === "tests/" && isTestFile(source.path);
    const cmdType = typeOnly && source.path.startsWith("cmd/");
    if (!fits && !testOnly && !cmdType) {
      complaints.push(at(source, line, `'${name}' is named in ${place} only`));
    }
  }
  return complaints;
}

/** Deno's own API stays at the edges, so that the rest can run elsewhere. */
export function checkDeno(source: Source): string[] {
  if (!source.path.startsWith("lib/") || isTestFile(source.path)) return [];
  if (DENO_ALLOWED.some((p) => p.endsWith("/") ? source.path.startsWith(p) : source.path === p)) {
    return [];
  }
  return linesMatching(
    source,
    blankTexts(source.text),
    /\bDeno\s*\./,
    "Deno's API is used only in " +
      `cmd, ${DENO_ALLOWED.join(", ")} and tests`,
  );
}

/** A pattern put together once, from constants, at the top level of a module. */
const CONSTANT_PATTERN = /^(?:export )?const [A-Z0-9_]+ = new RegExp\($/gm;

/** No BigInt where samples flow; no JavaScript regular expression made of data. */
export function checkSamplePath(source: Source): string[] {
  if (isTestFile(source.path)) return [];
  const code = blankTexts(source.text);
  const complaints: string[] = [];
  if (/^lib\/(?:chunks|promql|dedup)\//.test(source.path)) {
    complaints.push(
      ...linesMatching(
        source,
        code,
        /\bBigInt\b|\bBig(?:Int|Uint)64Array\b|\b\d+n\b/,
        "no BigInt " +
          "where samples flow: use 32-bit halves",
      ),
    );
  }
  if (source.path.startsWith("lib/") && source.path !== "lib/model/regexp.ts") {
    complaints.push(
      ...linesMatching(
        source,
        code.replace(CONSTANT_PATTERN, ""),
        /\bnew RegExp\(|(?<![\w.])RegExp\(/,
        "a pattern made of data " +
          "goes through lib/model/regexp.ts",
      ),
    );
  }
  return complaints;
}

/** Commands stay thin. */
export function checkCommandLength(source: Source): string[] {
  // Tables of flags hold no logic and may be long.
  if (!/^cmd\/[^/]+\.ts$/.test(source.path) || /flags/.test(source.path)) return [];
  if (isTestFile(source.path)) return [];
  const lines = source.text.split("\n").length - 1;
  return lines < COMMAND_LINES ? [] : [
    at(source, lines, `${lines} lines: commands have under ${COMMAND_LINES}; move logic to lib`),
  ];
}

/** Names of registries, paths of one machine, leftovers. Works on any text file. */
export function checkText(source: Source): string[] {
  const banned: readonly (readonly [RegExp, string])[] = [
    [
      new RegExp(
        ["registry\\.", "npmjs|proxy\\.", "golang|pypi\\.", "org|deb\\.", "debian"].join(""),
      ),
      "names the host of a registry",
    ],
    [/(?:^|[\s"'`(=:])\/(?:home|root|Users|work)\/[a-z]/, "a path of one machine"],
    [/(?:^|[\s"'`(=:])\/tmp\/(?!mneme\b)[a-z]/, "a path of one machine"],
    [new RegExp(`\\b(?:${["FIX", "ME|XX", "X"].join("")})\\b(?!=)`), "unfinished work"],
  ];
  return banned.flatMap(([pattern, message]) =>
    linesMatching(source, source.text, pattern, message)
  );
}

/** Folders and files are named after what is in them, in snake_case. */
export function checkName(path: string): string[] {
  if (BANNED_NAMES.test(path)) {
    return [`${path}: say what is inside instead of utils, helpers, misc`];
  }
  // Folders of examples carry the names people type.
  const named = path.replace(/^examples\/[a-z-]+\//, "examples/");
  if (/\.tsx?$/.test(path) && !/^[a-z0-9_./]+$/.test(named)) {
    return [`${path}: names are snake_case`];
  }
  return [];
}

/** Cycles among files: each is one complaint that shows the way round. */
export function findCycles(sources: readonly Source[]): string[] {
  const edges = new Map<string, string[]>();
  for (const source of sources) {
    edges.set(
      source.path,
      importsOf(source.text)
        .filter(({ specifier, typeOnly }) => specifier.startsWith(".") && !typeOnly)
        .map(({ specifier }) => resolveFrom(source.path, specifier)),
    );
  }
  const state = new Map<string, "open" | "done">();
  const trail: string[] = [];
  const complaints: string[] = [];
  const visit = (path: string) => {
    if (state.get(path) === "done") return;
    if (state.get(path) === "open") {
      complaints.push(`cycle: ${[...trail.slice(trail.indexOf(path)), path].join(" -> ")}`);
      return;
    }
    state.set(path, "open");
    trail.push(path);
    for (const next of edges.get(path) ?? []) visit(next);
    trail.pop();
    state.set(path, "done");
  };
  for (const path of edges.keys()) visit(path);
  return complaints;
}

/** Files of `lib` and `ui` that nothing reaches from a command, a `mod.ts`, a test or an example. */
export function findDeadFiles(sources: readonly Source[]): string[] {
  const used = new Set<string>();
  for (const source of sources) {
    for (const { specifier } of importsOf(source.text)) {
      if (specifier.startsWith(".")) used.add(resolveFrom(source.path, specifier));
    }
  }
  return sources
    .map(({ path }) => path)
    .filter((path) => /^(?:lib|ui)\//.test(path) && !isTestFile(path) && !path.endsWith("/mod.ts"))
    // Where the pages and their build begin.
    .filter((path) => path !== "ui/main.tsx" && path !== "ui/build.ts")
    .filter((path) => !used.has(path))
    .map((path) => `${path}: nothing imports it`);
}

function linesMatching(
  source: Source,
  code: string,
  pattern: RegExp,
  message: string,
): string[] {
  const complaints: string[] = [];
  code.split("\n").forEach((line, i) => {
    if (pattern.test(line)) complaints.push(at(source, i + 1, message));
  });
  return complaints;
}

/** Every rule that looks at one source file of the code base. */
export function checkSource(source: Source): string[] {
  return [
    ...checkLayers(source),
    ...checkPackages(source),
    ...checkDeno(source),
    ...checkSamplePath(source),
    ...checkCommandLength(source),
  ];
}
