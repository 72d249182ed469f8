/**
 * protobufjs as the oracle of our codecs (tests only): loads .proto texts, encodes plain objects as
 * proto3 does (defaults left out), decodes to plain objects. 64-bit integers are numbers; ±(2^53-1)
 * stand for the extremes, as in our codecs.
 */
import protobuf from "protobufjs";

const PROTO = new URL("../../../proto/", import.meta.url);
const MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** A plain message: numbers, strings, booleans, byte arrays, lists and messages. */
export type Plain = { [field: string]: unknown };

interface LongClass {
  fromString(text: string, unsigned?: boolean): unknown;
}
const Long = protobuf.util.Long as unknown as LongClass;

/** Messages of a set of .proto files. */
export class ProtobufOracle {
  readonly #root: protobuf.Root;
  constructor(root: protobuf.Root) {
    this.#root = root;
    root.resolveAll();
  }

  /** Loads files of the `proto` folder; a file's imports must be listed too. */
  static async load(...names: string[]): Promise<ProtobufOracle> {
    const root = new protobuf.Root();
    for (const name of names) {
      const text = await Deno.readTextFile(new URL(name, PROTO));
      protobuf.parse(text, root, { keepCase: true });
    }
    return new ProtobufOracle(root);
  }
  /** An oracle for one .proto text. */
  static of(text: string): ProtobufOracle {
    return new ProtobufOracle(protobuf.parse(text, { keepCase: true }).root);
  }

  encode(type: string, message: Plain): Uint8Array {
    const t = this.#root.lookupType(type);
    return Uint8Array.from(t.encode(toMessage(t, message)).finish());
  }
  /** Every field is there: absent messages as null, absent oneof members left out. */
  decode(type: string, bytes: Uint8Array): Plain {
    const t = this.#root.lookupType(type);
    const object = t.toObject(t.decode(bytes), {
      longs: String,
      bytes: Uint8Array as unknown as typeof String,
      arrays: true,
    });
    return fromMessage(t, object as Plain);
  }
}

const WIDE = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);

function toMessage(type: protobuf.Type, message: Plain): Plain {
  const out: Plain = {};
  for (const name of Object.keys(message)) {
    if (type.fields[name] === undefined) throw new Error(`${type.name} has no field ${name}`);
  }
  for (const field of type.fieldsArray) {
    const value = message[field.name];
    if (value === undefined || value === null) continue;
    if (field.map) {
      const entries = Object.entries(value as Plain).map(([k, v]) => [k, scalarIn(field, v)]);
      out[field.name] = Object.fromEntries(entries);
    } else if (field.repeated) {
      out[field.name] = (value as unknown[]).map((v) => scalarIn(field, v));
    } else if (field.partOf !== null || !isDefault(field, value)) {
      out[field.name] = scalarIn(field, value);
    }
  }
  return out;
}

function isDefault(field: protobuf.Field, value: unknown): boolean {
  if (field.resolvedType instanceof protobuf.Type) return false;
  return Object.is(value, 0) || value === false || value === "" ||
    (value instanceof Uint8Array && value.length === 0);
}

function scalarIn(field: protobuf.Field, value: unknown): unknown {
  if (field.resolvedType instanceof protobuf.Type) {
    return toMessage(field.resolvedType, value as Plain);
  }
  if (!WIDE.has(field.type)) return value;
  const unsigned = field.type === "uint64";
  let x = BigInt(value as number | bigint);
  if (!unsigned && typeof value === "number") {
    if (x === MAX) x = 2n ** 63n - 1n;
    if (x === -MAX) x = -(2n ** 63n);
  }
  return Long.fromString(x.toString(), unsigned);
}

function fromMessage(type: protobuf.Type, object: Plain): Plain {
  const out: Plain = {};
  for (const field of type.fieldsArray) {
    const value = object[field.name];
    const isMessage = field.resolvedType instanceof protobuf.Type;
    if (value === undefined) {
      if (field.partOf !== null) continue;
      if (field.map) out[field.name] = {};
      else out[field.name] = isMessage ? null : scalarOut(field, defaultOf(field));
    } else if (field.map) {
      const entries = Object.entries(value as Plain).map(([k, v]) => [k, scalarOut(field, v)]);
      out[field.name] = Object.fromEntries(entries);
    } else if (field.repeated) {
      out[field.name] = (value as unknown[]).map((v) => scalarOut(field, v));
    } else out[field.name] = scalarOut(field, value);
  }
  return out;
}

function defaultOf(field: protobuf.Field): unknown {
  if (field.type === "string") return "";
  if (field.type === "bytes") return new Uint8Array(0);
  if (field.type === "bool") return false;
  return 0;
}

function scalarOut(field: protobuf.Field, value: unknown): unknown {
  if (field.resolvedType instanceof protobuf.Type) {
    return fromMessage(field.resolvedType, value as Plain);
  }
  if (field.type === "bytes") return Uint8Array.from(value as Uint8Array);
  if (!WIDE.has(field.type)) return value;
  const x = BigInt(value as string);
  return Number(x > MAX ? MAX : x < -MAX ? -MAX : x);
}
