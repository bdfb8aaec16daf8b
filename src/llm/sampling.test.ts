import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { type IdRange, type SamplingOptions, sampleId } from "./sampling.ts";

const logits = Float32Array.from([0.5, 2, 1, -1, 3, 2, 0, 1.5]);
const everything: readonly IdRange[] = [[0, 8]];
const all: SamplingOptions = { temperature: 1, topK: 0, topP: 1 };

/** Share of each id in many draws. */
function shares(draw: (uniform: number) => number, n = 20_000): number[] {
  const random = counterRandom(5, "test");
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < n; i++) counts[draw(random.uniform(i))]!++;
  return counts.map((count) => count / n);
}

function softmaxOf(ids: readonly number[], temperature: number): number[] {
  const weights = Array.from(logits, (x, id) => (ids.includes(id) ? Math.exp(x / temperature) : 0));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
}

function expectClose(found: readonly number[], wanted: readonly number[]): void {
  found.forEach((share, id) => {
    // Four standard deviations of a share among 20,000.
    expect(Math.abs(share - wanted[id]!)).toBeLessThan(
      4 * Math.sqrt((wanted[id]! * (1 - wanted[id]!)) / 20_000) + 1e-9,
    );
  });
}

describe("sampling", () => {
  test.each([1, 0.5])("follows the softmax at temperature %s", (temperature) => {
    expectClose(
      shares((u) => sampleId(logits, everything, { ...all, temperature }, u)),
      softmaxOf([0, 1, 2, 3, 4, 5, 6, 7], temperature),
    );
  });

  test("keeps the k largest scores, the lower id of equal ones", () => {
    expectClose(
      shares((u) => sampleId(logits, everything, { ...all, topK: 2 }, u)),
      softmaxOf([1, 4], 1),
    );
  });

  test("keeps the entry that crosses topP, which the reference drops", () => {
    // Softmax of the best three: 0.44, 0.16, 0.16 of all.
    const options = { ...all, topP: 0.5 };
    expectClose(
      shares((u) => sampleId(logits, everything, options, u)),
      softmaxOf([4, 1], 1),
    );
  });

  test("never leaves the allowed ids", () => {
    const allowed: IdRange[] = [
      [2, 4],
      [6, 7],
    ];
    expectClose(
      shares((u) => sampleId(logits, allowed, all, u)),
      softmaxOf([2, 3, 6], 1),
    );
    expect(sampleId(logits, allowed, { ...all, temperature: 0 }, 0.9)).toBe(2);
  });

  test("is greedy at temperature 0 and at topK 1, the lowest id of equal scores first", () => {
    const tied = Float32Array.of(1, 3, 3, 0);
    expect(sampleId(tied, [[0, 4]], { ...all, temperature: 0 }, 0.99)).toBe(1);
    expect(sampleId(tied, [[0, 4]], { ...all, topK: 1 }, 0.99)).toBe(1);
  });
});
