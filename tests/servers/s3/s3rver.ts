/**
 * A small S3 server as a program of its own, with its own packages:
 * `deno run -A --config=tests/servers/s3/s3rver.json tests/servers/s3/s3rver.ts PORT FOLDER BUCKET`.
 */
import S3rver from "s3rver";

const [port, directory, ...buckets] = Deno.args;
const server = new S3rver({
  port: Number(port),
  address: "127.0.0.1",
  silent: true,
  directory: directory!,
  vhostBuckets: false,
  configureBuckets: buckets.map((name) => ({ name, configs: [] })),
});
await server.run();
console.log(`listening on ${port}`);
