import { expect, test } from "vitest";
import { releasedAutoencoder } from "../../test/released-detokenizer.ts";
import { peakBytes } from "../tensor/peak-memory.ts";
import { countFlop } from "../tensor/products.ts";
import { parseAutoencoderConfig } from "./config.ts";
import { DECODE_BYTES, decodeGraph, planDecode, reachOf } from "./decode-plan.ts";

const released = parseAutoencoderConfig(releasedAutoencoder);

test("stages look as far as their convolutions: the released decoder's last one 4 rows of its input, all plain ones 7", () => {
  // By hand: 1 for conv_out, 2 for each of 3 blocks, 1 for the convolution after doubling, halved: 8 / 2. Then (4 + 6 + 1) / 2 ..
  expect([0, 1, 2].map((first) => reachOf(released, first))).toEqual([
    { reach: 4, scale: 2 },
    { reach: 6, scale: 4 },
    { reach: 7, scale: 8 },
  ]);
  const shuffled = parseAutoencoderConfig({
    decoder_layers_per_block: [0, 1, 1, 1, 1, 1],
    upsample_block_type: "pixel_shuffle",
  });
  expect(reachOf(shuffled, 1)).toEqual({ reach: 3, scale: 4 }); // conv_out 1, a block 2, halved 2, and 1 before doubling
});

test("512 pixels are decoded whole; 1024 in bands in the last stage only, for at most 3 % more work", () => {
  expect(planDecode(released, [16, 16])).toEqual({
    whole: { stages: { first: 5, last: 0 }, shape: [1, 32, 16, 16] },
  });
  const { whole, rest } = planDecode(released, [32, 32]);
  expect(whole.stages).toEqual({ first: 5, last: 1 });
  expect(rest!.part.stages).toEqual({ first: 0, last: 0 });
  const flop = (part: typeof whole) => countFlop(decodeGraph(released, part));
  const work = flop(whole) + rest!.bands.length * flop(rest!.part);
  expect(work / flop({ ...whole, stages: { first: 5, last: 0 } })).toBeLessThan(1.03);
});

test.each([
  [32, 32],
  [16, 64],
  [64, 16],
  [40, 24],
] as const)("no part of %i x %i latents holds more than the limit", (...grid) => {
  const { whole, rest } = planDecode(released, grid);
  for (const part of [whole, rest!.part]) {
    expect(peakBytes(decodeGraph(released, part))).toBeLessThanOrEqual(DECODE_BYTES);
  }
});

test("stages that attend run whole whatever the limit", () => {
  const { whole, rest } = planDecode(released, [32, 32], 1);
  expect(whole.stages).toEqual({ first: 5, last: 3 });
  expect(rest!.bands).toHaveLength(128); // of one row each
});
