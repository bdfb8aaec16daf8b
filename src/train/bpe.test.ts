import { expect, test } from "vitest";
import { TextTokenizer } from "../text/tokenizer.ts";
import { tokenizerJson, trainBpe } from "./bpe.ts";

const special = ["<|end|>"];
const texts = ["a red apple", "a red circle", "two red circles", "red"];

test("merges the commonest neighbours first and is the same for the same texts", () => {
  const vocabulary = trainBpe(texts, { size: 300, special });
  // "re" and "ed" occur four times each; the alphabet decides.
  expect(vocabulary.merges[0]).toEqual(["e", "d"]);
  expect(trainBpe(texts, { size: 300, special })).toEqual(vocabulary);
});

test("writes a tokenizer.json that encodes as it was trained", () => {
  const size = 300;
  const tokenizer = new TextTokenizer(tokenizerJson(trainBpe(texts, { size, special }), size));
  expect(tokenizer.encode(" red")).toHaveLength(1);
  expect(tokenizer.decode(tokenizer.encode("a red ärmel"))).toBe("a red ärmel");
  expect(tokenizer.special("<|end|>")).toBe(size - 1);
});

test("rejects a vocabulary without room for the bytes", () => {
  expect(() => trainBpe(texts, { size: 200, special })).toThrow("257");
});
