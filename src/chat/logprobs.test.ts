import { expect, test } from "vitest";
import { tokenLogprobs } from "./logprobs.ts";

const tokenizer = { bytesOf: (id: number) => Uint8Array.of(id === 3 ? 0xc3 : 97 + id) };
const scores = Float32Array.from([0.1, 0.4, 0.1, 0.4].map((p) => Math.log(p) + 50));

test("gives the chosen token and the likeliest ones, the lower id first on ties", () => {
  const { top, ...chosen } = tokenLogprobs(scores, 0, 3, tokenizer);
  expect(chosen).toEqual({ text: "a", bytes: [97], logprob: expect.closeTo(Math.log(0.1), 5) });
  expect(top.map(({ text }) => text)).toEqual(["b", "\ufffd", "a"]);
  expect(top.map(({ logprob }) => Math.exp(logprob))).toEqual([0.4, 0.4, 0.1].map((p) => expect.closeTo(p, 5)));
  expect(top[1]!.bytes).toEqual([0xc3]);
});

test("gives none where none are asked for, and all where more are than there are", () => {
  expect(tokenLogprobs(scores, 1, 0, tokenizer).top).toEqual([]);
  expect(tokenLogprobs(scores, 1, 20, tokenizer).top).toHaveLength(4);
});
