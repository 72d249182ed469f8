/**
 * Protobuf codecs out of field tables, for the small messages that describe a system (rules,
 * targets, metadata …). Hot messages have codecs written by hand.
 *
 *   const meta = message<Meta>({ type: text(1), help: text(2), unit: text(3) });
 */
import { EMPTY_LABELS, type Labels } from "../model/mod.ts";
import { ProtoReader, ProtoWriter } from "../rpc/mod.ts";
import { readLabelSet, writeLabelSet } from "./wire_store.ts";

/** How one member of a message is written and read. */
export interface Field<V> {
  readonly number: number;
  /** What an absent field means. */
  initial(): V;
  write(w: ProtoWriter, value: V): void;
  /** Reads one occurrence; `so` is what was read before it. */
  read(r: ProtoReader, so: V): V;
}

/** A table with a field for each member. */
export type FieldsOf<T> = { readonly [K in keyof T]-?: Field<T[K]> };

/** Encodes and decodes one type of message. */
export class Message<T extends object> {
  readonly #fields: readonly (readonly [string, Field<unknown>])[];
  readonly #byNumber = new Map<number, readonly [string, Field<unknown>]>();

  constructor(fields: FieldsOf<T>) {
    this.#fields = Object.entries(fields) as [string, Field<unknown>][];
    for (const entry of this.#fields) this.#byNumber.set(entry[1].number, entry);
  }

  encode(value: T): Uint8Array<ArrayBuffer> {
    const w = new ProtoWriter(256);
    this.writeTo(w, value);
    return w.finish();
  }
  decode(bytes: Uint8Array): T {
    return this.readFrom(new ProtoReader(bytes));
  }
  writeTo(w: ProtoWriter, value: T): void {
    const record = value as Record<string, unknown>;
    for (const [name, field] of this.#fields) field.write(w, record[name]);
  }
  /** Reads up to the reader's end; unknown fields are skipped. */
  readFrom(r: ProtoReader): T {
    const record: Record<string, unknown> = {};
    for (const [name, field] of this.#fields) record[name] = field.initial();
    while (r.next()) {
      const entry = this.#byNumber.get(r.field);
      if (entry === undefined) r.skip();
      else record[entry[0]] = entry[1].read(r, record[entry[0]]);
    }
    return record as T;
  }
}

/** A message out of a table. */
export function message<T extends object>(fields: FieldsOf<T>): Message<T> {
  return new Message(fields);
}

/** A string; "" is left out. */
export function text(number: number): Field<string> {
  return {
    number,
    initial: () => "",
    write: (w, value) => w.string(number, value),
    read: (r) => r.string(),
  };
}
/** A string of a oneof: written even when it is empty. */
export function textOption(number: number): Field<string | undefined> {
  return {
    number,
    initial: () => undefined,
    write: (w, value) => {
      if (value !== undefined) w.stringAlways(number, value);
    },
    read: (r) => r.string(),
  };
}
/** Repeated strings. */
export function texts(number: number): Field<readonly string[]> {
  return {
    number,
    initial: () => [],
    write: (w, value) => w.strings(number, value),
    read: (r, so) => append(so, r.string()),
  };
}
/** A double. */
export function double(number: number): Field<number> {
  return {
    number,
    initial: () => 0,
    write: (w, value) => w.double(number, value),
    read: (r) => r.double(),
  };
}
/** An int64 as a number. */
export function int64(number: number): Field<number> {
  return {
    number,
    initial: () => 0,
    write: (w, value) => w.int64(number, value),
    read: (r) => r.int64(),
  };
}
/** A uint64 as a number. */
export function uint64(number: number): Field<number> {
  return {
    number,
    initial: () => 0,
    write: (w, value) => w.uint64(number, value),
    read: (r) => r.uint64(),
  };
}
/** An int32. */
export function int32(number: number): Field<number> {
  return {
    number,
    initial: () => 0,
    write: (w, value) => w.int32(number, value),
    read: (r) => r.int32(),
  };
}
/** An enum by its names in order; an unknown number is the first. */
export function choice<const V extends string>(number: number, names: readonly V[]): Field<V> {
  return {
    number,
    initial: () => names[0]!,
    write: (w, value) => w.int32(number, names.indexOf(value)),
    read: (r) => names[r.int32()] ?? names[0]!,
  };
}
/** A label set. */
export function labelSet(number: number): Field<Labels> {
  return {
    number,
    initial: () => EMPTY_LABELS,
    write: (w, value) => writeLabelSet(w, number, value),
    read: (r) => readLabelSet(r),
  };
}
/** A message that may be absent. */
export function one<T extends object>(number: number, of: Message<T>): Field<T | undefined> {
  return {
    number,
    initial: () => undefined,
    write: (w, value) => {
      if (value !== undefined) write(w, number, of, value);
    },
    read: (r) => read(r, of),
  };
}
/** Repeated messages. */
export function many<T extends object>(number: number, of: Message<T>): Field<readonly T[]> {
  return {
    number,
    initial: () => [],
    write: (w, value) => {
      for (const item of value) write(w, number, of, item);
    },
    read: (r, so) => append(so, read(r, of)),
  };
}
/** A map from strings to messages. */
export function mapOf<T extends object>(
  number: number,
  of: Message<T>,
): Field<ReadonlyMap<string, T>> {
  return {
    number,
    initial: () => new Map(),
    write: (w, value) => {
      for (const [key, item] of value) {
        const token = w.open(number, 64);
        w.string(1, key);
        write(w, 2, of, item);
        w.close(token);
      }
    },
    read: (r, so) => {
      let key = "";
      let item: T | undefined;
      const outer = r.enter();
      while (r.next()) {
        if (r.field === 1) key = r.string();
        else if (r.field === 2) item = read(r, of);
        else r.skip();
      }
      r.leave(outer);
      return (so as Map<string, T>).set(key, item ?? of.decode(new Uint8Array(0)));
    },
  };
}

function append<T>(so: readonly T[], item: T): readonly T[] {
  (so as T[]).push(item);
  return so;
}

function write<T extends object>(w: ProtoWriter, number: number, of: Message<T>, value: T): void {
  const token = w.open(number, 128);
  of.writeTo(w, value);
  w.close(token);
}

function read<T extends object>(r: ProtoReader, of: Message<T>): T {
  const outer = r.enter();
  const value = of.readFrom(r);
  r.leave(outer);
  return value;
}
