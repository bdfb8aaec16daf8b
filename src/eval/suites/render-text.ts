// render-text: draws held-out words; a text recognition network reads them back. For comparison, the same network reads the
// same words set in a typeface.

import { drawLettering, type Lettering } from "../../train/data/lettering.ts";
import { similarity } from "../answers.ts";
import { DRAWING_SIDE } from "../floors/training-drawings.ts";
import { shareOf } from "../measure.ts";
import { TextReader } from "../ocr.ts";
import { itemCount, MOST_SAMPLES, percent, type Sample, type Suite, spread } from "../suite.ts";
import { atSize, openLettering } from "./lettering.ts";

const WORDS = 100;
const MOST_LETTERS = 6;
/** Size of the typeset words for comparison, in pixels per em. */
const DRAWN_SIZE = 20;

export const renderText: Suite = {
  about: "writes words into images, read back by PP-OCR",
  async run(context) {
    const n = itemCount(context, WORDS);
    const words = await chooseWords(context.cacheFolder, context.seed, n);
    const reader = await TextReader.open(context.cacheFolder, context.log);
    const isSame = (read: string, word: string) => read.replace(/\s+/g, "").toLowerCase() === word.toLowerCase();
    const drawn: boolean[] = [];
    const right: boolean[] = [];
    const samples: Sample[] = [];
    let letters = 0;
    for (let i = 0; i < n * context.seeds; i++) {
      context.step("render-text", i, n * context.seeds);
      const original = words[i % n]!;
      const word = original.lines[0]!;
      if (i < n) drawn.push(isSame(await reader.read(drawLettering(original, DRAWING_SIDE)), word));
      const { image } = await context.model.imagine(`the word "${word}"`, context.seed + i);
      const read = await reader.read(image);
      right.push(isSame(read, word));
      letters += similarity(read.toLowerCase(), word.toLowerCase()) / (n * context.seeds);
      samples.push({ images: [{ label: word, image }], text: `read: ${read || "nothing"}`, isRight: right.at(-1) });
    }
    await reader.release();
    return {
      measures: { accuracy: shareOf(right, { originals: shareOf(drawn).value, promptIgnored: 0 }) },
      details: [{ name: "letters", text: `${percent(letters)} right` }],
      samples: spread(samples, MOST_SAMPLES),
    };
  },
};

/** Distinct held-out words, typeset for comparison. */
async function chooseWords(cacheFolder: string, seed: number, n: number): Promise<Lettering[]> {
  const source = await openLettering(cacheFolder, seed);
  const words = new Map<string, Lettering>();
  for (let index = 0; words.size < n && index < MOST_DRAWS; index++) {
    const lettering = source.next().value;
    const text = lettering.lines[0]!;
    if (!lettering.isWord || text.length > MOST_LETTERS || words.has(text.toLowerCase())) continue;
    const placed = atSize(lettering, DRAWN_SIZE, DRAWING_SIDE, index);
    if (placed) words.set(text.toLowerCase(), placed);
  }
  return [...words.values()];
}

/** There are a few hundred held-out words; searching further finds no more. */
const MOST_DRAWS = 5000;
