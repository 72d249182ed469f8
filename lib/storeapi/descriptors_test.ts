import assert from "node:assert/strict";
import { buildDescriptors } from "../../proto/build.ts";
import { type Plain, ProtobufOracle } from "../rpc/testing/protobuf_oracle.ts";
import { FILE_DESCRIPTORS } from "./descriptors.ts";

/** The part of google/protobuf/descriptor.proto that our descriptors use. */
const oracle = ProtobufOracle.of(`syntax = "proto3";
  message File { string name = 1; string package = 2; repeated string dependency = 3;
    repeated Message message_type = 4; repeated Enum enum_type = 5; repeated Service service = 6;
    string syntax = 12; }
  message Message { string name = 1; repeated Field field = 2; repeated Message nested_type = 3;
    repeated Enum enum_type = 4; Options options = 7; repeated Oneof oneof_decl = 8;
    repeated Range reserved_range = 9; }
  message Options { bool map_entry = 7; }
  message Range { int32 start = 1; int32 end = 2; }
  message Oneof { string name = 1; }
  message Field { string name = 1; int32 number = 3; int32 label = 4; int32 type = 5;
    string type_name = 6; int32 oneof_index = 9; string json_name = 10; }
  message Enum { string name = 1; repeated Value value = 2; }
  message Value { string name = 1; int32 number = 2; }
  message Service { string name = 1; repeated Method method = 2; }
  message Method { string name = 1; string input_type = 2; string output_type = 3;
    bool client_streaming = 5; bool server_streaming = 6; }`);

function decodeFile(name: string): Plain {
  const file = FILE_DESCRIPTORS.find((f) => f.name === name)!;
  return oracle.decode("File", Uint8Array.from(atob(file.base64), (c) => c.charCodeAt(0)));
}

function named(list: unknown, name: string): Plain {
  return (list as Plain[]).find((x) => x.name === name)!;
}

Deno.test("descriptors.ts is what proto/build.ts makes of the .proto texts", async () => {
  const text = await Deno.readTextFile(new URL("./descriptors.ts", import.meta.url));
  assert.equal(text, await buildDescriptors(), "run: deno run -RW --allow-env proto/build.ts");
});

Deno.test("descriptors decode as FileDescriptorProto", () => {
  const store = decodeFile("store.proto");
  assert.equal(store.package, "thanos");
  assert.equal(store.syntax, "proto3");
  const series = named(named(store.service, "Store").method, "Series");
  assert.deepEqual(series, {
    name: "Series",
    input_type: ".thanos.SeriesRequest",
    output_type: ".thanos.SeriesResponse",
    client_streaming: false,
    server_streaming: true,
  });
  const request = named(store.message_type, "SeriesRequest");
  assert.deepEqual(named(request.field, "aggregates"), {
    name: "aggregates",
    number: 5,
    label: 3,
    type: 14,
    type_name: ".thanos.Aggr",
    oneof_index: 0,
    json_name: "aggregates",
  });
  const response = named(store.message_type, "SeriesResponse");
  assert.deepEqual(response.oneof_decl, [{ name: "result" }]);
  assert.equal(named(response.field, "batch").type_name, ".thanos.SeriesBatch");
  // A map is a repeated entry message.
  const metadata = named(decodeFile("metadata.proto").message_type, "MetricMetadata");
  assert.equal(
    named(metadata.field, "metadata").type_name,
    ".thanos.MetricMetadata.MetadataEntry",
  );
  const entry = named(metadata.nested_type, "MetadataEntry");
  assert.deepEqual(entry.options, { map_entry: true });
  assert.equal(named(entry.field, "value").type_name, ".thanos.MetricMetadataEntry");
});

Deno.test("every file a descriptor needs is there before it", () => {
  const seen = new Set<string>();
  for (const file of FILE_DESCRIPTORS) {
    for (const name of file.dependencies) assert.ok(seen.has(name), `${file.name} needs ${name}`);
    seen.add(file.name);
  }
});
