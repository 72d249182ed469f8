/** Files by pattern, as shells and Go's `filepath.Glob` find them: `*`, `?` and `[…]`. */

/** Paths that match, sorted; nothing that cannot be read is found. */
export function findFiles(pattern: string): string[] {
  const parts = pattern.split("/");
  let found = [parts[0] === "" ? "/" : "."];
  for (const part of parts) {
    if (part === "" || part === ".") continue;
    const next: string[] = [];
    const test = hasMagic(part) ? patternTest(part) : undefined;
    for (const folder of found) {
      const join = (name: string) =>
        folder === "." ? name : folder.endsWith("/") ? folder + name : `${folder}/${name}`;
      if (test === undefined) {
        if (exists(join(part))) next.push(join(part));
        continue;
      }
      for (const name of namesIn(folder)) if (test(name)) next.push(join(name));
    }
    found = next;
  }
  return found.sort();
}

function hasMagic(part: string): boolean {
  return /[*?[\\]/.test(part);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map((entry) => entry.name);
  } catch {
    // No folder, or none of ours: there is nothing to find in it.
    return [];
  }
}

/** A test of one name, in time of its length times that of the pattern. */
function patternTest(pattern: string): (name: string) => boolean {
  const atoms = parse(pattern);
  return (name) => {
    const chars = [...name];
    let at = new Set([0]);
    for (let i = 0; i <= chars.length; i++) {
      // A star may stand for nothing.
      for (const state of at) if (atoms[state] === "*") at.add(state + 1);
      if (i === chars.length) break;
      const next = new Set<number>();
      for (const state of at) {
        const atom = atoms[state];
        if (atom === undefined) continue;
        if (atom === "*") next.add(state);
        else if (atom(chars[i]!)) next.add(state + 1);
      }
      at = next;
    }
    return at.has(atoms.length);
  };
}

type Atom = "*" | ((char: string) => boolean);

function parse(pattern: string): Atom[] {
  const chars = [...pattern];
  const atoms: Atom[] = [];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i]!;
    if (char === "*") atoms.push("*");
    else if (char === "?") atoms.push(() => true);
    else if (char === "[" && chars.indexOf("]", i + 2) > 0) {
      const end = chars.indexOf("]", i + 2);
      atoms.push(classTest(chars.slice(i + 1, end)));
      i = end;
    } else {
      const literal = char === "\\" && i + 1 < chars.length ? chars[++i]! : char;
      atoms.push((c) => c === literal);
    }
  }
  return atoms;
}

function classTest(inside: readonly string[]): (char: string) => boolean {
  const negated = inside[0] === "^";
  const body = negated ? inside.slice(1) : inside;
  return (char) => {
    let hit = false;
    for (let i = 0; i < body.length; i++) {
      const isRange = body[i + 1] === "-" && i + 2 < body.length;
      if (isRange ? char >= body[i]! && char <= body[i + 2]! : char === body[i]) hit = true;
      if (isRange) i += 2;
    }
    return hit !== negated;
  };
}
