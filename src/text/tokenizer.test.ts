import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { folderFiles } from "../files/folder.node.ts";
import { TextTokenizer } from "./tokenizer.ts";

const tokenizer = await TextTokenizer.load(folderFiles("models/kelix-nano"));

describe("the vocabulary of kelix-nano", () => {
  test("gives back any text that it encodes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test("has one token for the words of scenes", () => {
    for (const word of [" red", " circle", " circles", " left", " square", " triangle"]) {
      expect(tokenizer.encode(word), word).toHaveLength(1);
    }
  });

  test("spells words that it does not know", () => {
    const ids = tokenizer.encode("Zürich 🎉");
    expect(ids.length).toBeGreaterThan(4);
    expect(tokenizer.decode(ids)).toBe("Zürich 🎉");
  });
});

test("special tokens in plain text stay text, and by name they have the last ids", () => {
  const ids = tokenizer.encode("a<|im_end|><|q_eos|>b");
  expect(ids.some((id) => tokenizer.isSpecial(id))).toBe(false);
  expect(tokenizer.decode(ids)).toBe("a<|im_end|><|q_eos|>b");
  expect(tokenizer.encodeTemplate("<|im_end|>")).toEqual([tokenizer.special("<|im_end|>")]);
});

test("an unknown special token and a missing folder are named in the error", async () => {
  expect(() => tokenizer.special("<|video_pad|>")).toThrow("<|video_pad|>");
  await expect(TextTokenizer.load(folderFiles("no/such/folder"))).rejects.toThrow("no/such/folder/tokenizer.json");
});
