import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { smallImage, tarOf } from "../../test/shard-files.ts";
import { writeTinyModel } from "../../test/tiny-model.ts";
import { readCodes } from "../corpus/code-files.ts";
import { findShards } from "./find-shards.ts";
import { loadShardModel } from "./load-model.ts";
import { parseManifest } from "./manifest.ts";
import { runShard, type ShardModel } from "./run-shard.ts";
import { parseShard, type TaskName } from "./shard.ts";

let folder: string;
let modelFolder: string;
let model: ShardModel;
let out: string;
let input: string;
let images: Uint8Array[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-shard-"));
  modelFolder = await writeTinyModel(join(folder, "model"));
  model = await loadShardModel(modelFolder, { threads: 1 });
  images = await Promise.all([0, 1, 2].map(smallImage));
  input = join(folder, "mixed.tar");
  const text = (words: string) => new TextEncoder().encode(words);
  await writeFile(
    input,
    await tarOf({
      "a/0.png": images[0]!,
      "a/0.txt": text("the first"),
      "a/1.png": images[1]!.subarray(0, 60),
      "../../2.png": images[1]!,
      "3.jpg": text("no image at all"),
      "4.png": images[2]!,
      "5.txt": text("words alone"),
    }),
  );
});
beforeEach(async () => {
  out = await mkdtemp(join(folder, "out-"));
});
afterAll(async () => {
  await model.kelix.dispose();
  await rm(folder, { recursive: true });
});

const shard = (task: TaskName, options: object = {}, from = input, name = "mixed") =>
  parseShard({ task, options, input: from, name, output: out, model: modelFolder });
const run = (task: TaskName, options: object = {}, from = input, name = "mixed") =>
  runShard(shard(task, options, from, name), { model, version: "1" });
const manifestOf = async (name: string) =>
  parseManifest(await readFile(join(out, `${name}.manifest.json`)), "manifest");
const counts = { items: 6, done: 3, bad: 3 };

test("tokenize writes each image's codes under its key; bad items are entries of the manifest", async () => {
  expect(await run("tokenize")).toEqual({ isSkipped: false, ...counts });
  expect((await readdir(out)).sort()).toEqual(["mixed.manifest.json", "mixed.safetensors"]);
  const codes = await readCodes(join(out, "mixed.safetensors"));
  expect(codes.map(({ image }) => image)).toEqual(["a/0", "../../2", "4"]);
  for (const [i, { codes: found, grid }] of codes.entries()) {
    const alone = await model.kelix.tokenize(images[i]!);
    expect([grid, found]).toEqual([alone.grid, alone.codes]);
  }
  const manifest = await manifestOf("mixed");
  expect(manifest.counts).toEqual(counts);
  expect(manifest.bad.map(({ index, key, code }) => [index, key, code])).toEqual([
    [1, "a/1", "invalid_image"],
    [3, "3", "invalid_image"],
    [5, "5", "invalid_input"],
  ]);
  const bytes = await readFile(join(out, "mixed.safetensors"));
  expect(manifest.output).toEqual({
    name: "mixed.safetensors",
    bytes: bytes.length,
    sha256: execFileSync("sha256sum", { input: bytes, encoding: "utf8" }).slice(0, 64),
  });
  expect(manifest.input.sha256).toBe(execFileSync("sha256sum", [input], { encoding: "utf8" }).slice(0, 64));
});

test("a shard is not done again while its manifest fits, and gives the same bytes when it is", async () => {
  await run("describe", { maxNewTokens: 4, temperature: 1, seed: 3 });
  const files = () =>
    Promise.all(["mixed.jsonl", "mixed.manifest.json"].map((name) => readFile(join(out, name), "utf8")));
  const first = await files();
  expect(
    first[0]!
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).key),
  ).toEqual(["a/0", "../../2", "4"]);
  expect(await run("describe", { maxNewTokens: 4, temperature: 1, seed: 3 })).toEqual({ isSkipped: true, ...counts });
  expect((await run("describe", { maxNewTokens: 4, temperature: 1, seed: 4 })).isSkipped).toBe(false);
  expect((await files())[0]).not.toBe(first[0]);
  expect((await run("describe", { maxNewTokens: 4, temperature: 1, seed: 3 })).isSkipped).toBe(false);
  expect(await files()).toEqual(first);
  await rm(join(out, "mixed.jsonl"));
  expect((await run("describe", { maxNewTokens: 4, temperature: 1, seed: 3 })).isSkipped).toBe(false);
  await writeFile(join(out, "mixed.manifest.json"), "{}");
  expect((await run("describe", { maxNewTokens: 4, temperature: 1, seed: 3 })).isSkipped).toBe(false);
  expect(await files()).toEqual(first);
});

test("reconstruct draws the same from images and from a file of codes, in a tar that leads nowhere", async () => {
  await run("tokenize");
  await run("reconstruct", { steps: 1, keepSize: true });
  const list = execFileSync("tar", ["-tvf", join(out, "mixed.tar")], { encoding: "utf8" });
  expect(
    list
      .trim()
      .split("\n")
      .map((line) => line.replace(/^.* /, "")),
  ).toEqual(["a/0.png", "_/_/2.png", "4.png"]);
  const member = (tar: string) => execFileSync("tar", ["-xOf", join(out, tar), "a/0.png"]);
  expect(member("mixed.tar").subarray(1, 4).toString()).toBe("PNG");
  await run("reconstruct", { steps: 1 }, join(out, "mixed.safetensors"), "again");
  expect((await manifestOf("again")).counts).toEqual({ items: 3, done: 3, bad: 0 });
});

test("eval writes measures of a folder's images", async () => {
  const drawings = join(folder, "drawings");
  await mkdir(join(drawings, "more"), { recursive: true });
  await writeFile(join(drawings, "a.png"), images[0]!);
  await writeFile(join(drawings, "more/b.png"), images[1]!);
  await run("eval", { steps: 1 }, drawings, "drawings");
  const measures = JSON.parse(await readFile(join(out, "drawings.json"), "utf8"));
  expect(measures.images).toBe(2);
  expect(measures.psnr.value).toBeGreaterThan(0);
  expect(measures.books).toHaveLength(model.kelix.info().codebooks);
  expect((await manifestOf("drawings")).input.name).toBe("drawings");
});

test("nothing is published of a shard that cannot be used, or was interrupted", async () => {
  const bad = join(folder, "bad.tar");
  await writeFile(bad, await tarOf({ "0.png": images[0]!.subarray(0, 50) }));
  await expect(run("tokenize", {}, bad, "bad")).rejects.toThrow('"bad": none of its 1 images can be used; the first: ');
  await expect(run("tokenize", {}, join(folder, "none.tar"))).rejects.toThrow("there is no such file");
  const controller = new AbortController();
  const stopped = runShard(shard("tokenize"), {
    model,
    version: "1",
    signal: controller.signal,
    onItem: () => controller.abort(new Error("stopped")),
  });
  await expect(stopped).rejects.toThrow("stopped");
  expect(await readdir(out)).toEqual([]);
});

test("an output does not take its input's place", async () => {
  const at = join(out, "mixed.tar");
  await writeFile(at, await readFile(input));
  await expect(run("reconstruct", { steps: 1 }, at)).rejects.toThrow("would replace the input");
});

test("finds shards by names, patterns and folders; two of one name are refused", async () => {
  expect((await findShards([join(folder, "bad.tar"), input])).map(({ name }) => name)).toEqual(["bad", "mixed"]);
  expect((await findShards([folder])).map(({ name }) => name)).toEqual(["bad", "mixed"]);
  expect(await findShards([`${join(folder, "drawings")}/`])).toMatchObject([{ name: "drawings" }]);
  expect((await findShards(["s3://bucket/{08..10}.tar"])).map(({ name }) => name)).toEqual(["08", "09", "10"]);
  await expect(findShards([input, "/elsewhere/mixed.parquet"])).rejects.toThrow('would both be called "mixed"');
  await expect(findShards([join(folder, "none")])).rejects.toThrow("there is no such folder");
});
