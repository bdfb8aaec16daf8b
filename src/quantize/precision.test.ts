import { expect, test } from "vitest";
import { openModelFolder } from "../model-folder.ts";
import { planPrecision } from "./precision.ts";

test("gives every matrix of kelix-nano that blocks fit the largest of its blocks, and none to convolutions", async () => {
  const model = await openModelFolder("kelix-nano");
  const [main, transformer, autoencoder] = planPrecision(model, { weights: "int4", block: 128 });
  await model.close();
  const quantised = [...main!.tensors, ...transformer!.tensors].filter(({ form }) => typeof form !== "string");
  expect(quantised.length).toBeGreaterThan(80);
  for (const { name, shape, form } of quantised) {
    if (typeof form === "string") continue;
    expect(shape, name).toHaveLength(2);
    expect(form.block, name).toBe(shape[1]! % 128 === 0 ? 128 : 32);
    expect(form.bits, name).toBe(name.startsWith("model.model.layers.") ? 4 : 8);
  }
  expect(autoencoder!.tensors.every(({ form }) => form === "bf16")).toBe(true);
});
