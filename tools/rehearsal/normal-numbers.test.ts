import { expect, test } from "vitest";
import { bf16ToF32 } from "../../src/checkpoint/bfloat16.ts";
import { NormalNumbers } from "./normal-numbers.ts";

const numbers = new NormalNumbers(1, 65_521);

function draw(name: string, length: number, offset = 0, std = 0.02): Float32Array {
  const bits = new Uint16Array(length);
  numbers.fill(bits, name, offset, std);
  return bf16ToF32(bits);
}

test("draws numbers of mean 0 and the standard deviation asked for, hardly any beyond four of them", () => {
  for (const std of [0.02, 1 / 64, 0.3]) {
    const values = draw("a", 60_000, 0, std);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan((4 * std) / Math.sqrt(60_000));
    expect(Math.sqrt(variance) / std).toBeCloseTo(1, 2);
    expect(values.filter((value) => Math.abs(value) > 4 * std).length).toBeLessThan(20); // 3.8 expected
  }
});

test("goes on where a tensor was left, and begins elsewhere for another", () => {
  expect(draw("a", 100, 1000)).toEqual(draw("a", 1100).subarray(1000));
  expect(draw("a", 100)).not.toEqual(draw("b", 100));
  expect(draw("a", 100)).toEqual(draw("a", 100));
});

test("gives no two equal rows, however often it goes round", () => {
  const rows = new Set<string>();
  for (let row = 0; row < 3000; row++) rows.add(draw("table", 4, row * 64).join());
  expect(rows.size).toBe(3000);
});
