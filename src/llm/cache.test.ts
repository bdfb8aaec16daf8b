import fc from "fast-check";
import { expect, test } from "vitest";
import {
  CacheArena,
  type CacheRows,
  cacheCapacity,
  cacheInput,
  countPositions,
  firstPositions,
  mostSlots,
  rowBytes,
} from "./cache.ts";

const shape = { layers: 2, heads: 3, width: 2 };
const [ARRAYS, K, E] = [4, 3, 2];
const BYTES_PER_POSITION = ARRAYS * K * E * 4;

let made = 0;
/** Rows of T positions with numbers that no other rows have. */
function rowsOf(T: number): CacheRows {
  const first = made++ * 1000;
  return {
    data: Float32Array.from({ length: ARRAYS * K * T * E }, (_, i) => first + (i % 1000)),
    T,
    start: 0,
    count: T,
  };
}

/** What a sequence has for head h of array i, position by position. */
function expected(rows: readonly CacheRows[], i: number, h: number): number[] {
  return rows.flatMap(({ data, T, start, count }) => [
    ...data.subarray(((i * K + h) * T + start) * E, ((i * K + h) * T + start + count) * E),
  ]);
}

const cached = (rows: readonly CacheRows[]) => ({ rows, length: countPositions(rows) });

function expectLoaded(arena: CacheArena, sequences: readonly (readonly CacheRows[])[]) {
  const { feeds, n, capacity: C, slots } = arena.load(sequences.map(cached));
  expect(new Set(slots).size).toBe(sequences.length);
  for (let i = 0; i < ARRAYS; i++) {
    const { data, shape } = feeds[cacheInput(i)]!;
    expect(shape).toEqual([n, K, 1, C, E]);
    for (const [s, rows] of sequences.entries()) {
      for (let h = 0; h < K; h++) {
        const wanted = expected(rows, i, h);
        const at = (slots[s]! * K + h) * C * E;
        expect([...data.subarray(at, at + wanted.length)]).toEqual(wanted);
      }
    }
  }
  return { n, capacity: C, slots };
}

test("gives every sequence its own rows, whatever was loaded before", () => {
  const action = fc.record({
    kind: fc.constantFrom("read", "read one", "fork", "truncate", "leave", "load"),
    which: fc.nat(9),
    amount: fc.integer({ min: 1, max: 70 }),
    together: fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 5 }),
  });
  fc.assert(
    fc.property(fc.array(action, { minLength: 5, maxLength: 40 }), (actions) => {
      const arena = new CacheArena(shape, 6 * 200 * BYTES_PER_POSITION);
      const sequences: CacheRows[][] = [[], []];
      for (const { kind, which, amount, together } of actions) {
        const at = which % sequences.length;
        const rows = sequences[at]!;
        if (kind === "read") rows.push(rowsOf(amount));
        if (kind === "read one") rows.push(rowsOf(1));
        if (kind === "fork" && sequences.length < 10) sequences.push(firstPositions(rows, amount));
        if (kind === "truncate") sequences[at] = firstPositions(rows, amount);
        if (kind === "leave") sequences[at] = [];
        const chosen = [...new Set(together.map((i) => i % sequences.length))].map((i) => sequences[i]!);
        expectLoaded(arena, chosen);
      }
    }),
    { numRuns: 60 },
  );
});

test("leaves little of its capacity unused", () => {
  expect([0, 1, 32, 33, 256, 257, 512, 513, 1025].map(cacheCapacity)).toEqual([
    32, 32, 32, 64, 256, 288, 512, 576, 1152,
  ]);
  for (let length = 256; length < 5000; length += 7) expect(cacheCapacity(length)).toBeLessThan(length * 1.126);
});

test("keeps sequences where they are, and copies only what is new", () => {
  const arena = new CacheArena(shape, 2 ** 20);
  const sequences = [40, 50, 60].map((T) => [rowsOf(T)]);
  const { slots } = expectLoaded(arena, sequences);
  for (const rows of sequences) rows.push(rowsOf(1));
  // Rows that are there already are not read again: these would show it.
  const before = sequences.map(([rows]) => rows!.data.slice());
  for (const [rows] of sequences) rows!.data.fill(-1);
  const again = arena.load(sequences.map(cached));
  expect(again.slots).toEqual(slots);
  for (const [s, [rows]] of sequences.entries()) rows!.data.set(before[s]!);
  expectLoaded(arena, sequences);
});

test("one that leaves for a step costs its slot, and the others do not move; in the end they move together", () => {
  const arena = new CacheArena(shape, 2 ** 20);
  const sequences = [40, 40, 40, 40].map((T) => [rowsOf(T)]);
  expectLoaded(arena, sequences);
  const others = sequences.filter((_, i) => i !== 1);
  expect(expectLoaded(arena, others).n).toBe(4);
  expect(expectLoaded(arena, sequences).slots).toEqual([0, 1, 2, 3]);
  let last = 0;
  for (let step = 0; step < 20; step++) last = expectLoaded(arena, others).n;
  expect(last).toBe(3);
});

test("offers less room when only short sequences are left", () => {
  const arena = new CacheArena(shape, 2 ** 20);
  const [long, short] = [[rowsOf(300)], [rowsOf(40)]];
  expect(expectLoaded(arena, [long, short]).capacity).toBe(320);
  let { capacity } = expectLoaded(arena, [short]);
  expect(capacity).toBe(320);
  for (let step = 0; step < 20; step++) ({ capacity } = expectLoaded(arena, [short]));
  expect(capacity).toBe(64);
  expect(arena.bytes).toBeLessThan(2 * 320 * BYTES_PER_POSITION);
  expectLoaded(arena, [long]);
});

test("takes no more memory than it may, however many come, but always has room for one", () => {
  const maxBytes = 4 * 64 * BYTES_PER_POSITION;
  const arena = new CacheArena(shape, maxBytes);
  expect(mostSlots(shape, 64, maxBytes)).toBe(4);
  expect(mostSlots(shape, 200, maxBytes)).toBe(1);
  expect(mostSlots(shape, 5000, maxBytes)).toBe(1);
  for (let i = 0; i < 30; i++) {
    expectLoaded(
      arena,
      [40, 50, 60].map((T) => [rowsOf(T)]),
    );
    expect(arena.bytes).toBeLessThanOrEqual(maxBytes);
  }
  expectLoaded(arena, [[rowsOf(5000)]]);
  expect(arena.bytes).toBe(cacheCapacity(5000) * BYTES_PER_POSITION);
});

test("counts shared rows once", () => {
  const rows = [rowsOf(10), rowsOf(5)];
  expect(rowBytes([...rows, ...firstPositions(rows, 12)])).toBe(15 * BYTES_PER_POSITION);
});
