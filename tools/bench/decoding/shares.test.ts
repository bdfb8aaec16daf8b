import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { guessing } from "./guess.ts";
import { secondQuestionAtSize } from "./second-question.ts";
import { outputShare, visualBlock } from "./visual-block.ts";

const settings = { session: { threads: 1 }, processes: 1, block: 32, isSmall: true, hasPeer: false } as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-bench-"));
  vi.stubEnv("KELIX_CACHE", folder);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

test("counts the products with the output matrix among all operations", () => {
  const row = (what: string, msPerRun: number) => ({ what, msPerRun, nodesPerRun: 1, share: 0 });
  const byShape = [
    row("MatMulNBits [1,64] [8192,2]", 2),
    row("MatMulNBits [1,64] [1,2]", 1),
    row("MatMulNBits [1,64] [64,2]", 4),
    row("Add [8192,64] [8192,64]", 5),
  ];
  const trace = { byShape, byOperation: [], msPerRun: 12 };
  expect(outputShare(trace, [8192, 1])).toBe(0.25);
  expect(() => outputShare(trace, [217_472])).toThrow("no operation of the trace");
});

test("a visual block meets the rows of its books and of vision_end", async () => {
  const result = await visualBlock.report(settings, () => {});
  expect(result).toMatchObject({ outputRows: 8 * 96 + 1 });
  expect(result.outputShare as number).toBeGreaterThan(0);
  expect(result.outputShare as number).toBeLessThan(1);
});

test("steps of several blocks are counted in steps of one", async () => {
  const { costInSteps } = (await guessing[0]!.report(settings, () => {})) as { costInSteps: Record<string, number> };
  expect(Object.keys(costInSteps)).toEqual(["1", "2", "3", "5", "9"]);
  expect(costInSteps["1"]).toBe(1);
});

test("a second question is timed beside its first", async () => {
  const result = await secondQuestionAtSize.report(settings, () => {});
  const { medianS, first, shareOfFirst } = result as {
    medianS: number;
    first: { medianS: number };
    shareOfFirst: number;
  };
  expect(shareOfFirst).toBeCloseTo(medianS / first.medianS, 9);
});
