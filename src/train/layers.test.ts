import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { openLayers } from "./layers.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-layers-"));
  const tensor = (value: number) => f32(Float32Array.of(value), [1]);
  await writeSafetensors(join(folder, "whole.safetensors"), [
    ["encoder", tensor(1)],
    ["book", tensor(2)],
  ]);
  await writeSafetensors(join(folder, "part.safetensors"), [["book", tensor(3)]]);
});
afterAll(() => rm(folder, { recursive: true }));

test("later layers win, and what only an earlier one has is read there", async () => {
  const layers = await openLayers(["whole", "part"].map((name) => join(folder, `${name}.safetensors`)));
  expect(layers.names().sort()).toEqual(["book", "encoder"]);
  expect((await layers.read("book")).data[0]).toBe(3);
  expect((await layers.read("encoder")).data[0]).toBe(1);
  expect(layers.find("book")).toMatchObject({ file: expect.stringContaining("part.safetensors") });
  expect(layers.find("none")).toBeUndefined();
  await expect(layers.read("none")).rejects.toThrow(/has no tensor "none"/);
  await layers.close();
  const alone = await openLayers(join(folder, "whole.safetensors"));
  expect((await alone.read("book")).data[0]).toBe(2);
  await alone.close();
});
