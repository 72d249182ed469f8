/**
 * gRPC server reflection, v1 and v1alpha (the same messages): tools such as grpcurl list services
 * and read descriptors through it.
 */
import { ProtoReader, ProtoWriter } from "./wire.ts";
import type { Service } from "./service.ts";
import { STATUS_NOT_FOUND, STATUS_UNIMPLEMENTED } from "./status.ts";

/** A FileDescriptorProto with what is needed to find it. */
export interface FileDescriptor {
  readonly name: string;
  readonly dependencies: readonly string[];
  /** Full names of the services it declares. */
  readonly services: readonly string[];
  /** Full names of everything it declares. */
  readonly symbols: readonly string[];
  readonly base64: string;
}

/** The reflection services over the given descriptors; only `served` services are listed. */
export function reflectionServices(
  files: readonly FileDescriptor[],
  served: readonly string[],
): Service[] {
  const names = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
  const reflection = new Reflection(files, [...served, ...names]);
  return names.map((name) => ({
    name,
    methods: {
      ServerReflectionInfo: {
        kind: "bidi",
        async *handle(requests) {
          for await (const request of requests) yield reflection.answer(request);
        },
      },
    },
  }));
}

class Reflection {
  readonly #files: ReadonlyMap<string, FileDescriptor>;
  readonly #bySymbol = new Map<string, FileDescriptor>();
  readonly #served: readonly string[];

  constructor(files: readonly FileDescriptor[], served: readonly string[]) {
    this.#files = new Map(files.map((f) => [f.name, f]));
    for (const file of files) for (const symbol of file.symbols) this.#bySymbol.set(symbol, file);
    this.#served = [...new Set(served)].sort();
  }

  answer(request: Uint8Array): Uint8Array {
    const r = new ProtoReader(request);
    let host = "";
    let kind = 0;
    let text = "";
    while (r.next()) {
      if (r.field === 1) host = r.string();
      else if (r.field === 3 || r.field === 4 || r.field === 6 || r.field === 7) {
        kind = r.field;
        text = r.string();
      } else {
        if (r.field === 5) kind = 5;
        r.skip();
      }
    }
    const w = new ProtoWriter(4096);
    w.string(1, host);
    w.bytes(2, request);
    switch (kind) {
      case 3:
        this.#writeFile(w, this.#files.get(text), `File not found: ${text}`);
        break;
      case 4:
        this.#writeFile(w, this.#find(text), `Symbol not found: ${text}`);
        break;
      case 6:
        this.#writeExtensionNumbers(w, text);
        break;
      case 7: {
        const token = w.open(6, 200);
        for (const name of this.#served) {
          const inner = w.open(1, name.length + 2);
          w.string(1, name);
          w.close(inner);
        }
        w.close(token);
        break;
      }
      case 5:
        writeError(w, STATUS_NOT_FOUND, "there are no extensions");
        break;
      default:
        writeError(w, STATUS_UNIMPLEMENTED, "unknown kind of request");
    }
    return w.finish();
  }

  #find(symbol: string): FileDescriptor | undefined {
    // v1alpha is the same under another name.
    return this.#bySymbol.get(symbol.replace("grpc.reflection.v1alpha.", "grpc.reflection.v1."));
  }

  /** A file with everything it depends on, which spares the client further questions. */
  #writeFile(w: ProtoWriter, file: FileDescriptor | undefined, missing: string): void {
    if (file === undefined) {
      writeError(w, STATUS_NOT_FOUND, missing);
      return;
    }
    const all = new Set<FileDescriptor>();
    const add = (f: FileDescriptor) => {
      if (all.has(f)) return;
      all.add(f);
      for (const name of f.dependencies) {
        const dependency = this.#files.get(name);
        if (dependency !== undefined) add(dependency);
      }
    };
    add(file);
    const token = w.open(4, 4096);
    for (const f of all) w.bytes(1, Uint8Array.from(atob(f.base64), (c) => c.charCodeAt(0)));
    w.close(token);
  }

  #writeExtensionNumbers(w: ProtoWriter, type: string): void {
    if (this.#find(type) === undefined) {
      writeError(w, STATUS_NOT_FOUND, `Symbol not found: ${type}`);
      return;
    }
    const token = w.open(5);
    w.string(1, type);
    w.close(token);
  }
}

function writeError(w: ProtoWriter, code: number, message: string): void {
  const token = w.open(7);
  w.int32(1, code);
  w.string(2, message);
  w.close(token);
}
