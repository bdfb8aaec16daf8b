// Questions that need no download: letters are blocks of ink, other images blank.

import { beforeAll, describe, expect, it } from "vitest";
import { folderFiles } from "../../src/files/folder.node.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { TextTokenizer } from "../../src/text/tokenizer.ts";
import type { Corpus } from "../../src/train/data/corpus.ts";
import { CELL, type Font } from "../../src/train/data/fonts.ts";
import { RowWriter } from "../../src/train/data/rows.ts";
import { blankImage } from "../../src/train/data/shapes.ts";
import { type ItemSource, itemOf, trainingItem, turnsOf } from "./items.ts";
import { ANSWERS_PER_ROW, IMAGE_SIDE, POSITIONS, ROW_LENGTH } from "./models.ts";
import { suiteNames } from "./protocol.ts";

/** Every letter is a block of ink, every other image blank: what is learned does not matter here. */
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
const source: ItemSource = {
  corpus,
  lettering: { train: { fonts: [font], words: ["tree", "sun"] }, heldOut: { fonts: [font], words: ["moon"] } },
};

let writer: RowWriter;
beforeAll(async () => {
  writer = new RowWriter(await TextTokenizer.load(folderFiles("models/kelix-nano")), POSITIONS);
});

describe("items", () => {
  it("fit into a row, with three lines of a grid for each image, and into a batch's answers", () => {
    for (let index = 0; index < 300; index++) {
      const item = trainingItem(index, 1, source);
      const turns = turnsOf(item, counterRandom(1).fork(index));
      const { ids, isAnswer } = writer.understanding(turns, ROW_LENGTH);
      expect(isAnswer.filter(Boolean).length).toBeLessThanOrEqual(ANSWERS_PER_ROW);
      const said = turns.filter(({ answer }) => answer !== "").length;
      const opened = ids.filter((id, t) => isAnswer[t] && !isAnswer[t - 1] && id !== undefined).length;
      expect(opened).toBe(said); // no turn was left out
    }
  });

  it("differ between training, validation and test", () => {
    for (const suite of suiteNames.slice(0, 4)) {
      const answers = (["train", "validation", "test"] as const).map((stream) =>
        Array.from({ length: 5 }, (_, i) => itemOf(suite, stream, i, source).parts.join()).join(),
      );
      expect(new Set(answers).size).toBe(3);
    }
  });

  it("encode part by part as they do whole", () => {
    for (const suite of ["glyph-grid 1", "glyph-grid 4"] as const) {
      for (let i = 0; i < 20; i++) {
        const { parts, turn: asked } = itemOf(suite, "validation", i, source);
        const pieces = parts.flatMap((part, at) => writer.encode(at === 0 ? part : ` ${part}`));
        expect(pieces).toEqual(writer.encode(asked.answer));
      }
    }
  });
});
