// The files of a text vocabulary: byte pairs learned from a corpus, and the special tokens of the chat template.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../hub/make-folder.ts";
import { tokenizerJson, trainBpe } from "./bpe.ts";
import { corpusTexts, openCorpus } from "./data/corpus.ts";
import { sampleKinds } from "./data/mix.ts";
import { editTexts } from "./data/scene-edits.ts";

/** They get the last ids, in this order. */
export const specialTokens = [
  "<|endoftext|>",
  "<|im_start|>",
  "<|im_end|>",
  "<|vision_start|>",
  "<|vision_end|>",
  "<|image_pad|>",
  "<|q_eos|>",
] as const;

/** Writes tokenizer.json and tokenizer_config.json with `size` entries into a folder; returns how many are text. */
export async function writeVocabulary(
  folder: string,
  texts: Iterable<string>,
  { size, maxLength }: { readonly size: number; readonly maxLength: number },
): Promise<number> {
  await makeFolder(folder);
  const turns = Array<string>(200).fill("user\nassistant\nsystem\n");
  const vocabulary = trainBpe([...turns, ...texts], { size, special: specialTokens });
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    model_max_length: maxLength,
  };
  await writeFile(join(folder, "tokenizer_config.json"), `${JSON.stringify(config, null, 2)}\n`);
  await writeFile(join(folder, "tokenizer.json"), `${JSON.stringify(tokenizerJson(vocabulary, size), null, 1)}\n`);
  return vocabulary.tokens.length;
}

/** Sentences of each kind that kelix-nano's vocabulary is trained on. */
const SENTENCES = 4000;

/** Trains the vocabulary on all sentences of the cached corpus: kelix-nano's, with 1,536 entries. Returns how many are text. */
export async function writeCorpusVocabulary(folder: string, cache: string, side: number): Promise<number> {
  const kinds = sampleKinds.filter((kind) => kind !== "own");
  const corpus = await openCorpus(cache, side, kinds);
  const texts = [...corpusTexts(corpus, kinds, SENTENCES), ...editTexts(SENTENCES)];
  return writeVocabulary(folder, texts, { size: 1536, maxLength: 1024 });
}
