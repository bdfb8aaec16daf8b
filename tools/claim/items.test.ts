// Questions that need no download: letters are blocks of ink, other images blank.

import { beforeAll, describe, expect, it } from "vitest";
import { folderFiles } from "../../src/files/folder.node.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { TextTokenizer } from "../../src/text/tokenizer.ts";
import { RowWriter } from "../../src/train/data/rows.ts";
import { fillRows } from "../../src/train/segments.ts";
import { itemOf, trainingItem, turnsOf } from "./items.ts";
import { POSITIONS, ROW_LENGTH, rowSizes, SCORED_LENGTH, scoredSizes } from "./models.ts";
import { suiteNames } from "./protocol.ts";
import { source } from "./test-source.ts";

let writer: RowWriter;
beforeAll(async () => {
  writer = new RowWriter(await TextTokenizer.load(folderFiles("data/claim/vocabulary")), POSITIONS);
});

describe("items", () => {
  it("fit into a row, with three lines of a grid for each image, and nearly all into a batch", () => {
    const [batch, batches] = [32, 20];
    const { packedRows, answers } = rowSizes(batch);
    let placed = 0;
    for (let step = 0; step < batches; step++) {
      const rows = Array.from({ length: batch }, (_, b) => {
        const index = step * batch + b;
        const turns = turnsOf(trainingItem(index, 1, source), counterRandom(1).fork(index));
        const row = writer.understanding(turns, ROW_LENGTH);
        const said = turns.filter(({ answer }) => answer !== "").length;
        expect(row.isAnswer.filter((is, t) => is && !row.isAnswer[t - 1])).toHaveLength(said); // no turn was left out
        return row;
      });
      expect(rows.flatMap(({ isAnswer }) => isAnswer.filter(Boolean)).length).toBeLessThanOrEqual(answers);
      const lengths = rows.map(({ ids }) => ids.length);
      placed += fillRows(lengths, packedRows, ROW_LENGTH).flat().length;
    }
    expect(placed / (batch * batches)).toBeGreaterThan(0.99);
  });

  it("fit into a scored row, one question each", () => {
    for (const suite of suiteNames) {
      for (let index = 0; index < 40; index++) {
        const { isAnswer } = writer.understanding([itemOf(suite, "validation", index, source).turn], SCORED_LENGTH);
        expect(isAnswer.filter(Boolean).length).toBeLessThanOrEqual(scoredSizes(1).answers);
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
