import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { givenFiles } from "./memory.ts";
import { readWhole } from "./model-files.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = async (files: ReturnType<typeof givenFiles>, path: string) =>
  new TextDecoder().decode(await readWhole(files, path, 100));

test("names the files of a picked folder from inside the folder", async () => {
  const picked = (path: string) =>
    Object.defineProperty(new File([path], path.split("/").at(-1)!), "webkitRelativePath", { value: path });
  const files = givenFiles(["nano/dit/config.json", "nano/config.json", "nano/model.safetensors"].map(picked));
  expect((await files.list()).map(({ name }) => name).sort()).toEqual(["config.json", "dit", "model.safetensors"]);
  expect(await text(files.folder("dit"), "config.json")).toBe("nano/dit/config.json");
});

test("takes buffers with their paths, and copies them", async () => {
  const data = bytes("{}");
  const files = givenFiles([
    { path: "config.json", data },
    { path: "dit/config.json", data: bytes("dit").buffer },
  ]);
  data.fill(0);
  expect(await text(files, "config.json")).toBe("{}");
  expect(await text(files, "dit/config.json")).toBe("dit");
  expect(await files.open("dit")).toBeUndefined();
});

test.each([[["config.json"]], [[{ path: "a" }]], [[{ path: "", data: bytes("x") }]], [[null]]])(
  "rejects %j",
  (list) => {
    expect(() => givenFiles(list as never)).toThrow(InputError);
  },
);
