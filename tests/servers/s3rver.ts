/** A small S3 server as a program of its own: `deno run -A tests/servers/s3rver.ts PORT FOLDER BUCKET`. */
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
