/** Certificates of a gRPC server, read from the files of its flags, and again when they change. */
import { errorMessage, MnemeError } from "../base/mod.ts";
import type { ServerTls } from "../rpc/mod.ts";

/** Paths; "" is none. */
export interface GrpcTlsPaths {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
  readonly minVersion: string;
}

/** The files of one server. */
export class GrpcTlsFiles {
  readonly #paths: GrpcTlsPaths;
  #times = "";

  private constructor(paths: GrpcTlsPaths) {
    this.#paths = paths;
  }

  /**
   * The files that flags name, undefined for clear text.
   *
   * Throws: bad_data for flags that do not fit together and files that cannot be used.
   */
  static open(paths: GrpcTlsPaths): GrpcTlsFiles | undefined {
    const { cert, key, clientCa } = paths;
    if (cert === "" && key === "") {
      if (clientCa === "") return undefined;
      throw new MnemeError(
        "bad_data",
        "when a client CA is used a server key and certificate must also be provided",
      );
    }
    if (cert === "" || key === "") {
      throw new MnemeError("bad_data", "both server key and certificate must be provided");
    }
    const files = new GrpcTlsFiles(paths);
    files.current();
    return files;
  }

  /** Reads the files. Throws: bad_data. */
  current(): ServerTls {
    const { cert, key, clientCa, minVersion } = this.#paths;
    const times = this.#timesNow();
    const tls: ServerTls = {
      cert: readPem("--grpc-server-tls-cert", cert),
      key: readPem("--grpc-server-tls-key", key),
      // Older versions than 1.2 are not offered by the runtime.
      minVersion: minVersion === "1.3" ? "TLSv1.3" : "TLSv1.2",
      ...(clientCa === "" ? {} : { clientCa: readPem("--grpc-server-tls-client-ca", clientCa) }),
    };
    this.#times = times;
    return tls;
  }

  /** What is in the files when they have changed since they were read last. Throws: bad_data. */
  changed(): ServerTls | undefined {
    return this.#timesNow() === this.#times ? undefined : this.current();
  }

  #timesNow(): string {
    const { cert, key, clientCa } = this.#paths;
    return [cert, key, clientCa].map((path) => {
      try {
        return path === "" ? "" : Deno.statSync(path).mtime?.getTime();
      } catch {
        return "gone";
      }
    }).join();
  }
}

function readPem(flag: string, path: string): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Deno.readFileSync(path);
  } catch (error) {
    throw new MnemeError("bad_data", `${flag}: cannot read ${path}: ${errorMessage(error)}`);
  }
  if (!new TextDecoder().decode(bytes).includes("-----BEGIN ")) {
    throw new MnemeError("bad_data", `${flag}: ${path} holds no PEM block ("-----BEGIN …")`);
  }
  return bytes;
}
