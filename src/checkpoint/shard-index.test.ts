import { mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";

let root: string;
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "kelix-shards-")));
});
afterAll(() => rm(root, { recursive: true }));

/** A folder with shards (tensor names by file) and an index; every tensor holds the number of its shard. */
async function folderOf(shards: Record<string, string[]>, index: object): Promise<string> {
  const folder = await mkdtemp(join(root, "model-"));
  for (const [i, [file, names]] of Object.entries(shards).entries()) {
    await writeSafetensors(
      join(folder, file),
      names.map((name) => [name, f32([i], [1])] as const),
    );
  }
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
  return folder;
}

const two = { "model-00001-of-00002.safetensors": ["a", "b"], "model-00002-of-00002.safetensors": ["c"] };
const [first, second] = Object.keys(two) as [string, string];
const map = { a: first, b: first, c: second };

test("reads the shards that the index names, and no other file", async () => {
  const folder = await folderOf({ ...two, "old.safetensors": ["a", "d"] }, { weight_map: map });
  const checkpoint = await openCheckpointAt(folder);
  expect(checkpoint.names()).toEqual(["a", "b", "c"]);
  expect(checkpoint.files.map(({ path }) => path)).toEqual([join(folder, first), join(folder, second)]);
  expect(await checkpoint.read("a")).toEqual(f32([0], [1]));
  await checkpoint.close();
});

test("takes a tensor that two shards hold from the one that the index names", async () => {
  const folder = await folderOf({ [first]: ["a", "c"], [second]: ["c"] }, { weight_map: { a: first, c: first } });
  const checkpoint = await openCheckpointAt(folder);
  expect(await checkpoint.read("c")).toEqual(f32([0], [1]));
  await checkpoint.close();
});

test("lets pass shards numbered from 00000 and a wrong total size, as the reference's converter writes them", async () => {
  const [zero, one] = ["model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors"];
  const folder = await folderOf(
    { [zero]: ["a"], [one]: ["b"] },
    { metadata: { total_size: 3 }, weight_map: { a: zero, b: one } },
  );
  const checkpoint = await openCheckpointAt(folder);
  expect(checkpoint.names()).toEqual(["a", "b"]);
  await checkpoint.close();
});

test("lists missing shards, tensors astray and tensors left out in one message", async () => {
  const folder = await folderOf(
    { [first]: ["a", "extra"], [second]: ["b"] },
    { weight_map: { a: first, b: first, gone: second, c: "model-00003-of-00003.safetensors" } },
  );
  await expect(openCheckpointAt(folder)).rejects.toThrow(
    `${folder}: 1 of 3 shards are missing: model-00003-of-00003.safetensors; ` +
      `model.safetensors.index.json names the wrong shard for b (${first} was named, ${second} has it), ` +
      `gone (${second} was named, no shard has it); model.safetensors.index.json does not list extra. ` +
      "Were all files of one version fetched?",
  );
});

test("opens what is there when the caller wants to hear of faults instead", async () => {
  const folder = await folderOf({ [first]: ["a", "b"] }, { weight_map: map });
  await writeFile(join(folder, second), "cut");
  const faults: string[] = [];
  const checkpoint = await openCheckpointAt(folder, { onFault: (fault) => faults.push(fault) });
  expect(checkpoint.names()).toEqual(["a", "b"]);
  expect(faults).toHaveLength(2);
  expect(faults[0]).toMatch(`${second}: the file has 3 bytes`);
  expect(faults[1]).toMatch(`1 of 2 shards are missing: ${second}`);
  await checkpoint.close();
});

test.each([
  ["a path that leads elsewhere", { weight_map: { a: "../a.safetensors" } }, /beside the index/],
  ["a pickle", { weight_map: { a: "pytorch_model.bin" } }, /beside the index/],
  ["no map", { metadata: {} }, /index.json: weight_map is missing/],
  ["a list", [], /index.json: it is \[\], wanted an object/],
])("rejects an index with %s", async (_, index, message) => {
  const folder = await folderOf({ [first]: ["a"] }, index);
  await expect(openCheckpointAt(folder)).rejects.toThrow(message);
});

test("rejects two indices", async () => {
  const folder = await folderOf(two, { weight_map: map });
  await symlink("model.safetensors.index.json", join(folder, "other.safetensors.index.json"));
  await expect(openCheckpointAt(folder)).rejects.toThrow(/has 2 indices/);
});

test("cuts long lists and says how much was left out", async () => {
  const names = Array.from({ length: 25 }, (_, i) => `t.${i}`);
  const folder = await folderOf({ [first]: ["a"] }, { weight_map: Object.fromEntries(names.map((n) => [n, first])) });
  await expect(openCheckpointAt(folder)).rejects.toThrow(/no shard has it\) and 5 more; /);
});
