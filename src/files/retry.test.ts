import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FetchError } from "../errors.ts";
import { withRetries } from "./retry.ts";

const pauses: number[] = [];
beforeEach(() => {
  pauses.length = 0;
  vi.stubGlobal("setTimeout", (end: () => void, ms: number) => {
    pauses.push(ms);
    queueMicrotask(end);
  });
});
afterEach(() => vi.unstubAllGlobals());

const failing = (retryAfterMs: number) => () =>
  Promise.reject(new FetchError("busy", { canRetry: true, retryAfterMs }));

test("doubles the pause and gives up after five tries without progress", async () => {
  await expect(withRetries(failing(0), { backoffMs: 500 })).rejects.toThrow("busy");
  expect(pauses).toEqual([500, 1000, 2000, 4000]);
});

test("waits as long as the server asks, and more often than it would by itself", async () => {
  let tries = 0;
  const told: number[] = [];
  const attempt = () => (++tries < 20 ? failing(75_000)() : Promise.resolve("there"));
  expect(await withRetries(attempt, { backoffMs: 500, onPause: (ms) => told.push(ms) })).toBe("there");
  expect(pauses).toEqual(Array(19).fill(75_000));
  expect(told).toEqual(pauses);
});

test("gives up on a server that asks for ever", async () => {
  await expect(withRetries(failing(1000), { backoffMs: 1 })).rejects.toThrow("busy");
  expect(pauses).toHaveLength(49);
});

test("waits longer than a timer of Node can", async () => {
  const days = 60 * 86_400_000;
  await expect(withRetries(failing(days), { backoffMs: 1 })).rejects.toThrow("busy");
  expect(Math.max(...pauses)).toBeLessThan(2 ** 31);
  expect(pauses.reduce((sum, ms) => sum + ms, 0)).toBe(49 * days);
});
