// For tests: a source of questions that needs no download.

import type { Corpus } from "../../src/train/data/corpus.ts";
import { CELL, type Font } from "../../src/train/data/fonts.ts";
import { blankImage } from "../../src/train/data/shapes.ts";
import type { ItemSource } from "./items.ts";
import { IMAGE_SIDE } from "./models.ts";

/** Every letter is a block of ink and every other image blank: the content does not matter here. */
const font: Font = {
  name: "block",
  glyph: () => new Uint8Array(CELL * CELL).fill(255),
  advance: () => 32,
};
const turn = { question: "What is this?", answer: "a thing" };
const corpus = {
  side: IMAGE_SIDE,
  concepts: [],
  sample: () => ({
    image: blankImage(IMAGE_SIDE, [200, 100, 50]),
    describe: turn,
    caption: "a thing",
    prompt: "a thing",
  }),
} as unknown as Corpus;
export const source: ItemSource = {
  corpus,
  lettering: { train: { fonts: [font], words: ["tree", "sun"] }, heldOut: { fonts: [font], words: ["moon"] } },
};
