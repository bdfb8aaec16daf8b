import fc from "fast-check";
import { expect, test } from "vitest";
import { largestDifference, randomTensor, randomWeights, runOnce } from "../../test/random-weights.ts";
import { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { conv, depthwiseConv } from "./conv.ts";
import { inRowBands, rowBands } from "./row-bands.ts";

test("bands cover each row once, read equally many, and look far enough or to the edge", () => {
  const size = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(size, size, fc.integer({ min: 0, max: 9 }), (height, rows, reach) => {
      const bands = rowBands(height, rows, reach);
      expect(bands.map(({ start }) => start)).toEqual([0, ...bands.slice(0, -1).map(({ end }) => end)]);
      expect(bands.at(-1)!.end).toBe(height);
      for (const { start, end, from, to } of bands) {
        expect(to - from).toBe(bands[0]!.to - bands[0]!.from);
        expect(from).toBeLessThanOrEqual(Math.max(0, start - reach));
        expect(to).toBeGreaterThanOrEqual(Math.min(height, end + reach));
      }
    }),
  );
});

/** What bands of rows give of two convolutions that look 3 rows up and down together, and what the whole image gives. */
async function compare(count: number, reach: number): Promise<number> {
  const graph = new Graph();
  const p = graph.params;
  const look = (x: Tensor) => depthwiseConv(p.at("wide"), conv(p.at("near"), x, 4, 3).silu(), 5);
  const x = graph.input("x", [2, 4, 11, 6]);
  graph.output("whole", look(x));
  graph.output("bands", inRowBands(x, count, reach, look));
  const { whole, bands } = await runOnce(graph, { ...randomWeights(graph), x: randomTensor([2, 4, 11, 6]) });
  return largestDifference(whole!, bands!);
}

test.each([2, 3, 4, 11])("convolutions in %i bands give the numbers of the whole image", async (count) => {
  expect(await compare(count, 3)).toBeLessThan(1e-5);
});

test("a row too few shows", async () => {
  expect(await compare(4, 2)).toBeGreaterThan(1e-3);
});
