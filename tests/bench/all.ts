/**
 * Every benchmark beside the code at full size, each in a process of its own.
 *
 *   deno task bench [<part of a path> …]
 */
const root = new URL("../..", import.meta.url).pathname;

function* benches(folder: string): Generator<string> {
  for (
    const entry of [...Deno.readDirSync(`${root}${folder}`)].sort((a, b) =>
      a.name < b.name ? -1 : 1
    )
  ) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* benches(path);
    else if (entry.name.endsWith("_bench.ts")) yield path;
  }
}

const wanted = Deno.args;
const paths = [...benches("lib")].filter((path) =>
  wanted.length === 0 || wanted.some((part) => path.includes(part))
);
if (paths.length === 0) {
  console.error(`no benchmark matches ${wanted.join(" ")}`);
  Deno.exit(1);
}
let failed = 0;
for (const path of paths) {
  console.log(`\n${path}`);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${root}${path}`],
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (!success) failed++;
}
if (failed > 0) {
  console.error(`\n${failed} of ${paths.length} benchmarks failed`);
  Deno.exit(1);
}
