import { expect, test } from "vitest";
import { cacheCapacity, cacheInput, KeyValueCache } from "./cache.ts";

const shape = { layers: 2, heads: 3, width: 2 };

/** Rows whose numbers say where they belong: array i, head h, position t, component e. */
function rowsOf(from: number, T: number): Float32Array {
  const rows: number[] = [];
  for (let i = 0; i < 4; i++)
    for (let h = 0; h < 3; h++)
      for (let t = from; t < from + T; t++) for (let e = 0; e < 2; e++) rows.push(i * 1e6 + h * 1e5 + t * 10 + e);
  return Float32Array.from(rows);
}

function expectHeld(cache: KeyValueCache, length: number): void {
  expect(cache.length).toBe(length);
  const feeds = cache.feeds();
  for (let i = 0; i < 4; i++) {
    const { data, shape } = feeds[cacheInput(i)]!;
    expect(shape).toEqual([1, 3, 1, cache.feedCapacity, 2]);
    for (let h = 0; h < 3; h++)
      for (let t = 0; t < length; t++)
        for (let e = 0; e < 2; e++)
          expect(data[(h * cache.feedCapacity + t) * 2 + e]).toBe(i * 1e6 + h * 1e5 + t * 10 + e);
  }
}

test("holds every row while it grows by single positions and by many", () => {
  const cache = new KeyValueCache(shape);
  let length = 0;
  for (const T of [1, 1, 30, 1, 33, 200, ...Array<number>(40).fill(1)]) {
    cache.append(rowsOf(length, T), T);
    length += T;
  }
  expectHeld(cache, 306);
});

test("leaves little of its capacity unused", () => {
  expect([1, 32, 33, 256, 257, 512, 513, 1025].map(cacheCapacity)).toEqual([32, 32, 64, 256, 288, 512, 576, 1152]);
  for (let length = 256; length < 5000; length += 7) expect(cacheCapacity(length)).toBeLessThan(length * 1.126);
});

test("feeds the same memory as long as the capacity is the same", () => {
  const cache = new KeyValueCache(shape);
  cache.append(rowsOf(0, 3), 3);
  const before = cache.feeds()[cacheInput(0)]!.data;
  cache.append(rowsOf(3, 1), 1);
  expect(cache.feeds()[cacheInput(0)]!.data).toBe(before);
});

test("forgets the end, offers less room then, and goes on from there", () => {
  const cache = new KeyValueCache(shape);
  cache.append(rowsOf(0, 300), 300);
  cache.truncate(290);
  expect(cache.feedCapacity).toBe(320); // of 300
  const { bytes } = cache;
  cache.truncate(20);
  expect(cache.bytes).toBeLessThan(bytes / 5);
  expect(cache.feedCapacity).toBe(32);
  cache.append(rowsOf(20, 70), 70);
  expectHeld(cache, 90);
  cache.truncate(0);
  expect(cache.feedCapacity).toBe(1);
  cache.append(rowsOf(0, 2), 2);
  expectHeld(cache, 2);
});

test("a fork goes its own way", () => {
  const cache = new KeyValueCache(shape);
  cache.append(rowsOf(0, 100), 100);
  const fork = cache.fork(40);
  expect(fork.bytes).toBeLessThan(cache.bytes);
  fork.append(new Float32Array(4 * 3 * 2), 1);
  cache.append(rowsOf(100, 1), 1);
  expectHeld(cache, 101);
  fork.truncate(40);
  expectHeld(fork, 40);
  expect(cache.fork(0).length).toBe(0);
});
