// Questions that need no download: letters are blocks of ink, other images blank.

import { beforeAll, describe, expect, it } from "vitest";
import { folderFiles } from "../../src/files/folder.node.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { TextTokenizer } from "../../src/text/tokenizer.ts";
import { RowWriter } from "../../src/train/data/rows.ts";
import { itemOf, trainingItem, turnsOf } from "./items.ts";
import { ANSWERS_PER_ROW, POSITIONS, ROW_LENGTH, SCORED_ANSWERS, SCORED_LENGTH } from "./models.ts";
import { suiteNames } from "./protocol.ts";
import { source } from "./test-source.ts";

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

  it("fit into a scored row, one question each", () => {
    for (const suite of suiteNames) {
      for (let index = 0; index < 40; index++) {
        const { isAnswer } = writer.understanding([itemOf(suite, "validation", index, source).turn], SCORED_LENGTH);
        expect(isAnswer.filter(Boolean).length).toBeLessThanOrEqual(SCORED_ANSWERS);
      }
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
