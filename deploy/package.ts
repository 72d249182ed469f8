/**
 * Packs Mneme and its runtime into one file that needs neither network nor installation.
 *
 *   deno task package [--output=dist/mneme] [--level=9]
 *
 * The file is a shell script with an archive behind it: bundles of all commands and workers, the web
 * pages, and the Deno program that runs this. On its first start it unpacks itself into the user's
 * cache folder (`MNEME_HOME`, else `XDG_CACHE_HOME` or `~/.cache`, below `mneme`); later starts take
 * a few milliseconds. It runs on systems like the one it was packed on, and needs sh, tail and tar.
 */
import { VERSION } from "../lib/telemetry/mod.ts";
import { bundleProgram } from "./bundle.ts";

const root = new URL("..", import.meta.url).pathname;

function option(name: string, fallback: string): string {
  const given = Deno.args.find((arg) => arg.startsWith(`--${name}=`));
  return given === undefined ? fallback : given.slice(name.length + 3);
}

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`${command} failed: ${new TextDecoder().decode(stderr)}`);
}

/** The script in front of the archive; `lines` is filled in with its own length. */
function stub(id: string): string {
  const text = `#!/bin/sh
# Mneme ${VERSION} for ${Deno.build.os}/${Deno.build.arch}, with Deno ${Deno.version.deno}. An archive follows.
set -eu
id=${id}
home="\${MNEME_HOME:-\${XDG_CACHE_HOME:-\${HOME:-/nonexistent}/.cache}/mneme}"
if ! mkdir -p "$home" 2>/dev/null || [ ! -w "$home" ]; then
  home="\${TMPDIR:-/tmp}/mneme-$(id -u)"
  mkdir -p -m 700 "$home"
  [ -O "$home" ] || { echo "mneme: $home belongs to somebody else; set MNEME_HOME" >&2; exit 1; }
fi
dir="$home/$id"
if [ ! -x "$dir/deno" ]; then
  new=$(mktemp -d "$home/.new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  tail -n +LINES "$0" | tar xzf - -C "$new" || { echo "mneme: cannot unpack into $home; set MNEME_HOME to a folder with 300 MB of room" >&2; exit 1; }
  # Another start may have been quicker; what it unpacked is the same.
  mv "$new" "$dir" 2>/dev/null || true
  [ -x "$dir/deno" ] || { echo "mneme: cannot use $dir" >&2; exit 1; }
  [ ! -d "$dir/\${new##*/}" ] || rm -rf "$dir/\${new##*/}"
  trap - EXIT
fi
export DENO_DIR="\${DENO_DIR:-$home/deno}" DENO_NO_UPDATE_CHECK=1
. "$dir/permissions.sh"
mneme_exec "$dir/deno" "--quiet --no-config --no-lock --no-remote --no-npm --unstable-no-legacy-abort $(mneme_v8 "\${1:-}")" "$dir/app/cmd/main.js" "$@"
`;
  return text.replace("LINES", String(text.split("\n").length));
}

async function sha256(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return new Uint8Array(digest).toHex();
}

async function main(): Promise<void> {
  const output = new URL(option("output", "dist/mneme"), `file://${Deno.cwd()}/`).pathname;
  const work = await Deno.makeTempDir({ prefix: "mneme-package-" });
  try {
    const content = `${work}/content`;
    await bundleProgram(`${content}/app`);
    await Deno.copyFile(Deno.execPath(), `${content}/deno`);
    await Deno.chmod(`${content}/deno`, 0o755);
    await Deno.copyFile(`${root}LICENSE`, `${content}/LICENSE`);
    await Deno.copyFile(`${root}deploy/permissions.sh`, `${content}/permissions.sh`);
    await run("tar", ["cf", `${work}/content.tar`, "-C", content, "."], work);
    await run("gzip", [`-${option("level", "6")}`, "content.tar"], work);
    const archive = `${work}/content.tar.gz`;
    const id = `${VERSION}-${(await sha256(archive)).slice(0, 16)}`;
    await Deno.mkdir(output.replace(/\/[^/]*$/, "") || "/", { recursive: true });
    await Deno.writeTextFile(`${output}.new`, stub(id));
    await Deno.writeFile(`${output}.new`, await Deno.readFile(archive), { append: true });
    await Deno.chmod(`${output}.new`, 0o755);
    await Deno.rename(`${output}.new`, output);
    const { size } = await Deno.stat(output);
    console.log(`${output}: ${(size / 1024 ** 2).toFixed(1)} MiB`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

if (import.meta.main) await main();
