// lettering: reads random letters and dictionary words, in held-out typefaces, at 20 and 12 pixels per em.
// Random letters cannot be guessed; words can, and are reported separately.

import { counterRandom } from "../../random/counter.ts";
import { letteringWords } from "../../train/data/corpus.ts";
import { openFonts } from "../../train/data/fonts.ts";
import {
  drawLettering,
  type Lettering,
  layLine,
  letteringOf,
  MARGIN,
  sampleLettering,
  widthOf,
} from "../../train/data/lettering.ts";
import { readQuestions } from "../../train/data/lettering-text.ts";
import { majority, similarity } from "../answers.ts";
import { DRAWING_SIDE } from "../floors/training-drawings.ts";
import { type Measure, shareOf } from "../measure.ts";
import { type Detail, itemCount, MOST_SAMPLES, percent, type Sample, type Suite, spread } from "../suite.ts";

const TEXTS = 100;
const SIZES = [20, 12] as const;
/** Texts used for the floor: with few, even the most common would be a large share. */
const FLOOR_TEXTS = 500;
const MOST_LETTERS = 6;
/** Not used in training. */
const TEXT_SEED = 900_919;

/** An endless sequence of lines in held-out fonts and words. */
export type LetteringSamples = Generator<Lettering, never, void>;

/** A single case: in mixed case many letters differ only in size. */
const isRandomText = ({ isWord, lines }: Lettering) => !isWord && /^([a-z]+|[A-Z]+)$/.test(lines[0]!);
const isWordText = ({ isWord, lines }: Lettering) => isWord && lines[0]!.length <= MOST_LETTERS;

/** From the cache filled by `kelix data`; throws an InputError if it is empty. */
export async function openLettering(cacheFolder: string, seed: number): Promise<LetteringSamples> {
  const fonts = await openFonts(cacheFolder);
  const source = letteringOf({ fonts, words: await letteringWords(cacheFolder) }, "heldOutStyle");
  const random = counterRandom(TEXT_SEED + seed, "lettering");
  return (function* () {
    for (let index = 0; ; index++) {
      const lettering = sampleLettering(source, DRAWING_SIDE, random.fork(index));
      if (lettering.lines.length === 1) yield lettering;
    }
  })();
}

/** The line at another size and a random place; undefined if it is too wide. */
export function atSize(lettering: Lettering, size: number, side: number, index: number): Lettering | undefined {
  const { font, lines } = lettering;
  const line = lines[0]!;
  const [room, height] = [side - 2 * MARGIN - widthOf(line, font, size), side - 2 * MARGIN - size];
  if (room < 0) return undefined;
  const draw = counterRandom(TEXT_SEED, "place").fork(index).sequence();
  const left = MARGIN + draw.uniform() * room;
  const baseline = MARGIN + draw.uniform() * height + 0.85 * size;
  return { ...lettering, size, letters: layLine(line, font, size, left, baseline) };
}

export const lettering: Suite = {
  about: "reads random letters and words in held-out typefaces",
  async run(context) {
    const n = itemCount(context, TEXTS);
    const measures: Record<string, Measure> = {};
    const details: Detail[] = [];
    const samples: Sample[] = [];
    const parts = SIZES.flatMap((size) => [
      { name: `random${size}`, size, isWanted: isRandomText },
      { name: `words${size}`, size, isWanted: isWordText },
    ]);
    for (const [k, { name, size, isWanted }] of parts.entries()) {
      const source = await openLettering(context.cacheFolder, context.seed);
      const items: { text: string; answer: string }[] = [];
      for (let index = 0; items.length < n; index++) {
        const sample = source.next().value;
        const placed = isWanted(sample) ? atSize(sample, size, DRAWING_SIDE, index) : undefined;
        if (!placed) continue;
        context.step(`lettering: ${name}`, k * n + items.length, parts.length * n);
        const text = placed.lines[0]!;
        const image = drawLettering(placed, DRAWING_SIDE);
        const question = readQuestions[items.length % readQuestions.length]!;
        const said = await context.model.ask(image, question);
        const answer = said.replace(/\s+/g, "");
        items.push({ text, answer });
        samples.push({ images: [{ label: `${name}: ${text}`, image }], text: said, isRight: answer === text });
      }
      const texts = items.map(({ text }) => text);
      while (texts.length < FLOOR_TEXTS) {
        const sample = source.next().value;
        if (isWanted(sample)) texts.push(sample.lines[0]!);
      }
      const questionAlone = majority(texts);
      measures[name] = shareOf(
        items.map(({ text, answer }) => answer === text),
        { questionAlone },
      );
      const letters = items.reduce((sum, { text, answer }) => sum + similarity(text, answer), 0) / n;
      const anyCase = items.filter(({ text, answer }) => text.toLowerCase() === answer.toLowerCase()).length / n;
      details.push({ name, text: `${percent(letters)} of the letters, ${percent(anyCase)} in any case` });
    }
    return { measures, details, samples: spread(samples, MOST_SAMPLES) };
  },
};
