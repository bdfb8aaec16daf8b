import { expect, test } from "vitest";
import { openModelFolder } from "../model-folder.ts";
import { planPrecision } from "./precision.ts";

test("gives every matrix of kelix-nano that blocks fit the largest of its blocks, and none to convolutions wider than a pixel", async () => {
  const model = await openModelFolder("kelix-nano");
  const [main, transformer, autoencoder] = planPrecision(model, { weights: "int4", block: 128 });
  await model.close();
  const quantised = [...main!.tensors, ...transformer!.tensors].filter(({ form }) => typeof form !== "string");
  expect(quantised.length).toBeGreaterThan(80);
  for (const { name, shape, form } of quantised) {
    if (typeof form === "string") continue;
    expect(
      shape.slice(2).every((n) => n === 1),
      name,
    ).toBe(true);
    expect(form.block, name).toBe(shape[1]! % 128 === 0 ? 128 : 32);
    expect(form.bits, name).toBe(name.startsWith("model.model.layers.") ? 4 : 8);
  }
  expect(quantised.filter(({ shape }) => shape.length === 4).length).toBe(2 * 5); // of each block of the transformer
  expect(autoencoder!.tensors.every(({ form }) => form === "bf16")).toBe(true);
});
