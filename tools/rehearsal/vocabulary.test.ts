import { expect, test } from "vitest";
import { TextTokenizer } from "../../src/text/tokenizer.ts";
import { tokenizerJson } from "../../src/train/bpe.ts";
import { syntheticVocabulary } from "./vocabulary.ts";

test("has every token once, and the special ones where the released model has them", () => {
  const { tokens, special } = syntheticVocabulary(151_936);
  expect(tokens).toHaveLength(151_643);
  expect(new Set(tokens).size).toBe(tokens.length);
  const id = (name: string) => tokens.length + special.indexOf(name);
  expect(id("<|endoftext|>")).toBe(151_643);
  expect(id("<|im_end|>")).toBe(151_645);
  expect(id("<|vision_start|>")).toBe(151_652);
  expect(id("<|image_pad|>")).toBe(151_655);
  expect(id("<|q_eos|>")).toBe(151_681);
});

test("is a tokenizer that gives back what it encodes", () => {
  const vocabulary = syntheticVocabulary(2000);
  const tokenizer = new TextTokenizer(tokenizerJson(vocabulary, vocabulary.tokens.length + vocabulary.special.length));
  const text = "What does the picture show? 3 äpples.\n";
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  expect(tokenizer.encode(text).length).toBeLessThan(text.length);
  expect(tokenizer.special("<|im_start|>")).toBe(2000 - 293 + 1);
});
