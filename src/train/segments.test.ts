import { join } from "node:path";
import { expect, test } from "vitest";
import { HIDDEN } from "../llm/mask.ts";
import { readSafetensors } from "../quantize/safetensors-file.ts";
import { fillRows, segmentEnds, segmentMask, segmentPositions } from "./segments.ts";

test("positions start again with each segment, as in the reference's packing", async () => {
  const inputs = await readSafetensors(join(import.meta.dirname, "../../test/golden/ar/inputs.safetensors"));
  const outputs = await readSafetensors(join(import.meta.dirname, "../../test/golden/ar/outputs.safetensors"));
  const take = (name: string) => Array.from((inputs.get(name) ?? outputs.get(name))!.data, Number);
  expect([...segmentPositions(take("cu_seqlens"))]).toEqual(take("position_ids"));
});

test("a mask hides the future and other segments", () => {
  expect([...segmentMask([0, 1, 3])]).toEqual([0, HIDDEN, HIDDEN, HIDDEN, 0, HIDDEN, HIDDEN, 0, 0]);
});

test("samples fill rows, the longest first, and one without room is left out", () => {
  expect(fillRows([30, 90, 50, 10, 100, 45], 3, 100)).toEqual([[4], [1, 3], [2, 5]]);
  expect(fillRows([60, 60, 40], 1, 100)).toEqual([[0, 2]]);
});

test("a row's segments end with its samples, and its padding is one more", () => {
  expect(segmentEnds([3, 4], 9)).toEqual([0, 3, 7, 9]);
  expect(segmentEnds([3, 6], 9)).toEqual([0, 3, 9]);
  expect(segmentEnds([], 9)).toEqual([0, 9]);
});
