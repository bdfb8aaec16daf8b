import { expect, test } from "vitest";
import { f32 } from "../runtime/host-tensor.ts";
import { imageFromPlanes } from "./planes.ts";

test("pixels are clamped and rounded with halves to even", () => {
  const value = (byte: number) => (byte / 255 - 0.5) * 2;
  expect([...imageFromPlanes(f32([-3, value(100.4), 3], [1, 3, 1, 1])).data]).toEqual([0, 100, 255]);
});
