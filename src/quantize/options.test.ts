import { expect, test } from "vitest";
import { convertModel } from "./convert.ts";

test.each([
  [{ weights: "q4" }, 'Expected `weights` to be one of int4, int8, bf16, got "q4"'],
  [{ weights: "int4", block: 64 }, "Expected `block` to be 32 or 128, got 64"],
  [{ weights: "int4", blok: 32 }, "Unknown option `blok` of `convertModel`; did you mean `block`?"],
])("options of a conversion are checked before anything is read: %j", async (options, message) => {
  await expect(convertModel("no-model", "nowhere", options as never)).rejects.toThrow(message);
});
