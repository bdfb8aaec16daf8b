import { join } from "node:path";
import { expect, test } from "vitest";
import { HIDDEN } from "../llm/mask.ts";
import { readSafetensors } from "../quantize/safetensors-file.ts";
import { segmentMask, segmentPositions } from "./segments.ts";

test("positions start again with each segment, as in the reference's packing", async () => {
  const inputs = await readSafetensors(join(import.meta.dirname, "../../test/golden/ar/inputs.safetensors"));
  const outputs = await readSafetensors(join(import.meta.dirname, "../../test/golden/ar/outputs.safetensors"));
  const take = (name: string) => Array.from((inputs.get(name) ?? outputs.get(name))!.data, Number);
  expect([...segmentPositions(take("cu_seqlens"))]).toEqual(take("position_ids"));
});

test("a mask hides the future and other segments", () => {
  expect([...segmentMask([0, 1, 3])]).toEqual([0, HIDDEN, HIDDEN, HIDDEN, 0, HIDDEN, HIDDEN, 0, 0]);
});
