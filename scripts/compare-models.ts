// How far one model's results are from another's of the same sizes, such as a quantised one from what it was made from, on the
// held-out images: npx tsx --conditions=kelix-source scripts/compare-models.ts MODEL OTHER [IMAGES]

import { conversation } from "../src/chat/conversation.ts";
import { openHeldOut } from "../src/eval/heldout.ts";
import { scoreSlot } from "../src/eval/slot-scores.ts";
import { folderFiles } from "../src/files/folder.node.ts";
import { readPixels } from "../src/image/rgb.ts";
import { Kelix } from "../src/kelix.ts";
import { blockVocabulary, languageModelConfig } from "../src/llm/config.ts";
import { LanguageModel } from "../src/llm/language-model.ts";
import { openModelAt } from "../src/model/find.node.ts";
import { languageConfig } from "../src/model/open.ts";
import { textBlock } from "../src/sequence/blocks.ts";
import { loadText } from "../src/text/load-text.ts";
import { threadSandbox } from "../src/text/sandbox.node.ts";
import { pixelError } from "../src/train/metrics.ts";
import type { ImageCodes } from "../src/vision/image-codes.ts";

const QUESTION = "What is this?";
/** Drawing takes longest: so many images of them, in few steps. */
const [DRAWN, STEPS] = [10, 10];
/** Positions of an image whose codes are predicted. */
const SCORED_POSITIONS = [0, 7, 20];

const [first, second, count = "60"] = process.argv.slice(2);
if (!first || !second) throw new Error("usage: compare-models MODEL OTHER [IMAGES]");
const known = (await openHeldOut()).filter(({ isKnownConcept }) => isKnownConcept);
const images = known.filter((_, i) => i % Math.max(1, Math.floor(known.length / Number(count))) === 0);

const wanted = await run(first);
const found = await run(second, wanted.codes);
const codes = wanted.codes.flatMap(({ codes }) => [...codes]);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const divergences = (a: readonly Float32Array[], b: readonly Float32Array[]) =>
  a.map((row, i) => divergence(row, b[i]!));
const isTopEqual = wanted.text.map((row, i) => Number(largest(row) === largest(found.text[i]!)));
console.log(
  JSON.stringify({
    images: images.length,
    equalCodes: mean(found.codes.flatMap(({ codes }) => [...codes]).map((code, i) => Number(code === codes[i]))),
    /** KL divergence in nats of the next text token, over the right answers; and how often the likeliest is the same. */
    textDivergence: mean(divergences(wanted.text, found.text)),
    equalTopTokens: mean(isTopEqual),
    /** Mean negative log-likelihood of the right answers. */
    answerLoss: [mean(wanted.losses), mean(found.losses)],
    /** KL divergence of the slots of visual blocks. */
    codeDivergence: mean(divergences(wanted.slots, found.slots)),
    /** PSNR in dB of images drawn from the first model's codes. */
    imagePsnr: mean(wanted.drawn.map((image, i) => Math.min(99, pixelError([image], [found.drawn[i]!]).psnr))),
  }),
);

/** All of one model's results; what follows tokenizing starts from `given` codes where there are some. */
async function run(name: string, given?: readonly ImageCodes[]) {
  const kelix = await Kelix.load(name);
  const own = [];
  for (const { image } of images) own.push(await kelix.tokenize(image));
  const codes = given ?? own;
  const drawn = [];
  for (const [seed, input] of codes.slice(0, DRAWN).entries())
    drawn.push(readPixels(await kelix.reconstruct(input, { seed, steps: STEPS })));
  await kelix.dispose();
  return { codes: own, drawn, ...(await predict(name, codes)) };
}

/** Log-probabilities of what the language model predicts after images of these codes. */
async function predict(name: string, codes: readonly ImageCodes[]) {
  const folder = await openModelAt(name);
  const ar = languageConfig(folder);
  const text = await loadText(folderFiles(folder.path), threadSandbox);
  const model = await LanguageModel.open(languageModelConfig(ar), folder.weights, { threads: 1 });
  const vocabulary = blockVocabulary(ar.qwen_config);
  const slotsPerBlock = vocabulary.codesPerPatch + 1;
  const setting = { text, vocabulary, room: ar.qwen_config.max_seq_len };
  const result = { text: [] as Float32Array[], losses: [] as number[], slots: [] as Float32Array[] };
  for (const [i, image] of codes.entries()) {
    const content = [
      { type: "image", image },
      { type: "text", text: QUESTION },
    ] as const;
    const prompt = conversation([{ role: "user", content: [...content] }], [image], setting);
    const sequence = model.start();
    await sequence.read(prompt);
    for (const id of text.tokenizer.encode(images[i]!.caption)) {
      const row = logProbabilities(await scoreSlot(model, sequence, []));
      result.text.push(row);
      result.losses.push(-row[id]!);
      await sequence.read(textBlock(id, vocabulary));
    }
    if (i >= DRAWN) continue;
    const start = prompt.findIndex((id, k) => k % slotsPerBlock === 0 && id >= vocabulary.vocabSize);
    for (const position of SCORED_POSITIONS) {
      const at = start + position * slotsPerBlock;
      const before = model.start();
      await before.read(prompt.slice(0, at));
      for (let slot = 0; slot < vocabulary.codesPerPatch; slot++)
        result.slots.push(logProbabilities(await scoreSlot(model, before, [...prompt.slice(at, at + slot)])));
    }
  }
  await model.dispose();
  await folder.close();
  return result;
}

function logProbabilities(scores: Float32Array): Float32Array {
  const top = scores.reduce((a, b) => Math.max(a, b));
  const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
  return scores.map((score) => score - top - Math.log(sum));
}

/** KL(a || b) of log-probabilities, in nats. */
function divergence(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + Math.exp(value) * (value - b[i]!), 0);
}

function largest(row: Float32Array): number {
  return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
}
