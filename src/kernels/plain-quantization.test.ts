import { describe, expect, test } from "vitest";
import { dequantize } from "../checkpoint/block-quantization.ts";
import { counterRandom } from "../random/counter.ts";
import type { BlockFormat } from "../runtime/weight-source.ts";
import { quantize } from "./plain-quantization.ts";

const formats = ([4, 8] as const).flatMap((bits) =>
  ([32, 128] as const).map((block): BlockFormat => ({ bits, block })),
);
const normal = (size: number) => counterRandom(1, "weights").fillNormal(new Float32Array(size));

describe("blocks of whole steps", () => {
  test("have the first of two 4-bit numbers in the lower half of a byte, 8 standing for 0", () => {
    const elements = new Float32Array(32);
    elements.set([-8, 7, 1, 0].map((steps) => steps * 0.5));
    const { values, scales } = quantize(elements, { bits: 4, block: 32 });
    expect([...scales]).toEqual([0.5]);
    expect([...values.slice(0, 3)]).toEqual([0xf0, 0x89, 0x88]);
  });

  test("have 128 standing for 0 at 8 bits", () => {
    const elements = new Float32Array(64);
    elements.set([-128, 127, 1].map((steps) => steps * 0.25));
    elements.set(
      [127, -126].map((steps) => steps * 2),
      32,
    ); // the largest is positive: its scale is negative
    const { values, scales } = quantize(elements, { bits: 8, block: 32 });
    expect([...values.slice(0, 4)]).toEqual([0, 255, 129, 128]);
    expect(scales[0]).toBe(0.25);
    expect(scales[1]).toBeCloseTo((-2 * 127) / 128, 2);
  });

  test.each(formats)("give zeros back as zeros: $bits bits, block $block", (format) => {
    expect(dequantize(quantize(new Float32Array(256), format), format)).toEqual(new Float32Array(256));
  });

  test.each(formats)(
    "are as close as those of the plain rule in each block, or closer: $bits bits, block $block",
    (format) => {
      const { bits, block } = format;
      const elements = normal(1024);
      const back = dequantize(quantize(elements, format), format);
      const middle = 2 ** (bits - 1);
      for (let start = 0; start < elements.length; start += block) {
        const own = elements.subarray(start, start + block);
        const scale = own.reduce((far, x) => (Math.abs(x) > Math.abs(far) ? x : far), 0) / -middle;
        const plain = own.map((x) => scale * Math.min(middle - 1, Math.floor(x / scale + 0.5)));
        expect(squaredError(own, back.subarray(start, start + block))).toBeLessThanOrEqual(squaredError(own, plain));
      }
    },
  );

  // The best uniform quantizer of a normal variable with 16 levels leaves 20.2 dB (Max, 1960) when one scale serves all; a scale
  // for each block of 32 follows its spread and does better. 8 bits add 24 dB, less what the search gains at 4.
  test.each([
    [{ bits: 4, block: 32 }, 21.7],
    [{ bits: 4, block: 128 }, 20.2],
    [{ bits: 8, block: 32 }, 45.5],
    [{ bits: 8, block: 128 }, 43.7],
  ] as const)("lose as little of normal weights as they can: %j", (format, decibels) => {
    const elements = normal(2 ** 16);
    const back = dequantize(quantize(elements, format), format);
    const energy = elements.reduce((sum, x) => sum + x * x, 0);
    expect(10 * Math.log10(energy / squaredError(elements, back))).toBeGreaterThan(decibels);
  });
});

function squaredError(wanted: Float32Array, found: Float32Array): number {
  return wanted.reduce((sum, x, i) => sum + (x - found[i]!) ** 2, 0);
}
