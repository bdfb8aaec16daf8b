import { expect, test } from "vitest";
import { openModelAt } from "../model/find.node.ts";
import { matrixForm, planPrecision } from "./precision.ts";

test("gives every matrix of kelix-nano that blocks fit the largest of its blocks, and none to convolutions wider than a pixel", async () => {
  const model = await openModelAt("kelix-nano");
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

test("takes blocks of 128 if nothing is said, of 32 at 4 bits in short rows and where 128 do not fit, and none where neither does", () => {
  const layer = "model.model.layers.0.mlp.w1.weight";
  const formOf = (width: number, block?: 32 | 128, name = layer) =>
    matrixForm(name, [8, width], { weights: "int4", ...(block && { block }) });
  expect(formOf(4096)).toEqual({ bits: 4, block: 128 });
  expect(formOf(4096, 32)).toEqual({ bits: 4, block: 32 });
  expect(formOf(256)).toEqual({ bits: 4, block: 32 });
  expect(formOf(256, 128)).toEqual({ bits: 4, block: 128 });
  expect(formOf(256, undefined, "model.model.output.weight")).toEqual({ bits: 8, block: 128 });
  expect(formOf(2240)).toEqual({ bits: 4, block: 32 });
  expect(formOf(4304)).toBe("bf16");
});
