// The generations of the autoregressive case: every prompt with every set of weights, greedily, by the reference's rules.

import { readdir } from "node:fs/promises";
import type { LanguageModelConfig } from "../../src/llm/config.ts";
import { LanguageModel } from "../../src/llm/language-model.ts";
import { f32, type HostTensor, i32 } from "../../src/runtime/host-tensor.ts";
import type { WeightSource } from "../../src/runtime/session.ts";
import { expandRow } from "../../src/sequence/blocks.ts";
import type { GoldenFolder } from "./case.ts";
import { generateAsReference } from "./generate-as-reference.ts";
import { input, numbers } from "./input.ts";

/** Outputs `gen_{weights}_{prompt}.*` for every prompt of the inputs and every file of weights. imageIds [M, N] of all its images. */
export async function generations(
  folder: GoldenFolder,
  config: LanguageModelConfig,
  imageIds: Int32Array,
  newTokens: number,
): Promise<[string, HostTensor][]> {
  const results: [string, HostTensor][] = [];
  const files = (await readdir(folder.dir)).sort();
  const sets = files.flatMap((file) => /^weights_(.+)\.safetensors$/.exec(file)?.[1] ?? []);
  for (const set of ["rand", ...sets]) {
    const weights = await weightSet(folder, set);
    const model = await LanguageModel.open(config, weights);
    try {
      for (const name of folder.inputs.keys()) {
        const prompt = /^gen_(.+)_prompt$/.exec(name)?.[1];
        if (prompt === undefined) continue;
        const made = await generation(model, numbers(input(folder, name)), imageIds, newTokens);
        for (const [what, tensor] of made) results.push([`gen_${set}_${prompt}.${what}`, tensor]);
      }
    } finally {
      await model.dispose();
    }
  }
  return results;
}

/** `rand` is weights.safetensors, another set weights_{set}.safetensors, its gaps filled from there. */
async function weightSet(folder: GoldenFolder, set: string): Promise<WeightSource> {
  if (set === "rand") return folder.weights;
  const own = await folder.openExtra(`weights_${set}.safetensors`);
  return { find: (name) => own.find(name) ?? folder.weights.find(name) };
}

async function generation(
  model: LanguageModel,
  ids: readonly number[],
  imageIds: Int32Array,
  newTokens: number,
): Promise<[string, HostTensor][]> {
  const { vocabulary, config } = model;
  const { codesPerPatch: N, imagePad, vocabSize, codebookSize } = vocabulary;
  const D = config.qwen.embed_dim;
  const V = vocabSize + codebookSize;
  // A prompt's images are the folder's first ones.
  const pads = ids.filter((id) => id === imagePad).length;
  const prompt = expandRow(ids, imageIds.subarray(0, pads * N), vocabulary);
  const made = await generateAsReference(model, prompt, newTokens);
  // The reference gives the prompt back with the placeholder in every slot of its images.
  const returned = expandRow(ids, new Int32Array(pads * N).fill(imagePad), vocabulary);
  const steps = made.subLogits.length;
  const most = Math.max(...made.subLogits.map((scores) => scores.length));
  const subLogits = new Float32Array(steps * most * V).fill(Number.NaN);
  made.subLogits.forEach((scores, step) => {
    scores.forEach((row, j) => {
      subLogits.set(row, (step * most + j) * V);
    });
  });
  return [
    ["ids", i32([...returned, ...made.blocks], [1, ids.length + steps, N + 1])],
    ["hidden", f32(made.hidden, [1, made.hidden.length / D, D])],
    ["sub_logits", f32(subLogits, [steps, most, V])],
    [
      "n_sub",
      i32(
        made.subLogits.map((scores) => scores.length),
        [steps],
      ),
    ],
    [
      "min_top2_margin",
      f32(
        made.subLogits.map((scores) => Math.min(...scores.map(topMargin))),
        [steps],
      ),
    ],
  ];
}

/** How far the largest score is above the second. */
function topMargin(scores: Float32Array): number {
  let best = -Infinity;
  let second = -Infinity;
  for (const score of scores) {
    second = Math.max(second, Math.min(best, score));
    best = Math.max(best, score);
  }
  return best - second;
}
