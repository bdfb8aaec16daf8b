import { expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import { spoil } from "./language-model.ts";

test("spoil changes one code at about the share of positions, to another of its book, and leaves the true codes alone", () => {
  const [N, positions, size] = [8, 1000, 256];
  const codes = Int32Array.from({ length: N * positions }, (_, i) => (i * 31) % size);
  const before = codes.slice();
  const spoilt = spoil(codes, N, 0.1, { codebookSize: N * size }, counterRandom(1, "spoil"));
  expect(codes).toEqual(before);
  const changed = Array.from({ length: positions }, (_, p) =>
    Array.from({ length: N }, (_, i) => p * N + i).filter((at) => spoilt[at] !== codes[at]),
  ).filter((places) => places.length > 0);
  expect(changed.length / positions).toBeCloseTo(0.1, 1);
  for (const places of changed) expect(places).toHaveLength(1);
  for (const code of spoilt) {
    expect(code).toBeGreaterThanOrEqual(0);
    expect(code).toBeLessThan(size);
  }
});
