// The fast form of the quantizer, held to the plain one.

import { describe, expect, test } from "vitest";
import { dequantize } from "../checkpoint/block-quantization.ts";
import { quantize } from "../kernels/plain-quantization.ts";
import { counterRandom } from "../random/counter.ts";
import type { BlockFormat } from "../runtime/weight-source.ts";
import { ConvertMemory } from "./convert-memory.ts";

const formats = ([4, 8] as const).flatMap((bits) =>
  ([32, 128] as const).map((block): BlockFormat => ({ bits, block })),
);
const memory = new ConvertMemory();

/** Both forms of the same elements, with the squared error of each in float64. */
function compare(elements: Float32Array, format: BlockFormat) {
  memory.begin(elements.length);
  memory.input(elements.byteLength).set(new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength));
  const { values, scales } = memory.encode("f32", elements.length, format);
  const found = { values, scales: scales! };
  const wanted = quantize(elements, format);
  return {
    found,
    wanted,
    sums: memory.sums,
    foundError: squaredError(elements, dequantize(found, format)),
    wantedError: squaredError(elements, dequantize(wanted, format)),
    equalValues: values.filter((value, i) => value === wanted.values[i]).length / values.length,
  };
}

describe("blocks of the fast quantizer", () => {
  // Rounding has the same float32 steps. Sums do not (float32 against float64), so of two candidates that explain a block to seven
  // digits alike the other one may be taken, and scales differ in the last digit. At 8 bits that digit is felt: the error is a
  // millionth of the sums that it is the difference of.
  test.each(formats)("are those of the plain one, of normal weights: $bits bits, block $block", (format) => {
    for (const elements of [normal(1), asBf16(normal(2))]) {
      const { found, wanted, sums, foundError, wantedError, equalValues } = compare(elements, format);
      expect(equalValues).toBeGreaterThan(0.999);
      expect(Math.abs(foundError / wantedError - 1)).toBeLessThan(1e-4);
      const differentScales = found.scales.filter((scale, b) => Math.abs(scale / wanted.scales[b]! - 1) > 1e-6);
      expect(differentScales.length).toBeLessThan(1e-3 * found.scales.length + 1);
      const energy = elements.reduce((sum, x) => sum + x * x, 0);
      expect(Math.abs(sums.energy / energy - 1)).toBeLessThan(1e-6);
      expect(Math.abs(sums.error / foundError - 1)).toBeLessThan(1e-6);
    }
  });

  const small = normal(3);
  test.each([
    ["zeros", () => 0],
    ["negative zeros", () => -0],
    ["one element beside zeros", (i: number) => (i % 32 === 5 ? 0.25 : 0)],
    ["equal negative extremes", () => -3],
    ["extremes on both sides", (i: number) => (i % 2 ? 2 : -2)],
    ["ties", (i: number) => ((i % 33) - 16) / 16],
    ["subnormal numbers", (i: number) => small[i]! * 1e-40],
    ["the smallest number", (i: number) => (i % 3 ? 0 : 2 ** -149)],
    ["numbers whose squares vanish", (i: number) => small[i]! * 1e-30],
    ["numbers whose squares overflow", (i: number) => small[i]! * 1e30],
    ["nearly the largest numbers", (i: number) => (i % 2 ? 1 : -1) * (2 - 2 ** -23) * 2 ** 126],
    ["sizes that change from block to block", (i: number) => small[i]! * 10 ** ((Math.floor(i / 32) % 5) * 12 - 24)],
  ])("are those of the plain one, of %s", (_, element) => {
    const elements = Float32Array.from({ length: 1024 }, (_, i) => element(i));
    for (const format of formats) {
      const { found, wanted, sums, foundError } = compare(elements, format);
      expect(found.values).toEqual(wanted.values);
      for (const [b, scale] of wanted.scales.entries())
        expect(Math.abs(found.scales[b]! - scale)).toBeLessThanOrEqual(1e-6 * Math.abs(scale));
      const energy = elements.reduce((sum, x) => sum + x * x, 0);
      expect(Math.abs(sums.energy - energy)).toBeLessThanOrEqual(1e-6 * energy);
      expect(Math.abs(sums.error - foundError)).toBeLessThanOrEqual(1e-6 * foundError + 1e-13 * energy);
    }
  });

  test.each(formats)("with NaN or infinity leave no finite sum: $bits bits, block $block", (format) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const elements = normal(4).subarray(0, 1024);
      elements[777] = bad;
      expect(compare(elements, format).sums.energy).not.toBeLessThan(Number.POSITIVE_INFINITY);
    }
  });
});

function normal(seed: number): Float32Array {
  return counterRandom(seed, "weights").fillNormal(new Float32Array(2 ** 16));
}

/** Numbers of few digits, as checkpoints have them, of which many are exactly half a step. */
function asBf16(elements: Float32Array): Float32Array {
  return new Float32Array(new Uint32Array(elements.buffer).map((bits) => bits & 0xffff0000).buffer);
}

function squaredError(wanted: Float32Array, found: Float32Array): number {
  return wanted.reduce((sum, x, i) => sum + (x - found[i]!) ** 2, 0);
}
