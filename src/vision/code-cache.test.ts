import { expect, test } from "vitest";
import { CodeCache } from "./code-cache.ts";
import { ImageCodes } from "./image-codes.ts";

const image = (value: number, width = 2) => ({ width, height: 12 / width, data: new Uint8Array(36).fill(value) });
const codes = (value: number) => new ImageCodes({ grid: [1, 1], codes: Uint16Array.of(value, value) });

/** Asks for an image's codes and counts the calls of `encode`. */
function counting(cache: CodeCache) {
  const counted = { calls: 0, ask: (_value: number, _width?: number, _variant?: string) => Promise.resolve(codes(0)) };
  counted.ask = (value, width = 2, variant = "") =>
    cache.codesOf(image(value, width), variant, async () => {
      counted.calls++;
      return codes(value);
    });
  return counted;
}

test("encodes each image once, also when it is asked for twice at the same time", async () => {
  const counted = counting(new CodeCache(4));
  const both = await Promise.all([counted.ask(1), counted.ask(1)]);
  expect(both.map((found) => [...found.codes])).toEqual([
    [1, 1],
    [1, 1],
  ]);
  await counted.ask(1);
  expect(counted.calls).toBe(1);
  await counted.ask(2);
  await counted.ask(1, 3); // the same bytes in another shape
  await counted.ask(1, 2, "small");
  expect(counted.calls).toBe(4);
});

test("hands out codes of one's own", async () => {
  const { ask } = counting(new CodeCache(4));
  (await ask(7)).codes.fill(0);
  expect([...(await ask(7)).codes]).toEqual([7, 7]);
});

test("forgets the image that was not asked for longest, and remembers none at limit 0", async () => {
  const counted = counting(new CodeCache(2));
  for (const value of [1, 2, 1, 3, 1, 2]) await counted.ask(value);
  expect(counted.calls).toBe(4); // 1, 2, 3 and, forgotten meanwhile, 2 again
  const none = counting(new CodeCache(0));
  await none.ask(1);
  await none.ask(1);
  expect(none.calls).toBe(2);
});

test("does not remember a failure", async () => {
  const cache = new CodeCache(2);
  await expect(cache.codesOf(image(1), "", () => Promise.reject(new Error("full")))).rejects.toThrow("full");
  expect([...(await cache.codesOf(image(1), "", async () => codes(5))).codes]).toEqual([5, 5]);
});
