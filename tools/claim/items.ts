// The questions of the claim: images with one question each, every one a function of (suite, stream, index). Streams never
// share a draw: "train" is trained on, "validation" is for the pilot and for choosing rates, "test" is opened once, at the end.

import type { RgbImage } from "../../src/image/rgb.ts";
import { type CounterRandom, counterRandom } from "../../src/random/counter.ts";
import type { Corpus } from "../../src/train/data/corpus.ts";
import { type Font, openFonts } from "../../src/train/data/fonts.ts";
import {
  askGlyphLine,
  drawGlyphGrid,
  type GlyphGrid,
  type GlyphLevel,
  glyphLevels,
  sampleGlyphGrid,
} from "../../src/train/data/glyph-grid.ts";
import { drawLettering, type LetteringSource, letteringOf, letteringOfSize } from "../../src/train/data/lettering.ts";
import type { Turn } from "../../src/train/data/scene-text.ts";
import { IMAGE_SIDE, POSITION_SIDE } from "./models.ts";
import type { SuiteName } from "./protocol.ts";

export type Stream = "train" | "validation" | "test";

export interface Item {
  readonly image: RgbImage;
  readonly turn: Turn;
  /** The separately scored parts of the answer: the symbols of a line; elsewhere the whole answer. */
  readonly parts: readonly string[];
  readonly grid?: GlyphGrid;
}

export interface ItemSource {
  readonly corpus: Corpus;
  readonly lettering: Readonly<Record<"train" | "heldOut", LetteringSource>>;
}

export async function openItems(corpus: Corpus, words: readonly string[], cache: string): Promise<ItemSource> {
  const all: LetteringSource = { fonts: (await openFonts(cache)) as readonly Font[], words };
  return { corpus, lettering: { train: letteringOf(all, "train"), heldOut: letteringOf(all, "heldOutStyle") } };
}

const SEEDS: Readonly<Record<Stream, number>> = { train: 11, validation: 12, test: 13 };

/** Item `index` of a suite in a stream. */
export function itemOf(suite: SuiteName, stream: Stream, index: number, source: ItemSource): Item {
  const random = counterRandom(SEEDS[stream], suite).fork(index);
  const level = glyphLevels.find((one) => suite === `glyph-grid ${one}`);
  if (level) return glyphItem(level, random);
  switch (suite) {
    case "letters 20 px":
    case "words 20 px":
    case "letters 12 px":
    case "words 12 px":
      return letteringItem(suite, stream, random, source);
    case "scenes": {
      const { image, question, describe } = source.corpus.sample("scene", splitOf(stream), SEEDS[stream], index);
      return whole(image, question ?? describe);
    }
    default: {
      const { image, describe } = source.corpus.sample("emoji", splitOf(stream), SEEDS[stream], index);
      return whole(image, describe);
    }
  }
}

/** Question turns per training image: three lines of a grid, which cost little more than one. */
export function turnsOf({ turn, grid }: Item, random: CounterRandom): readonly Turn[] {
  if (!grid) return [turn];
  const first = random.integer(0, grid.columns);
  const step = 1 + random.integer(1, grid.columns - 1);
  return [0, 1, 2].map((i) => askGlyphLine(grid, (first + i * step) % grid.columns));
}

const layout = { positions: IMAGE_SIDE / POSITION_SIDE, position: POSITION_SIDE };

function glyphItem(level: GlyphLevel, random: CounterRandom): Item {
  const grid = sampleGlyphGrid(level, random.fork("grid"), layout);
  const line = random.integer(0, grid.columns);
  const turn = askGlyphLine(grid, line);
  const words = turn.answer.split(" ");
  const each = words.length / grid.columns; // a colour and a symbol, or a symbol
  const parts = Array.from({ length: grid.columns }, (_, i) => words.slice(i * each, (i + 1) * each).join(" "));
  return { image: drawGlyphGrid(grid), turn, parts, grid };
}

function letteringItem(
  suite: SuiteName,
  stream: Stream,
  random: CounterRandom,
  { corpus, lettering }: ItemSource,
): Item {
  const from = lettering[stream === "train" ? "train" : "heldOut"];
  const form = { isWord: suite.startsWith("words"), size: suite.includes("20") ? 20 : 12, longest: 6 };
  const drawn = letteringOfSize(from, form, corpus.side, random);
  return whole(drawLettering(drawn, corpus.side), { question: "What does it say?", answer: drawn.lines[0]! });
}

function whole(image: RgbImage, turn: Turn): Item {
  return { image, turn: { question: turn.question, answer: turn.answer }, parts: [turn.answer] };
}

/** Questions about emoji use the held-out style; scenes of different splits share no draw. */
function splitOf(stream: Stream): "train" | "heldOutStyle" {
  return stream === "train" ? "train" : "heldOutStyle";
}

// The training mix of all stages. The primary suites have most of it: a language model needs many coloured symbols before it reads colours
// from eight codes. In the pilots, letters, words and names stayed at their floors when they were a third of it.
const trainingShares: readonly (readonly [SuiteName, number])[] = [
  ["glyph-grid 1", 0.08],
  ["glyph-grid 2", 0.12],
  ["glyph-grid 3", 0.22],
  ["glyph-grid 4", 0.36],
  ["letters 20 px", 0.02],
  ["words 20 px", 0.02],
  ["letters 12 px", 0.02],
  ["words 12 px", 0.02],
  ["scenes", 0.1],
  ["captions", 0.04],
];

/** Image `index` of training. */
export function trainingItem(index: number, seed: number, source: ItemSource): Item {
  const suite = pickSuite(counterRandom(seed, "claim mix").fork(index).uniform(0));
  // Seeds take alternate indices, so that they train on different images.
  return itemOf(suite, "train", index * 64 + seed, source);
}

function pickSuite(uniform: number): SuiteName {
  let left = uniform;
  for (const [suite, share] of trainingShares) {
    left -= share;
    if (left < 0) return suite;
  }
  return trainingShares[0]![0];
}
