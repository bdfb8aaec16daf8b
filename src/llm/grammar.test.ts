import { describe, expect, test } from "vitest";
import { BlockGrammar, without } from "./grammar.ts";

const vocabulary = {
  vocabSize: 96,
  codebookSize: 64,
  codesPerPatch: 4,
  qEos: 93,
  imagePad: 90,
  visionStart: 91,
  visionEnd: 92,
  eos: 95,
};
const allows = (grammar: BlockGrammar, id: number) => grammar.lead().some(([start, end]) => id >= start && id < end);

describe("the grammar of blocks", () => {
  test("admits text but no code, q_eos, placeholder or stray vision_end", () => {
    const grammar = new BlockGrammar(vocabulary, { forbidden: [94] });
    expect([0, 89, 91, 95].every((id) => allows(grammar, id))).toBe(true);
    expect([90, 92, 93, 94, 96, 159].some((id) => allows(grammar, id))).toBe(false);
    expect(allows(new BlockGrammar(vocabulary, { mayDraw: false }), 91)).toBe(false);
  });

  test("admits the first book or the end inside an image, then text again", () => {
    const grammar = new BlockGrammar(vocabulary);
    grammar.accept(91);
    expect(grammar.lead()).toEqual([
      [92, 93],
      [96, 112],
    ]);
    grammar.accept(100);
    expect(grammar.isInImage).toBe(true);
    grammar.accept(92);
    expect(grammar.isInImage).toBe(false);
    expect(allows(grammar, 5)).toBe(true);
  });

  test("gives an image of known size exactly its blocks", () => {
    const grammar = new BlockGrammar(vocabulary, { blocksPerImage: 2 });
    grammar.accept(91);
    for (let i = 0; i < 2; i++) {
      expect(grammar.lead()).toEqual([[96, 112]]);
      grammar.accept(97);
    }
    expect(grammar.lead()).toEqual([[92, 93]]);
  });
});

test("a range without some ids is what lies between them", () => {
  expect(without([0, 10], [9, 3, 4, 3, 20])).toEqual([
    [0, 3],
    [5, 9],
  ]);
});
