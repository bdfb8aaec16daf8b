import { describe, expect, test } from "vitest";
import { computePositions, scaleToLatents } from "./positions.ts";

const released = { latentGrid: [32, 32], maxConditionLength: 720, imageSize: 1024 } as const;

describe("the reference's positions", () => {
  test("two special tokens widen 18 x 18 codes to rows of 19", () => {
    const request = { ...released, scheme: "reference", codeGrid: [18, 18], conditionLength: 326 } as const;
    const positions = computePositions(request);
    expect(positions.extents).toEqual([18, 19, 36, 36]);
    expect([positions.condition.rows[19], positions.condition.columns[19]]).toEqual([1, 0]);
    expect(positions.condition.rows.subarray(342).every((row) => row === 0)).toBe(true);
    const scaled = scaleToLatents(positions);
    expect([scaled.rows[341], scaled.columns[341]]).toEqual([34, 34]); // 17 * 2 and trunc(18 * 36/19)
  });

  test("the demo's guess of 26 x 26 codes becomes 26 x 13 with 326 real ones", () => {
    const request = { ...released, scheme: "demo", codeGrid: [18, 18], conditionLength: 326 } as const;
    const positions = computePositions(request);
    expect(positions.extents).toEqual([26, 13, 36, 36]);
    expect(positions).toEqual(computePositions({ ...request, scheme: "reference", codeGrid: [26, 26] }));
    expect([positions.condition.rows[14], positions.condition.columns[14]]).toEqual([1, 1]);
  });

  test("the demo's guess has a column at least, however short the condition is", () => {
    const request = { ...released, scheme: "demo", codeGrid: [1, 1], conditionLength: 1 } as const;
    expect(computePositions(request).extents).toEqual([26, 1, 36, 36]);
    expect(computePositions({ ...request, maxConditionLength: 420, conditionLength: 326 }).extents).toEqual([
      20, 17, 36, 36,
    ]);
  });
});

test("the reference counts extents in pixels where codes alone are drawn from", () => {
  const request = { ...released, scheme: "reference-codes", codeGrid: [18, 18], maxConditionLength: 324 } as const;
  const positions = computePositions({ ...request, conditionLength: 324 });
  expect(positions.extents).toEqual([504, 504, 1024, 1024]);
  expect([positions.condition.rows[18], positions.condition.columns[18]]).toEqual([1, 0]);
  const wide = computePositions({ ...request, codeGrid: [9, 36], conditionLength: 324 });
  expect(scaleToLatents(wide).rows[8 * 36]).toBe(32); // trunc(8 * 1024 / 252); by positions it would be 8 * 36 / 9 = 32 too
  expect(scaleToLatents(wide).columns[35]).toBe(35); // never shrunk
});

describe("true positions", () => {
  const request = { latentGrid: [4, 4], maxConditionLength: 8, codeGrid: [2, 2], scheme: "raster" } as const;

  test("each code has its own row and column, special tokens the corner", () => {
    const { condition, extents } = computePositions({ ...request, conditionLength: 6 });
    expect([...condition.rows]).toEqual([0, 0, 0, 1, 1, 0, 0, 0]);
    expect([...condition.columns]).toEqual([0, 0, 1, 0, 1, 0, 0, 0]);
    expect(extents).toEqual([2, 2, 4, 4]);
  });

  test("a condition that does not fit the grid is rejected with both sizes", () => {
    expect(() => computePositions({ ...request, conditionLength: 5 })).toThrow("5 entries does not fit 2 x 2");
  });
});
