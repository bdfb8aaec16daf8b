import { expect, test } from "vitest";
import type { Detokenizer } from "./detokenizer.ts";
import { DetokenizerPool } from "./detokenizer-pool.ts";

/** Only what the pool calls. */
function fakes() {
  const opened: string[] = [];
  const closed: string[] = [];
  const pool = new DetokenizerPool(async (grid) => {
    const key = grid.join("x");
    opened.push(key);
    if (grid[0] === 13) throw new Error("no");
    return { dispose: async () => void closed.push(key) } as unknown as Detokenizer;
  });
  return { pool, opened, closed };
}

test("opens each size once and closes the longest unused beyond four", async () => {
  const { pool, opened, closed } = fakes();
  for (const rows of [1, 2, 3, 4, 1, 5, 6]) await pool.use([rows, 1], async () => {});
  expect(opened).toEqual(["1x1", "2x1", "3x1", "4x1", "5x1", "6x1"]);
  expect(closed).toEqual(["2x1", "3x1"]);
  await pool.dispose();
  expect(closed.sort()).toEqual([...opened].sort());
});

test("never closes one that is in use", async () => {
  const { pool, closed } = fakes();
  await pool.use([1, 1], async () => {
    for (const rows of [2, 3, 4, 5, 6]) await pool.use([rows, 1], async () => {});
    await pool.dispose();
    expect(closed).not.toContain("1x1");
  });
});

test("tries again to open what could not be opened", async () => {
  const { pool, opened } = fakes();
  for (let i = 0; i < 2; i++) await expect(pool.use([13, 1], async () => {})).rejects.toThrow("no");
  expect(opened).toEqual(["13x1", "13x1"]);
});
