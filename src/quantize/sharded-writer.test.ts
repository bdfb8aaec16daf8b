import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { ShardedWriter } from "./sharded-writer.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-shards-"));
});
afterAll(() => rm(root, { recursive: true }));

const tensors = new Map([
  ["b", { dtype: "f32", shape: [4] }],
  ["a", { dtype: "u8", shape: [3] }],
  ["c", { dtype: "f32", shape: [2, 2] }],
] as const);

test("divides what is larger than one file by names, with an index", async () => {
  const folder = await mkdtemp(join(root, "divided-"));
  const writer = await ShardedWriter.create(folder, "model", tensors, { maxShardBytes: 20 });
  await writer.write("c", 8, Float32Array.of(3, 4));
  await writer.write("b", 0, Float32Array.of(5, 6, 7, 8));
  await writer.write("c", 0, Float32Array.of(1, 2));
  await writer.finish();
  const files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
  expect((await readdir(folder)).sort()).toEqual([...files, "model.safetensors.index.json"]);
  expect(JSON.parse(await readFile(join(folder, "model.safetensors.index.json"), "utf8"))).toEqual({
    metadata: { total_size: 35 },
    weight_map: { a: files[0], b: files[0], c: files[1] },
  });
  const checkpoint = await openCheckpointAt(folder);
  expect([...(await checkpoint.read("c")).data]).toEqual([1, 2, 3, 4]);
  expect([...(await checkpoint.read("b", [1, 3])).data]).toEqual([6, 7]);
  await checkpoint.close();
});

test("makes one file where all fits, and what was not written reads as zeros that take no room", async () => {
  const folder = await mkdtemp(join(root, "whole-"));
  const writer = await ShardedWriter.create(folder, "model", new Map([["w", { dtype: "f32", shape: [4096, 1024] }]]));
  await writer.write("w", 4 * 1024, new Float32Array(1024).fill(2));
  await writer.finish();
  expect(await readdir(folder)).toEqual(["model.safetensors"]);
  const checkpoint = await openCheckpointAt(folder);
  const rows = (await checkpoint.read("w", [1, 3])).data as Float32Array;
  expect([rows[0], rows[1023], rows[1024]]).toEqual([2, 2, 0]);
  await checkpoint.close();
  const { size, blocks } = await stat(join(folder, "model.safetensors"));
  expect(size).toBeGreaterThan(16e6);
  expect(blocks * 512).toBeLessThan(1e6);
});

test("rejects bytes beyond a tensor's end, and files that exist", async () => {
  const folder = await mkdtemp(join(root, "refused-"));
  const writer = await ShardedWriter.create(folder, "model", tensors);
  await expect(writer.write("b", 8, new Float32Array(3))).rejects.toThrow(/b: 12 bytes at 8 go beyond its end/);
  await writer.close();
  await expect(ShardedWriter.create(folder, "model", tensors)).rejects.toThrow(/EEXIST/);
});
