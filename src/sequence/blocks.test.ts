import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readSafetensors } from "../quantize/safetensors-file.ts";
import { blockLabels, lossMask } from "../train/loss/labels.ts";
import { blockInputs, expandRow, textBlock } from "./blocks.ts";
import { type BlockVocabulary, bookRange } from "./layout.ts";

/** That of test/golden/ar. */
const vocabulary: BlockVocabulary = {
  vocabSize: 96,
  codebookSize: 64,
  codesPerPatch: 4,
  qEos: 93,
  imagePad: 90,
  visionStart: 91,
  visionEnd: 92,
  eos: 95,
};

async function golden() {
  const folder = join(import.meta.dirname, "../../test/golden/ar");
  const inputs = await readSafetensors(join(folder, "inputs.safetensors"));
  const outputs = await readSafetensors(join(folder, "outputs.safetensors"));
  const take = (name: string) =>
    Array.from((inputs.get(name) ?? outputs.get(name))!.data as ArrayLike<number | bigint>, Number);
  return { take, blocks: expandRow(take("input_ids"), take("image_token_ids"), vocabulary) };
}

describe("expanding a row", () => {
  test("puts images where their placeholders stand, as the reference does", async () => {
    const { take, blocks } = await golden();
    expect([...blocks]).toEqual(take("expanded_ids"));
  });

  test("rejects an image without its placeholders", () => {
    expect(() => expandRow([1, 90], [100, 112, 128, 144, 100, 112, 128, 144], vocabulary)).toThrow(
      "1 image placeholders in the text, but ids for 2 positions",
    );
  });
});

test("the books share out the visual ids", () => {
  expect([0, 3].map((book) => bookRange(book, vocabulary))).toEqual([
    [96, 112],
    [144, 160],
  ]);
});

describe("labels", () => {
  test("and weights are the reference's", async () => {
    const { take, blocks } = await golden();
    const { labels, weights, count } = blockLabels(blocks, take("loss_mask"), vocabulary);
    expect([...labels]).toEqual(take("labels"));
    expect([...weights]).toEqual(take("weights"));
    expect(count).toBe(take("labels").filter((label) => label !== -100).length);
  });

  test("weigh a text block and a visual block the same", () => {
    const blocks = Int32Array.of(...textBlock(1, vocabulary), ...textBlock(2, vocabulary), 96, 112, 128, 144, 93);
    const { weights } = blockLabels(blocks, [0, 1, 1], vocabulary);
    const sum = (from: number) => weights.subarray(from, from + 5).reduce((a, b) => a + b, 0);
    expect(sum(0)).toBeCloseTo(3.5);
    expect(sum(5)).toBeCloseTo(3.5);
  });
});

describe("the loss mask", () => {
  const patterns = { start: [10, 11, 12], end: [13, 12] };

  test("marks the assistant's turns, their end included, but not the sample's last token", () => {
    expect([...lossMask([10, 11, 12, 5, 6, 13, 12, 10, 7, 12, 10, 11, 12, 8, 13, 12], patterns)]).toEqual([
      0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0,
    ]);
  });

  test("does without the newline where nothing else fits, and rejects a sample without an answer", () => {
    expect([...lossMask([10, 11, 5, 13, 9], patterns)]).toEqual([0, 0, 1, 1, 0]);
    expect(() => lossMask([1, 2, 3], patterns)).toThrow("no assistant turn");
  });
});

describe("what the embedding reads", () => {
  test("repeats a text block's first id and counts slots before the first q_eos", () => {
    const blocks = Int32Array.of(
      ...textBlock(7, vocabulary),
      96,
      112,
      128,
      144,
      93,
      5,
      6,
      93,
      1,
      93,
      93,
      1,
      1,
      1,
      1,
      -3,
      93,
      93,
      93,
      93,
    );
    const { index, weight } = blockInputs(blocks, vocabulary);
    expect([...index]).toEqual([7, 7, 7, 7, 96, 112, 128, 144, 5, 5, 5, 5, 93, 93, 93, 93, 0, 0, 0, 0]);
    expect([...weight]).toEqual([1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
  });
});
