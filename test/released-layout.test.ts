// Checkpoints in the layout of the released ones, at small sizes: what loads as it lies, what may be absent or lie elsewhere, and
// what is said when something does not fit.

import { copyFile, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Detokenizer, type Solver } from "../src/detokenizer/detokenizer.ts";
import { resize } from "../src/image/resize.ts";
import { readPixels } from "../src/image/rgb.ts";
import { PROCESSOR_LIMITS } from "../src/image/smart-resize.ts";
import { Kelix, type LoadOptions, ModelError, type RgbImage } from "../src/index.ts";
import { languageModelConfig } from "../src/llm/config.ts";
import { LanguageModel } from "../src/llm/language-model.ts";
import { chooseDetokenizer } from "../src/model/drawing.ts";
import { openModelAt } from "../src/model/find.node.ts";
import { languageConfig } from "../src/model/open.ts";
import { readSafetensors, writeSafetensors } from "../src/quantize/safetensors-file.ts";
import { SessionCache } from "../src/runtime/session-cache.ts";
import { textBlock } from "../src/sequence/blocks.ts";
import { ImageTokenizer } from "../src/vision/image-tokenizer.ts";
import { smallSizes } from "../tools/rehearsal/configs.ts";
import { writeModel } from "../tools/rehearsal/write-model.ts";

let root: string;
let released: string;
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "kelix-released-")));
  released = await mkdtemp(join(root, "model-"));
  await writeModel(released, smallSizes);
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A folder of links to some of the model's files and folders. */
async function folderOf(keep: (name: string) => boolean): Promise<string> {
  const folder = await mkdtemp(join(root, "part-"));
  for (const name of (await readdir(released)).filter(keep)) await symlink(join(released, name), join(folder, name));
  return folder;
}

const isAutoregressive = (name: string) => name !== "Kelix-DiT" && name !== "vae";

async function using<T>(folder: string, options: LoadOptions, use: (kelix: Kelix) => Promise<T>): Promise<T> {
  const kelix = await Kelix.load(folder, { threads: 1, ...options });
  try {
    return await use(kelix);
  } finally {
    await kelix.dispose();
  }
}

async function answer(kelix: Kelix, image: RgbImage): Promise<string> {
  const content = [
    { type: "image", image },
    { type: "text", text: "What is this?" },
  ] as const;
  let text = "";
  text += (await kelix.chat([{ role: "user", content }], { maxNewTokens: 4 }).result()).text;
  return text;
}

const image: RgbImage = {
  width: 112,
  height: 84,
  data: Uint8Array.from({ length: 112 * 84 * 3 }, (_, i) => (i * 13 + (i >> 7)) % 256),
};

const patches = { patchSize: 14, mergeSize: 2 };
const limits = PROCESSOR_LIMITS;

describe("the released layout", () => {
  test("has the autoregressive model in shards with an index", async () => {
    const files = await readdir(released);
    const shards = files.filter((file) => file.endsWith(".safetensors"));
    expect(shards.length).toBeGreaterThan(2);
    expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`);
    expect(files).toContain("model.safetensors.index.json");
    expect(files).not.toContain("generation_config.json");
  });

  test("loads as it lies, with the released settings, and answers about an image", async () => {
    const warnings: string[] = [];
    await using(released, { onWarning: (message) => warnings.push(message) }, async (kelix) => {
      expect(await kelix.tokenize(image)).toMatchObject({ grid: [3, 4] });
      expect((await answer(kelix, image)).length).toBeGreaterThan(0);
      expect(kelix.canImagine).toBe(true);
    });
    expect(warnings).toEqual([]);
    const folder = await openModelAt(released);
    expect(folder.generation).toEqual({
      positions: "reference",
      reconstruct: { steps: 20, guidance: 4.5, max_positions: 324, image_size: 1024 },
      imagine: { steps: 50, guidance: 1, temperature: 0, top_k: 0, top_p: 1, grid: [18, 18] },
    });
    await folder.close();
  });

  test("gives the same codes and scores when its weights are widened at each run", async () => {
    const folder = await openModelAt(released);
    const { weights, close } = folder;
    const ar = languageConfig(folder);
    const compute = async (widening: "load" | "run") => {
      const options = { threads: 1, widening };
      const tokenizer = await ImageTokenizer.open(ar.tokenizer_config, weights, { ...patches, ...limits }, options);
      const language = await LanguageModel.open(languageModelConfig(ar), weights, options);
      const sequence = language.start();
      await sequence.read(textBlock(7, language.vocabulary));
      const [scores] = await sequence.scoreText();
      const { codes } = await tokenizer.tokenize(image);
      await Promise.all([tokenizer.dispose(), language.dispose()]);
      return { codes, scores: scores! };
    };
    const [load, run] = [await compute("load"), await compute("run")];
    expect(run.codes).toEqual(load.codes);
    expect(Math.max(...run.scores.map((score, i) => Math.abs(score - load.scores[i]!)))).toBeLessThan(1e-4);
    await close();
  });

  test("draws square images of the transformer's size, by the positions of its training or of the demo", async () => {
    const folder = await folderOf(() => true);
    await writeFile(join(folder, "generation_config.json"), JSON.stringify({ imagine: { grid: [2, 3], steps: 1 } }));
    await using(folder, {}, async (kelix) => {
      const drawn = (await kelix.imagine("a red apple", { seed: 1 }))[0]!;
      expect([drawn.width, drawn.height]).toEqual([128, 128]);
      expect(drawn.codes.grid).toEqual([2, 3]);
      expect((await kelix.imagine("a red apple", { seed: 1, positions: "training" }))[0]!.data).toEqual(drawn.data);
      const demo = (await kelix.imagine("a red apple", { seed: 1, positions: "demo" }))[0]!;
      expect(demo.codes).toEqual(drawn.codes);
      expect(demo.data).not.toEqual(drawn.data);
      await expect(kelix.imagine("x", { positions: "raster" as "demo" })).rejects.toThrow(
        'Expected `positions` to be training or demo, got "raster"',
      );
    });
  });
});

describe("an image reconstructed by the reference's recipe", () => {
  const solo = { steps: 2, guidance: 1, seed: 3 } as const;
  let aedit: string;
  let kelix: Kelix;
  beforeAll(async () => {
    aedit = await mkdtemp(join(root, "aedit-"));
    const { use_connector, connector_channels, ...transformer } = smallSizes.transformer;
    await writeModel(aedit, { ...smallSizes, transformer: { ...transformer, caption_channels: 32 } });
    kelix = await Kelix.load(released, { threads: 1, detokenizer: join(aedit, "Kelix-DiT") });
  });
  afterAll(() => kelix.dispose());

  test("is a square of 1024 pixels first, and so has 18 x 18 positions", async () => {
    const codes = await kelix.tokenize(resize(resize(image, 1024, 1024, "lanczos"), 504, 504));
    expect(codes.grid).toEqual([18, 18]);
    const recipe = await kelix.reconstruct(image, solo);
    expect(recipe.data).toEqual((await kelix.reconstruct(codes, solo)).data);
    const kept = await kelix.reconstruct(image, { ...solo, keepSize: true });
    expect(kept.data).toEqual((await kelix.reconstruct(await kelix.tokenize(image), solo)).data);
    expect(kept.data).not.toEqual(recipe.data);
  });

  test("is drawn by the schedule that diffusers makes itself", async () => {
    const folder = await openModelAt(released, { detokenizer: join(aedit, "Kelix-DiT") });
    const codes = await kelix.tokenize(image);
    const { transformer, autoencoder, settingsFor } = chooseDetokenizer(folder, "codes");
    const tokenizer = await ImageTokenizer.open(folder.tokenizer, folder.weights, { ...patches, ...limits });
    const sessions = new SessionCache(2 ** 30, { threads: 1 });
    const detokenizer = new Detokenizer({ transformer, autoencoder }, settingsFor(codes.grid), sessions);
    const request = { condition: await tokenizer.embed(codes), isConnected: true, codeGrid: codes.grid };
    const drawn = async (solver: Solver) => (await detokenizer.detokenize(request, { ...solo, solver })).data;
    expect(readPixels(await kelix.reconstruct(codes, solo)).data).toEqual(await drawn("euler-default"));
    expect(await drawn("euler")).not.toEqual(await drawn("euler-default"));
    await Promise.all([tokenizer.dispose(), sessions.close()]);
    await folder.close();
  });

  test("takes the fusion that is named, or that generation_config.json names, over the tokenizer's", async () => {
    const codes = await kelix.tokenize(image);
    const own = await kelix.reconstruct(codes, solo);
    const sum = await kelix.reconstruct(codes, { ...solo, fusion: "sum" });
    expect((await kelix.reconstruct(codes, { ...solo, fusion: "mean" })).data).toEqual(own.data);
    expect(sum.data).not.toEqual(own.data);
    const folder = await folderOf(() => true);
    await writeFile(join(folder, "generation_config.json"), JSON.stringify({ reconstruct: { fusion: "sum" } }));
    await using(folder, { detokenizer: join(aedit, "Kelix-DiT") }, async (other) => {
      expect((await other.reconstruct(codes, solo)).data).toEqual(sum.data);
    });
    const wrong = kelix.reconstruct(codes, { fusion: "max" as "mean" });
    await expect(wrong).rejects.toThrow('Expected `fusion` to be sum or mean, got "max"');
  });
});

describe("what may be absent or elsewhere", () => {
  test("an autoregressive checkpoint alone understands, and says what drawing lacks", async () => {
    await using(await folderOf(isAutoregressive), {}, async (kelix) => {
      expect((await answer(kelix, image)).length).toBeGreaterThan(0);
      expect(kelix.canImagine).toBe(false);
      await expect(kelix.imagine("x")).rejects.toThrow(
        /no diffusion transformer that draws from the language model's hidden states.*OpenOneRec\/Kelix-DiT.*--dit FOLDER/,
      );
      await expect(kelix.reconstruct(image)).rejects.toThrow(
        /draws from codes alone\. It is one without a connector.*none is known to be published.*`detokenizer`/,
      );
    });
  });

  test("parts are found in folders of their own", async () => {
    const folder = await folderOf(isAutoregressive);
    const [detokenizer, autoencoder] = [join(released, "Kelix-DiT"), released];
    await using(folder, { detokenizer, autoencoder }, async (kelix) => expect(kelix.canImagine).toBe(true));
    await using(folder, { detokenizer }, async (kelix) => {
      await expect(kelix.imagine("x")).rejects.toThrow(/no autoencoder.*--vae FOLDER/);
    });
    await expect(Kelix.load(folder, { autoencoder: join(released, "Kelix-DiT") })).rejects.toThrow(
      /neither it nor a sub-folder has a config\.json of an autoencoder \(AutoencoderDC\)/,
    );
    await expect(Kelix.load(join(released, "Kelix-DiT"))).rejects.toThrow(
      /describes a diffusion transformer \(SanaConfig\) alone/,
    );
  });

  test("a transformer without a connector draws from codes alone, beside one that draws from hidden states", async () => {
    const { use_connector, connector_channels, ...rest } = smallSizes.transformer;
    const other = await mkdtemp(join(root, "aedit-"));
    await writeModel(other, { ...smallSizes, transformer: { ...rest, caption_channels: 32 } });
    const detokenizer = [join(released, "Kelix-DiT"), join(other, "Kelix-DiT")];
    await using(released, { detokenizer }, async (kelix) => {
      const back = await kelix.reconstruct(image, { steps: 1, guidance: 1 });
      expect([back.width, back.height]).toEqual([128, 128]);
    });
    await expect(Kelix.load(released, { detokenizer: [detokenizer[0]!, detokenizer[0]!] })).rejects.toThrow(
      /Kelix-DiT and Kelix-DiT both draw from the language model's hidden states/,
    );
  });

  test("training's output matrix will do where generation's is absent, and a difference of the two is told", async () => {
    const whole = await mkdtemp(join(root, "whole-"));
    for (const name of await readdir(released)) {
      if (/^(config|tokenizer|tokenizer_config)\.json$/.test(name))
        await copyFile(join(released, name), join(whole, name));
    }
    const tensors = new Map(
      (await Promise.all((await shardsOf(released)).map((shard) => readSafetensors(shard)))).flatMap((shard) => [
        ...shard,
      ]),
    );
    const file = join(whole, "model.safetensors");
    const [output, head] = ["model.model.output.weight", "lm_head.weight"];
    const write = (change: (all: typeof tensors) => void) => {
      const changed = new Map(tensors);
      change(changed);
      return writeSafetensors(file, changed);
    };
    const said = async (warnings: string[] = []) => {
      const text = await using(whole, { onWarning: (message) => warnings.push(message) }, (kelix) =>
        answer(kelix, image),
      );
      return { text, warnings };
    };
    await write(() => {});
    const { text } = await said();
    await write((all) => all.delete(output));
    expect(await said()).toEqual({ text, warnings: [] });
    await write((all) => all.delete(head));
    expect(await said()).toEqual({ text, warnings: [] });
    await write((all) =>
      all.set(head, { ...all.get(head)!, data: (all.get(head)!.data as Uint16Array).map((bits) => bits ^ 1) }),
    );
    expect(await said()).toEqual({
      text,
      warnings: [expect.stringMatching(/lm_head.weight and model.model.output.weight differ/)],
    });
    await write((all) => {
      all.delete(head);
      all.delete(output);
    });
    await expect(said()).rejects.toThrow(/1 missing: model\.model\.output\.weight \[1280,128\]/);
  });
});

async function shardsOf(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(".safetensors")).map((name) => join(folder, name));
}

describe("what does not fit", () => {
  test("a missing shard is named before anything is read", async () => {
    const [first] = (await readdir(released)).filter((name) => name.endsWith(".safetensors"));
    const folder = await folderOf((name) => name !== first);
    await expect(Kelix.load(folder)).rejects.toThrow(ModelError);
    await expect(Kelix.load(folder)).rejects.toThrow(`shards are missing: ${first}`);
  });

  test("an autoencoder of other latents is refused at load, before any code is written for it", async () => {
    const other = await mkdtemp(join(root, "latents-"));
    await writeModel(other, { ...smallSizes, autoencoder: { ...smallSizes.autoencoder, latent_channels: 16 } });
    await expect(Kelix.load(released, { autoencoder: join(other, "vae") })).rejects.toThrow(
      "Kelix-DiT makes latents of 32 channels, vae reads 16",
    );
  });

  test("a grid of more positions than the transformer is conditioned on is refused, and in a conversation not drawn", async () => {
    const folder = await folderOf(() => true);
    await writeFile(join(folder, "generation_config.json"), JSON.stringify({ imagine: { grid: [26, 28] } }));
    await using(folder, {}, async (kelix) => {
      expect(kelix.canImagine).toBe(false);
      await expect(kelix.imagine("x")).rejects.toThrow("at most 718 positions, and images have 26 x 28");
    });
  });

  test("what differs from the configs is listed in one message, whatever part it is in", async () => {
    const folder = await folderOf((name) => isAutoregressive(name) && name !== "config.json");
    const config = JSON.parse(await readFile(join(released, "config.json"), "utf8"));
    config.qwen_config.num_layers = 3;
    config.qwen_config.intermediate_dim = 512;
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    await mkdir(join(folder, "vae"));
    await writeSafetensors(join(folder, "vae", "model.safetensors"), []);
    await copyFile(join(released, "vae", "config.json"), join(folder, "vae", "config.json"));
    const message = await Kelix.load(folder).catch((error: Error) => error.message);
    expect(message).toMatch(/11 missing: model\.model\.layers\.2\.sa_norm\.scale \[128\], /);
    expect(message).toMatch(/6 of another shape: model\.model\.layers\.0\.mlp\.w1\.weight has shape \[256,128\]/);
    expect(message).toMatch(/vae does not fit the model\. \d+ missing: .* and \d+ more\. Is this the right preset\?$/);
  });
});
