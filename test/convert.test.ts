// A model at lower precision: the folder loads by the same code, gives nearly the same results, and is never there in part.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readPixels } from "../src/image/rgb.ts";
import { type ImageCodes, Kelix, type RgbImage } from "../src/index.ts";
import { openModelAt } from "../src/model/find.node.ts";
import { convertModel } from "../src/quantize/convert.ts";
import type { ConvertOptions } from "../src/quantize/options.ts";
import type { Device } from "../src/runtime/session.ts";
import { isQuantized } from "../src/runtime/weight-source.ts";
import { openCheckpointAt } from "../src/train/open-checkpoint.ts";
import { program, runCli } from "./run-cli.ts";
import { writeTinyModel } from "./tiny-model.ts";

const image = "data/heldout/demo/rocket.png";
const formats = [{ weights: "int4", block: 32 }, { weights: "int8", block: 32 }, { weights: "bf16" }] as const;

let root: string;
let source: string;
let plain: Answers;
const target = (name: string) => join(root, name);
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-convert-"));
  source = await writeTinyModel(target("tiny"));
  for (const format of formats) await convertModel(source, target(format.weights), format);
  plain = await run(source);
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

interface Answers {
  readonly codes: ImageCodes;
  readonly reconstruction: RgbImage;
  readonly text: string;
  readonly drawing: RgbImage;
}

/** What a model makes of one image. With `codes` everything after tokenizing starts from those. */
async function run(model: string, codes?: ImageCodes, device: Device = "cpu"): Promise<Answers> {
  const kelix = await Kelix.load(model, { threads: 1, device });
  try {
    const own = await kelix.tokenize(image);
    const used = codes ?? own;
    const content = [
      { type: "image", image: used },
      { type: "text", text: "What is this?" },
    ] as const;
    const { text } = await kelix.chat([{ role: "user", content: [...content] }], { maxNewTokens: 4 }).result();
    const reconstruction = readPixels(await kelix.reconstruct(used, { seed: 1 }));
    const [drawing] = await kelix.imagine("a red circle", { seed: 1 });
    return { codes: own, reconstruction, text, drawing: readPixels(drawing!) };
  } finally {
    await kelix.dispose();
  }
}

const converted = new Map<string, Promise<Answers>>();

/** What a converted model makes of the image, and of the codes of the plain one. */
function answersOf(name: string): Promise<Answers> {
  const answers = converted.get(name) ?? run(target(name), plain.codes);
  converted.set(name, answers);
  return answers;
}

describe("a converted model", () => {
  test("at 16 bits gives the same results to the last bit: what is left out and zeroed was not read", async () => {
    expect(await answersOf("bf16")).toEqual(plain);
  });

  test.each([
    ["int8", 0.95, 35],
    ["int4", 0.95, 35],
  ] as const)("at %s gives nearly the same codes and images", async (name, codes, decibels) => {
    const found = await answersOf(name);
    const same = found.codes.codes.filter((code, i) => code === plain.codes.codes[i]).length;
    expect(same / plain.codes.codes.length).toBeGreaterThan(codes);
    expect(psnr(found.reconstruction, plain.reconstruction)).toBeGreaterThan(decibels);
    expect(found.text.length).toBeGreaterThan(0);
    expect(found.drawing.data).toHaveLength(plain.drawing.data.length);
  });

  test("runs on WASM, where its weights are widened when they are loaded", async () => {
    const found = await run(target("int4"), plain.codes, "wasm");
    expect(psnr(found.reconstruction, (await answersOf("int4")).reconstruction)).toBeGreaterThan(35);
  });

  test("keeps norms, positions, codebooks and the autoencoder, and has 4 bits in the language model's layers alone", async () => {
    const model = await openModelAt(target("int4"));
    const bits = (name: string) => {
      const found = model.weights.find(name);
      return found && isQuantized(found) ? found.bits : 16;
    };
    expect(bits("model.model.layers.1.mlp.w2.weight")).toBe(4);
    expect(bits("model.model.output.weight")).toBe(8);
    expect(bits("visual_tokenizer.mlp_AR.linear_2.weight")).toBe(8);
    expect(bits("visual_tokenizer.quantizer.3.embedding_proj.weight")).toBe(16);
    expect(bits("model.model.tok_embeddings.embed_tokens.weight")).toBe(8);
    expect(bits("model.model.token_head.position_embedding.weight")).toBe(16);
    expect(bits("model.model.norm.scale")).toBe(16);
    const { hidden, autoencoder } = model.detokenizer;
    const quantised = ({ weights }: NonNullable<typeof hidden | typeof autoencoder>) =>
      weights.names().filter((name) => isQuantized(weights.find(name)!)).length;
    expect(quantised(hidden!)).toBeGreaterThan(8);
    expect(quantised(autoencoder!)).toBe(0);
    await model.close();
  });

  test("loses what nobody reads, and has every other file", async () => {
    const names = async (folder: string) => {
      const checkpoint = await openCheckpointAt(folder);
      await checkpoint.close();
      return checkpoint.names();
    };
    const [before, after] = [await names(source), await names(target("int4"))];
    expect(before.filter((name) => !after.includes(name))).toEqual(["lm_head.weight"]);
    expect(await names(target("bf16"))).toEqual(before);
    for (const folder of ["", "dit", "vae"]) {
      const files = async (model: string) => (await readdir(join(model, folder))).sort();
      const listing = folder === "" ? ["files.json"] : []; // for browsers
      expect(await files(target("int4"))).toEqual([...(await files(source)), ...listing].sort());
    }
    const { files } = JSON.parse(await readFile(join(target("int4"), "files.json"), "utf8"));
    const { size } = await stat(join(target("int4"), "model.safetensors"));
    expect(files).toContainEqual({
      path: "model.safetensors",
      bytes: size,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(await readFile(join(target("int4"), "dit", "config.json"))).toEqual(
      await readFile(join(source, "dit", "config.json")),
    );
  });

  test("is divided where it is big, and then loads too", async () => {
    const options = { weights: "int4", block: 32, maxShardBytes: 100_000 } as const;
    const { tensors } = await convertModel(source, target("divided"), options);
    expect((await readdir(target("divided"))).filter((name) => /^model-\d+-of-\d+/.test(name)).length).toBeGreaterThan(
      1,
    );
    expect(await answersOf("divided")).toEqual(await answersOf("int4"));
    expect(tensors.length).toBeGreaterThan(100);
  });

  test("can be widened again, but not rounded a second time", async () => {
    await convertModel(target("int4"), target("widened"), { weights: "bf16" });
    const [widened, wanted] = [await answersOf("widened"), await answersOf("int4")];
    expect(psnr(widened.reconstruction, wanted.reconstruction)).toBeGreaterThan(35);
    await expect(convertModel(target("int4"), target("twice"), { weights: "int8", block: 32 })).rejects.toThrow(
      /is already quantised \(model\.model\.layers.* at 4 bits\): convert the original model/,
    );
    expect(await readdir(root)).not.toContain("twice");
  });
});

describe("converting", () => {
  const options = { weights: "int4", block: 32 } as const;

  test("never writes over the model itself or anything else", async () => {
    await expect(convertModel(source, source, options)).rejects.toThrow(/already exists/);
    await expect(convertModel(source, target("int8"), options)).rejects.toThrow(/already exists/);
  });

  test("leaves nothing behind when it is aborted", async () => {
    const before = (await readdir(root)).sort();
    const abort = new AbortController();
    const onProgress: ConvertOptions["onProgress"] = ({ doneBytes, totalBytes }) => {
      if (doneBytes > totalBytes / 2) abort.abort(new Error("enough"));
    };
    const aborted = convertModel(source, target("aborted"), { ...options, signal: abort.signal, onProgress });
    await expect(aborted).rejects.toThrow("enough");
    expect((await readdir(root)).sort()).toEqual(before);
  });

  test("killed half-way leaves nothing", async () => {
    const parent = await mkdtemp(join(root, "killed-"));
    const command = [program, "convert", "kelix-nano", join(parent, "out"), "--weights", "int4"];
    const child = spawn(process.execPath, command);
    const ended = new Promise((resolve) => child.once("close", (_, signal) => resolve(signal)));
    while ((await readdir(parent)).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGKILL");
    expect(await ended).toBe("SIGKILL");
    expect(await readdir(parent)).toEqual([]);
  });
});

describe("kelix convert", () => {
  const convert = (...args: string[]) => runCli(["convert", ...args]);

  test("reports the error of each tensor, as a table and as JSON", async () => {
    const table = await convert(source, target("from-cli"), "--weights", "int4");
    expect(table).toMatchObject({ status: 0, err: "" });
    expect(table.out).toMatch(
      /^ +\d+\.\d{3} % +2\d\.\d dB {2}int4 block 32 +model\.model\.layers\.0\.attn\.k_proj\.weight$/m,
    );
    expect(table.out).toMatch(/exact {2}bf16 +\d+ tensors/);
    const json = await convert(source, target("from-cli-json"), "--weights", "int8", "--json");
    const report = JSON.parse(json.out);
    expect(report.targetBytes).toBeLessThan(report.sourceBytes);
    expect(report.relativeError).toBeLessThan(0.01);
    expect(report.tensors.find(({ name }: { name: string }) => name === "dit/t_block.1.weight")).toMatchObject({
      form: "int8 block 32",
      bytes: (32 * 6 * 32 * 9) / 8,
    });
  });

  test.each([
    [["a", "b"], 2, /--weights/],
    [["a", "b", "--weights", "int3"], 2, /int4, int8, bf16/],
    [["a", "b", "--weights", "int4", "--block", "64"], 2, /Expected 32 or 128, got 64/],
    [["a", "b", "--weights", "bf16", "--block", "32"], 2, /bf16 have no blocks/],
    [["no-such-model", "b", "--weights", "int4"], 1, /no such model folder/],
  ] as const)("says what is wrong with %j", async (args, status, message) => {
    const result = await convert(...args);
    expect(result.err).toMatch(message);
    expect(result.err.trim().split("\n")).toHaveLength(1);
    expect(result).toMatchObject({ status, out: "" });
  });
});

function psnr(a: RgbImage, b: RgbImage): number {
  const error = a.data.reduce((sum, value, i) => sum + (value - b.data[i]!) ** 2, 0) / a.data.length;
  return error === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(255 ** 2 / error);
}
