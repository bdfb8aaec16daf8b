// Kelix bundled from its sources, on the page's own thread: what tests of the engine ask for, the same in a browser and in Node.

import { weightsFor } from "../../../src/checkpoint/device-weights.ts";
import { openUrl } from "../../../src/files/http.ts";
import { Kelix } from "../../../src/kelix.ts";
import { languageModelConfig } from "../../../src/llm/config.ts";
import { generate } from "../../../src/llm/generate.ts";
import { LanguageModel } from "../../../src/llm/language-model.ts";
import { openModel } from "../../../src/model/open.ts";
import { expandRow } from "../../../src/sequence/blocks.ts";
import { runJob } from "./job.js";

/**
 * The language model by itself: scores of the text after each of the prompt's last blocks, and the first 20 ids that follow it greedily.
 * @param {import("../../../src/files/model-files.ts").ModelFiles} files
 * @param {number[]} ids
 */
export async function runLanguageModel(files, ids) {
  const opened = await openModel(files);
  const weights = await weightsFor("cpu", opened.weights);
  const model = await LanguageModel.open(languageModelConfig(opened.ar), weights, { threads: 1, device: "cpu" });
  try {
    const prompt = expandRow(ids, [], model.vocabulary);
    const sequence = model.start();
    await sequence.read(prompt);
    const scores = (await sequence.scoreText(8)).map((row) => [...row]);
    const written = [];
    const options = { temperature: 0, maxNewBlocks: 20, stopIds: [], mayDraw: false };
    for await (const block of generate(model, model.start(), prompt, options)) written.push(block.ids[0]);
    return { scores, written };
  } finally {
    await model.dispose();
    await opened.close();
  }
}

globalThis.runLanguageModel = async (url, ids) => runLanguageModel(await openUrl(new URL(url, location.href)), ids);
globalThis.runJob = (job) => runJob(Kelix, job);
/** A software adapter that passes for a GPU. */
globalThis.hideSoftware = () =>
  Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
