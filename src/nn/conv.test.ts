import { expect, test } from "vitest";
import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import { openSession, type WeightSource } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  averageChannels,
  channelRmsNorm,
  depthwiseConv,
  pixelShuffle,
  pixelUnshuffle,
  repeatChannels,
  upsampleNearest2,
} from "./conv.ts";

/** Runs a function of one tensor. */
async function compute(x: HostTensor, f: (x: Tensor, p: Params) => Tensor, weights: Record<string, HostTensor> = {}) {
  const graph = new Graph();
  graph.output("y", f(graph.input("x", x.shape), graph.params));
  const source: WeightSource = {
    find: (name) => {
      const found = weights[name];
      return found && { ...found, data: new Uint8Array(found.data.buffer) };
    },
  };
  const session = await openSession(graph, source);
  const { y } = await session.run({ x });
  await session.release();
  return y!;
}

function counting(shape: number[]): HostTensor {
  return f32(
    Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => i),
    shape,
  );
}

test("pixelShuffle puts four channels into each square of pixels, row by row", async () => {
  const y = await compute(f32([1, 2, 3, 4], [1, 4, 1, 1]), (x) => pixelShuffle(x, 2));
  expect(y.shape).toEqual([1, 1, 2, 2]);
  expect([...y.data]).toEqual([1, 2, 3, 4]);
});

test("pixelShuffle undoes pixelUnshuffle", async () => {
  const x = counting([2, 3, 4, 6]);
  const y = await compute(x, (x) => pixelShuffle(pixelUnshuffle(x, 2), 2));
  expect(y.data).toEqual(x.data);
});

test("pixelUnshuffle rejects an odd side, with its size", () => {
  const graph = new Graph();
  expect(() => pixelUnshuffle(graph.input("x", [1, 1, 3, 4]), 2)).toThrow("rows are 3");
});

test("upsampling repeats each pixel in both directions", async () => {
  const y = await compute(f32([1, 2], [1, 1, 1, 2]), upsampleNearest2);
  expect(y.shape).toEqual([1, 1, 2, 4]);
  expect([...y.data]).toEqual([1, 1, 2, 2, 1, 1, 2, 2]);
});

test("averaging undoes repeating of channels", async () => {
  const x = counting([1, 3, 2, 2]);
  const repeated = await compute(x, (x) => repeatChannels(x, 2));
  expect([...repeated.data.slice(0, 8)]).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
  expect((await compute(repeated, (x) => averageChannels(x, 2))).data).toEqual(x.data);
});

test("a depthwise convolution keeps channels apart", async () => {
  const weight = f32([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0], [2, 1, 3, 3]);
  const y = await compute(counting([1, 2, 2, 2]), (x, p) => depthwiseConv(p, x, 3, false), { weight });
  expect([...y.data]).toEqual([0, 1, 2, 3, 8, 10, 12, 14]);
});

test("the norm over channels gives each pixel a mean square of 1", async () => {
  const weights = { weight: f32([1, 1], [2]), bias: f32([0, 10], [2]) };
  const y = await compute(f32([3, 0, 4, 1], [1, 2, 1, 2]), (x, p) => channelRmsNorm(p, x, 0), weights);
  const expected = [3 / Math.sqrt(12.5), 0, 10 + 4 / Math.sqrt(12.5), 10 + Math.SQRT2];
  for (const [i, value] of expected.entries()) expect(y.data[i]).toBeCloseTo(value, 5);
});
