// Adapters from end to end on a tiny model: trained, stopped and taken up again, loaded, merged; and against PEFT's numbers.

import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { folderFiles } from "../src/files/folder.node.ts";
import { encodeImage } from "../src/image/codec.node.ts";
import { Kelix } from "../src/index.ts";
import { languageModelConfig, parseKeyeArConfig } from "../src/llm/config.ts";
import { LanguageModel } from "../src/llm/language-model.ts";
import { checkAdapter, readAdapter, withAdapter } from "../src/model/adapter.ts";
import { convertModel } from "../src/quantize/convert.ts";
import { mergeAdapter } from "../src/quantize/merge.ts";
import { writeSafetensors } from "../src/quantize/safetensors-file.ts";
import { counterRandom } from "../src/random/counter.ts";
import { f32, type HostTensor } from "../src/runtime/host-tensor.ts";
import type { WeightSource } from "../src/runtime/session.ts";
import { textBlock } from "../src/sequence/blocks.ts";
import { finetuneModel } from "../src/train/finetune.ts";
import { openCheckpointAt } from "../src/train/open-checkpoint.ts";
import { writeAdapter } from "../src/train/write-adapter.ts";
import { writeTinyModel } from "./tiny-model.ts";

let root: string;
let model: string;
let data: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-finetune-"));
  model = await writeTinyModel(join(root, "model"));
  data = join(root, "data");
  await mkdir(data);
  const rows: string[] = [];
  for (let i = 0; i < 4; i++) {
    const pixels = Uint8Array.from({ length: 32 * 32 * 3 }, (_, j) => (37 * i + 11 * j) % 256);
    await writeFile(join(data, `${i}.png`), await encodeImage({ width: 32, height: 32, data: pixels }, "png"));
    rows.push(JSON.stringify({ image: `${i}.png`, caption: "a pinwheel" }));
  }
  await writeFile(join(data, "captions.jsonl"), rows.join("\n"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const settings = { steps: 16, batch: 4, replay: 1, replayImages: 2, variants: 2, rate: 0.02, threads: 1 } as const;

describe("finetuneModel", () => {
  test("trains an adapter that loads beside the model, and takes a stopped training up with the same losses", async () => {
    const whole = await finetuneModel(model, join(root, "whole"), { data, ...settings });
    expect(whole.at(-1)!.dataLoss).toBeLessThan(0.8 * whole[0]!.dataLoss!);
    const abort = new AbortController();
    const log = (line: string) => {
      if (line.startsWith("step 5/")) abort.abort();
    };
    const cut = { data, ...settings, run: join(root, "state") };
    await finetuneModel(model, join(root, "cut"), { ...cut, signal: abort.signal, log });
    expect((await readdir(root)).includes("cut")).toBe(false);
    const rest = await finetuneModel(model, join(root, "cut"), { ...cut, resume: true });
    expect(rest.map(({ step, loss }) => [step, loss])).toEqual(
      whole.slice(-rest.length).map(({ step, loss }) => [step, loss]),
    );
    expect(rest[0]!.step).toBe(6);
    const weights = (name: string) => readFile(join(root, name, "adapter_model.safetensors"));
    expect(await weights("cut")).toEqual(await weights("whole"));

    expect(await answer(join(root, "whole"))).not.toBe(await answer());
  });

  test("describes the codes that come with a model, and keeps its answers with their alternatives", async () => {
    const folder = join(root, "with codes");
    await cp(model, folder, { recursive: true });
    const kelix = await Kelix.load(folder, { threads: 1 });
    const images = await Promise.all([0, 1, 2].map((i) => kelix.tokenize(join(data, `${i}.png`))));
    await kelix.dispose();
    const write = (list: unknown) => writeFile(join(folder, "replay.codes"), JSON.stringify({ images: list }));
    await write(images);
    const run = join(root, "with codes.run");
    const given = { data, ...settings, steps: 1, replayImages: undefined };
    await finetuneModel(folder, join(root, "from codes"), { ...given, run });
    const { answers } = JSON.parse(await readFile(join(run, "prepared.json"), "utf8"));
    expect(answers).toHaveLength(3);
    for (const [i, { ids, mask, codes, likely }] of answers.entries()) {
      expect(codes).toEqual([...images[i]!.codes]);
      const said = ids.filter((_: number, t: number) => mask[t] === 1);
      expect(likely).toHaveLength(said.length);
      for (const [k, choices] of likely.entries()) {
        expect(choices[0][0]).toBe(said[k]);
        expect(choices.reduce((sum: number, [, share]: [number, number]) => sum + share, 0)).toBeCloseTo(1, 2);
      }
      expect(likely.some((choices: unknown[]) => choices.length > 1)).toBe(true);
    }

    await write([]);
    await expect(finetuneModel(folder, join(root, "none"), given)).rejects.toThrow(/replay\.codes: holds no codes/);
    const [first, ...rest] = images;
    await write([first, { ...rest[0]!.toJSON(), codes: [...rest[0]!.codes.slice(1), 999] }]);
    await expect(finetuneModel(folder, join(root, "broken"), given)).rejects.toThrow(
      /replay\.codes: image 1: Expected codes from 0 to 15, got 999/,
    );
  });

  test("says which linear maps there are, and that the adapter's folder exists", async () => {
    const targets = ["q_prj"];
    const run = join(root, "no-target");
    await expect(finetuneModel(model, join(root, "none"), { data, ...settings, run, targets })).rejects.toThrow(
      /no linear map "q_prj"; it has q_proj, k_proj, v_proj, output_proj, w1, w3, w2/,
    );
    await expect(finetuneModel(model, data, { data, ...settings })).rejects.toThrow(/already exists/);
  });
});

describe("an adapter", () => {
  const modules = [
    "model.model.layers.0.attn.q_proj",
    "model.model.layers.1.mlp.w2",
    "model.model.token_head.input_linear",
  ];

  test("has PEFT's names, and adds scale * B A to its matrices", async () => {
    const { weights, config } = await openModel(model);
    const path = await randomAdapter("random", modules);
    const saved = await openCheckpointAt(join(path, "adapter_model.safetensors"));
    expect(saved.names()[0]).toBe("base_model.model.model.model.layers.0.attn.q_proj.lora_A.weight");
    await saved.close();
    const adapter = await readAdapter(folderFiles(path));
    checkAdapter(adapter, config);
    const sums = new Map<string, HostTensor>();
    for (const name of weights.names()) sums.set(name, await weights.read(name));
    for (const module of modules) {
      const [w, a, b] = [
        sums.get(`${module}.weight`)!,
        adapter.tensors.get(`${module}.lora_A.weight`)!,
        adapter.tensors.get(`${module}.lora_B.weight`)!,
      ];
      const [out, width] = w.shape as [number, number];
      const sum = Float32Array.from(w.data as Float32Array, (value, i) => {
        let delta = 0;
        for (let r = 0; r < 2; r++)
          delta += Number(b.data[Math.floor(i / width) * 2 + r]) * Number(a.data[r * width + (i % width)]);
        return value + 4 * delta;
      });
      sums.set(`${module}.weight`, f32(sum, [out, width]));
    }
    const { memoryWeights } = await import("../src/runtime/memory-weights.ts");
    const wanted = await scores(memoryWeights(sums), config);
    const plain = await scores(weights, config);
    const found = await scores(withAdapter(weights, adapter), config);
    expect(difference(found, wanted)).toBeLessThan(1e-5);
    expect(difference(plain, wanted)).toBeGreaterThan(0.01);
    await weights.close();
  });

  test("is merged at the precision that the model has", async () => {
    const path = await randomAdapter("to merge", modules);
    const tolerances = { f32: 1e-5, bf16: 0.01, int8: 0.05, int4: 0.3 };
    for (const [form, tolerance] of Object.entries(tolerances)) {
      const source = await storedAs(form);
      const target = join(root, `merged ${form}`);
      const { matrices } = await mergeAdapter(source, path, target);
      expect(matrices.map(({ name }) => name)).toEqual(modules.map((module) => `${module}.weight`).sort());
      for (const { change, rounding } of matrices) {
        expect(change).toBeGreaterThan(0.1);
        expect(rounding).toBeLessThan(tolerance);
      }
      const [base, merged] = [await openModel(source), await openModel(target)];
      const adapter = await readAdapter(folderFiles(path));
      const beside = await scores(withAdapter(base.weights, adapter), base.config);
      expect(difference(await scores(merged.weights, merged.config), beside), form).toBeLessThan(tolerance);
      for (const part of ["dit", "vae"])
        expect(await readdir(join(target, part))).toEqual(await readdir(join(source, part)));
      await base.weights.close();
      await merged.weights.close();
    }
  });

  test("that belongs to another model is rejected, with what does not fit", async () => {
    const { weights, config } = await openModel(model);
    await weights.close();
    const adapter = await readAdapter(
      folderFiles(await randomAdapter("strange", ["model.model.layers.7.attn.q_proj"])),
    );
    expect(() => checkAdapter(adapter, config)).toThrow(/is not an adapter of this model: .*layers\.7\.attn\.q_proj/);
    const path = await randomAdapter("dora", modules);
    const file = join(path, "adapter_config.json");
    await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), use_dora: true }));
    await expect(Kelix.load(model, { adapter: path })).rejects.toThrow(/adapter_config\.json.*use_dora/s);
  });
});

/** What the model says of an image, greedily. */
async function answer(adapter?: string): Promise<string> {
  const kelix = await Kelix.load(model, { threads: 1, ...(adapter !== undefined && { adapter }) });
  const content = [
    { type: "image", image: join(data, "0.png") },
    { type: "text", text: "What is this?" },
  ] as const;
  let said = "";
  for await (const event of kelix.chat([{ role: "user", content }], { maxNewTokens: 8 }))
    if (event.type === "text") said += event.text;
  await kelix.dispose();
  return said;
}

async function openModel(folder: string) {
  const config = parseKeyeArConfig(JSON.parse(await readFile(join(folder, "config.json"), "utf8")), "config.json");
  return { weights: await openCheckpointAt(folder), config };
}

/** An adapter of rank 2 and alpha 8 with random numbers in both factors. */
async function randomAdapter(name: string, modules: readonly string[]): Promise<string> {
  const sizes: Record<string, readonly [number, number]> = { q_proj: [32, 32], w2: [32, 64], input_linear: [16, 32] };
  const tensors = new Map<string, HostTensor>();
  for (const module of modules) {
    const [out, width] = sizes[module.split(".").at(-1)!]!;
    const random = counterRandom(3, module);
    tensors.set(
      `${module}.lora_A.weight`,
      f32(
        random.fillNormal(new Float32Array(2 * width)).map((x) => 0.2 * x),
        [2, width],
      ),
    );
    tensors.set(
      `${module}.lora_B.weight`,
      f32(
        random
          .fork("B")
          .fillNormal(new Float32Array(out * 2))
          .map((x) => 0.2 * x),
        [out, 2],
      ),
    );
  }
  const path = join(root, name);
  await writeAdapter(path, tensors, { base: model, rank: 2, alpha: 8 });
  return path;
}

async function storedAs(form: string): Promise<string> {
  if (form === "bf16") return model;
  const target = join(root, form);
  if (form === "int8" || form === "int4") {
    await convertModel(model, target, { weights: form, block: 32 });
    return target;
  }
  await cp(model, target, { recursive: true });
  const { weights } = await openModel(model);
  const tensors: [string, HostTensor][] = [];
  for (const name of weights.names()) tensors.push([name, await weights.read(name)]);
  await weights.close();
  await writeSafetensors(join(target, "model.safetensors"), tensors);
  return target;
}

/** Scores of the text after a few blocks. */
async function scores(weights: WeightSource, ar: ReturnType<typeof parseKeyeArConfig>): Promise<Float32Array> {
  const language = await LanguageModel.open(languageModelConfig(ar), weights, { threads: 1 });
  const sequence = language.start();
  await sequence.read(Int32Array.from([5, 900, 77, 12].flatMap((id) => [...textBlock(id, language.vocabulary)])));
  const [row] = await sequence.scoreText();
  await language.dispose();
  return row!;
}

/** Root mean square of the difference as a share of the values'. */
function difference(found: Float32Array, wanted: Float32Array): number {
  const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value ** 2, 0);
  return Math.sqrt(squares(found.map((value, i) => value - wanted[i]!)) / squares(wanted));
}
