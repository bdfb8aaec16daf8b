import { expect, test } from "vitest";
import type { Detokenizer } from "./detokenizer.ts";
import { DetokenizerPool } from "./detokenizer-pool.ts";

/** A pool of what only the pool calls. */
function fakes() {
  const opened: string[] = [];
  const closed: string[] = [];
  const pool = new DetokenizerPool();
  const open = async (key: string) => {
    opened.push(key);
    if (key === "bad") throw new Error("no");
    return { dispose: async () => void closed.push(key) } as unknown as Detokenizer;
  };
  const use = (key: string, work = async () => {}) => pool.use(key, () => open(key), work);
  return { pool, use, opened, closed };
}

test("opens each size once and closes the longest unused beyond four", async () => {
  const { pool, use, opened, closed } = fakes();
  for (const key of "1234156") await use(key);
  expect(opened).toEqual([..."123456"]);
  expect(closed).toEqual(["2", "3"]);
  await pool.dispose();
  expect(closed.sort()).toEqual([...opened].sort());
});

test("never closes one that is in use", async () => {
  const { pool, use, closed } = fakes();
  await use("1", async () => {
    for (const key of "23456") await use(key);
    await pool.dispose();
    expect(closed).not.toContain("1");
  });
});

test("tries again to open what could not be opened", async () => {
  const { use, opened } = fakes();
  for (let i = 0; i < 2; i++) await expect(use("bad")).rejects.toThrow("no");
  expect(opened).toEqual(["bad", "bad"]);
});
