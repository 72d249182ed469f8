import assert from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import { type Plain, ProtobufOracle } from "./testing/protobuf_oracle.ts";
import { type FileDescriptor, reflectionServices } from "./reflection.ts";
import { serveRpc } from "./server.ts";

const oracle = await ProtobufOracle.load("reflection.proto");

const FILES: readonly FileDescriptor[] = [
  { name: "a.proto", dependencies: [], services: [], symbols: ["p.A"], base64: btoa("bytes of a") },
  {
    name: "s.proto",
    dependencies: ["a.proto", "absent.proto"],
    services: ["p.S"],
    symbols: ["p.S", "p.S.Do"],
    base64: btoa("bytes of s"),
  },
];

/** Asks over a real bidirectional stream, one request after the other. */
async function ask(address: string, version: string, requests: Plain[]): Promise<Plain[]> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const call = client.makeBidiStreamRequest<Uint8Array, Uint8Array>(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    (bytes) => Buffer.from(bytes),
    (buffer) => buffer,
  );
  const answers: Plain[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    call.on("end", resolve);
    call.on("error", reject);
  });
  const send = () => {
    const request = requests[answers.length];
    if (request === undefined) call.end();
    else call.write(oracle.encode("grpc.reflection.v1.ServerReflectionRequest", request));
  };
  call.on("data", (bytes: Uint8Array) => {
    answers.push(oracle.decode("grpc.reflection.v1.ServerReflectionResponse", bytes));
    send();
  });
  send();
  await ended;
  client.close();
  return answers;
}

Deno.test("reflection lists services and finds files by name and symbol, in both versions", async () => {
  const server = await serveRpc({
    address: "127.0.0.1:0",
    services: reflectionServices(FILES, ["p.S"]),
  });
  const text = (bytes: unknown) => new TextDecoder().decode(bytes as Uint8Array);
  for (const version of ["v1", "v1alpha"]) {
    const answers = await ask(server.address, version, [
      { host: "h", list_services: "" },
      { file_containing_symbol: "p.S.Do" },
      { file_by_filename: "a.proto" },
      { file_containing_symbol: "p.Nope" },
      { all_extension_numbers_of_type: "p.A" },
      { file_containing_extension: { containing_type: "p.A", extension_number: 1 } },
      { host: "nothing asked" },
    ]);
    const list = answers[0]!.list_services_response as { service: { name: string }[] };
    assert.deepEqual(list.service.map((s) => s.name), [
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "p.S",
    ]);
    assert.equal(answers[0]!.valid_host, "h");
    assert.equal((answers[0]!.original_request as Plain).host, "h");
    const files = (answer: Plain) =>
      (answer.file_descriptor_response as { file_descriptor_proto: unknown[] })
        .file_descriptor_proto.map(text);
    assert.deepEqual(files(answers[1]!), ["bytes of s", "bytes of a"]);
    assert.deepEqual(files(answers[2]!), ["bytes of a"]);
    const code = (answer: Plain) => (answer.error_response as Plain).error_code;
    assert.equal(code(answers[3]!), 5);
    assert.equal((answers[4]!.all_extension_numbers_response as Plain).base_type_name, "p.A");
    assert.equal(code(answers[5]!), 5);
    assert.equal(code(answers[6]!), 12);
  }
  await server.stop(1000);
});
