// Trains kelix-nano's text vocabulary on everything its corpus can say and writes its tokenizer files.
// Needs the corpus (kelix data). Run: npx tsx --conditions=kelix-source scripts/train-vocabulary.ts [FOLDER]

import { corpusTexts, openCorpus } from "../src/train/data/corpus.ts";
import { sampleKinds } from "../src/train/data/mix.ts";
import { editTexts } from "../src/train/data/scene-edits.ts";
import { writeVocabulary } from "../src/train/vocabulary.ts";

const kinds = sampleKinds.filter((kind) => kind !== "own");
const corpus = await openCorpus(undefined, 96, kinds);
const folder = process.argv[2] ?? "runs/nano/vocabulary";
const texts = [...corpusTexts(corpus, kinds, 4000), ...editTexts(4000)];
const tokens = await writeVocabulary(folder, texts, { size: 1536, maxLength: 1024 });
console.error(`${tokens} tokens`);
