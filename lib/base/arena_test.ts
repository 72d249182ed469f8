import assert from "node:assert/strict";
import { SlabPool } from "./arena.ts";

const MIB = 1024 * 1024;

Deno.test("an arena cuts pieces that do not overlap", () => {
  const arena = new SlabPool(0).arena();
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < 300; i++) {
    const piece = arena.allocate(1000 + (i * 37_777) % 400_000);
    piece.fill(i % 251);
    pieces.push(piece);
  }
  pieces.forEach((piece, i) => {
    assert.equal(piece.length, 1000 + (i * 37_777) % 400_000);
    assert.ok(piece.every((b) => b === i % 251), `piece ${i}`);
  });
  arena.release();
});

Deno.test("small answers take no slab", () => {
  const pool = new SlabPool(100 * MIB);
  const arena = pool.arena();
  for (let i = 0; i < 20; i++) arena.allocate(20_000);
  arena.release();
  assert.equal(pool.bytes, 0);
});

Deno.test("a released arena keeps as much as the pool wants and frees the rest at once", () => {
  const pool = new SlabPool(40 * MIB);
  const arena = pool.arena();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0; i < 100; i++) pieces.push(arena.allocate(MIB));
  const large = arena.allocate(20 * MIB);
  arena.release();
  arena.release();
  assert.equal(pool.bytes, 33 * MIB);
  assert.equal(large.length, 0, "detached");
  assert.equal(pieces.filter((p) => p.length > 0).length, 33, "one slab is kept");
  assert.equal(arena.allocate(MIB).length, MIB, "late pieces are ordinary memory");
  const next = pool.arena();
  next.allocate(MIB);
  assert.equal(pool.bytes, 0, "the kept slab is used again");
});
