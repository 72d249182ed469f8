/** Flags that many commands share, under Thanos' names. */
import { flag } from "../lib/config/mod.ts";

const CIPHERS_FIXED =
  "the runtime always offers the same: the suites of TLS 1.3, and for TLS 1.2 ECDHE with AES-GCM or ChaCha20-Poly1305";
const CURVES_FIXED = "the runtime always offers the same: X25519, P-256 and P-384";

/** HTTP listener of every long-running command. */
export const httpFlags = {
  httpAddress: flag.listen(
    "http-address",
    "0.0.0.0:10902",
    "Listen host:port for HTTP endpoints.",
  ),
  httpGracePeriod: flag.duration(
    "http-grace-period",
    "2m",
    "Time to wait after an interrupt received for HTTP Server.",
  ),
  httpConfig: flag.path(
    "http.config",
    "",
    "Path to the configuration file that can enable TLS or authentication for all HTTP endpoints.",
  ),
  requestLogging: flag.pathOrContent(
    "request.logging-config",
    "YAML file with request logging configuration.",
  ),
  profiling: flag.bool(
    "debug.pprof",
    false,
    "Serve CPU profiles and heap snapshots below /debug/pprof/ to whoever can reach the HTTP port.",
  ),
} as const;

/** gRPC listener of every command but the query frontend. */
export const grpcFlags = {
  grpcAddress: flag.listen(
    "grpc-address",
    "0.0.0.0:10901",
    "Listen ip:port address for gRPC endpoints (StoreAPI).",
  ),
  grpcGracePeriod: flag.goDuration(
    "grpc-grace-period",
    "2m",
    "Time to wait after an interrupt received for GRPC Server.",
  ),
  grpcTlsCert: flag.path(
    "grpc-server-tls-cert",
    "",
    "TLS certificate for gRPC server, leave blank to disable TLS.",
  ),
  grpcTlsKey: flag.path(
    "grpc-server-tls-key",
    "",
    "TLS key for the gRPC server, leave blank to disable TLS.",
  ),
  grpcTlsClientCa: flag.path(
    "grpc-server-tls-client-ca",
    "",
    "TLS CA to verify clients against. If no client CA is specified, there is no client verification on server side.",
  ),
  grpcTlsMinVersion: flag.oneOf(
    ["1.0", "1.1", "1.2", "1.3"],
    "grpc-server-tls-min-version",
    "1.3",
    "Minimum TLS version of the gRPC server; the oldest that is spoken is 1.2.",
  ),
  grpcTlsCiphers: flag.repeated(
    flag.kinds.string,
    "grpc-server-tls-ciphers",
    "TLS cipher suites of the gRPC server.",
    { noEffect: CIPHERS_FIXED },
  ),
  grpcTlsCurves: flag.repeated(
    flag.kinds.string,
    "grpc-server-tls-curves",
    "TLS curves of the gRPC server.",
    { noEffect: CURVES_FIXED },
  ),
  grpcMaxConnectionAge: flag.goDuration(
    "grpc-server-max-connection-age",
    "60m",
    "The grpc server max connection age. This controls how often to re-establish connections and redo TLS handshakes.",
  ),
} as const;

/** Both listeners. */
export const serverFlags = { ...httpFlags, ...grpcFlags } as const;

/** Paths and cross-origin rules of the pages and the API. */
export const webFlags = {
  routePrefix: flag.string(
    "web.route-prefix",
    "",
    "Prefix for API and UI endpoints. This allows the API and the UI to be served on a sub-path. Defaults to the value of --web.external-prefix.",
  ),
  externalPrefix: flag.string(
    "web.external-prefix",
    "",
    "Static prefix for all HTML links and redirect URLs in the UI.",
  ),
  prefixHeader: flag.string(
    "web.prefix-header",
    "",
    "Name of HTTP request header used for dynamic prefixing of UI links and redirects. Ignored if --web.external-prefix is set.",
  ),
  disableCors: flag.bool(
    "web.disable-cors",
    false,
    "Whether to disable CORS headers to be set by Thanos. By default Thanos sets CORS headers to be allowed by all.",
  ),
  traceUrl: flag.linkTemplate(
    "web.trace-url",
    "",
    "Address of a trace in a tracing system, with {trace_id} where its ID belongs, such as https://jaeger.example.com/trace/{trace_id}. The pages link exemplars and traced queries to it.",
  ),
} as const;

/** How gRPC peers are reached; all replaced by per-endpoint settings upstream. */
export const grpcClientFlags = {
  grpcClientTlsSecure: flag.bool(
    "grpc-client-tls-secure",
    false,
    "Use TLS when talking to the gRPC server.",
  ),
  grpcClientTlsSkipVerify: flag.bool(
    "grpc-client-tls-skip-verify",
    false,
    "Disable TLS certificate verification.",
  ),
  grpcClientTlsCert: flag.path(
    "grpc-client-tls-cert",
    "",
    "TLS certificate to identify this client to the server.",
  ),
  grpcClientTlsKey: flag.path(
    "grpc-client-tls-key",
    "",
    "TLS key of the client's certificate.",
  ),
  grpcClientTlsCa: flag.path(
    "grpc-client-tls-ca",
    "",
    "TLS CA certificates to verify gRPC servers.",
  ),
  grpcClientServerName: flag.string(
    "grpc-client-server-name",
    "",
    "Server name to verify the hostname on the returned gRPC certificates.",
  ),
  grpcCompression: flag.oneOf(
    ["snappy", "none"],
    "grpc-compression",
    "none",
    "Compression algorithm to use for gRPC requests to other clients.",
  ),
  grpcClientTlsMinVersion: flag.oneOf(
    ["1.0", "1.1", "1.2", "1.3"],
    "grpc-client-tls-min-version",
    "1.3",
    "Minimum TLS version of the gRPC client; the oldest that is spoken is 1.2.",
  ),
} as const;

/** The bucket, required. */
export const objstoreFlags = {
  objstore: flag.pathOrContent(
    "objstore.config",
    "YAML file that contains object store configuration.",
    { required: true, secret: true },
  ),
} as const;

/** The bucket of commands that work without one. */
export const optionalObjstoreFlags = {
  objstore: flag.pathOrContent(
    "objstore.config",
    "YAML file that contains object store configuration. Leave empty to disable uploads.",
    { secret: true },
  ),
} as const;
