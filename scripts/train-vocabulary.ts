// Trains kelix-nano's text vocabulary on everything its corpus can say and writes its tokenizer files.
// Needs the corpus (npm run data). Run: npx tsx --conditions=kelix-source scripts/train-vocabulary.ts [FOLDER]

import { mkdir, writeFile } from "node:fs/promises";
import { tokenizerJson, trainBpe } from "../src/train/bpe.ts";
import { corpusTexts, openCorpus } from "../src/train/data/corpus.ts";
import { sampleKinds } from "../src/train/data/mix.ts";
import { editTexts } from "../src/train/data/scene-edits.ts";

const SIZE = 1536;
const folder = process.argv[2] ?? "runs/nano/vocabulary";
await mkdir(folder, { recursive: true });
const special = [
  "<|endoftext|>",
  "<|im_start|>",
  "<|im_end|>",
  "<|vision_start|>",
  "<|vision_end|>",
  "<|image_pad|>",
  "<|q_eos|>",
];

const kinds = sampleKinds.filter((kind) => kind !== "own");
const corpus = await openCorpus(undefined, 96, kinds);
const turns = Array<string>(200).fill("user\nassistant\nsystem\n");
const vocabulary = trainBpe([...turns, ...corpusTexts(corpus, kinds, 4000), ...editTexts(4000)], {
  size: SIZE,
  special,
});
await writeFile(`${folder}/tokenizer.json`, `${JSON.stringify(tokenizerJson(vocabulary, SIZE), null, 1)}\n`);
const config = {
  tokenizer_class: "PreTrainedTokenizerFast",
  eos_token: "<|im_end|>",
  pad_token: "<|endoftext|>",
  model_max_length: 1024,
};
await writeFile(`${folder}/tokenizer_config.json`, `${JSON.stringify(config, null, 2)}\n`);
console.error(`${vocabulary.tokens.length} tokens and ${special.length} special ones`);
