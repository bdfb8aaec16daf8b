import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { meanOf, meanShareOf, shareOf, statisticOf } from "./measure.ts";
import { tQuantile } from "./student.ts";

const flags = (right: number, n: number) => Array.from({ length: n }, (_, i) => i < right);

describe("measures", () => {
  // R: prop.test(8, 10, correct = FALSE), prop.test(0, 20, correct = FALSE)
  test("shares have Wilson's interval", () => {
    const eight = shareOf(flags(8, 10));
    expect(eight).toMatchObject({ value: 0.8, n: 10 });
    expect([eight.low, eight.high].map((x) => x.toFixed(4))).toEqual(["0.4902", "0.9433"]);
    const none = shareOf(flags(0, 20));
    expect([none.low, none.high].map((x) => x.toFixed(4))).toEqual(["0.0000", "0.1611"]);
  });

  // R: qt(0.975, c(1, 4, 5, 9, 30, 500))
  test("quantiles of Student's t are those of the tables", () => {
    const known = { 1: 12.7062, 4: 2.7764, 5: 2.5706, 9: 2.2622, 30: 2.0423, 500: 1.9647 };
    for (const [freedom, t] of Object.entries(known)) expect(tQuantile(0.975, Number(freedom))).toBeCloseTo(t, 4);
  });

  // R: t.test(c(1, 2, 3, 4, 5))
  test("means have Student's interval", () => {
    const { value, low, high } = meanOf([1, 2, 3, 4, 5]);
    expect([value, low, high].map((x) => x.toFixed(4))).toEqual(["3.0000", "1.0368", "4.9632"]);
    expect(meanShareOf([1, 1, 0.9])).toMatchObject({ high: 1 });
  });

  test("the jackknife of a mean gives nearly the mean's own interval", () => {
    const random = counterRandom(1, "items");
    const items = Array.from({ length: 200 }, (_, i) => random.normal(i));
    const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
    const jackknife = statisticOf(items, mean);
    const student = meanOf(items);
    expect(jackknife.value).toBeCloseTo(student.value, 10);
    expect((jackknife.high - jackknife.low) / (student.high - student.low)).toBeGreaterThan(0.5);
    expect((jackknife.high - jackknife.low) / (student.high - student.low)).toBeLessThan(2);
  });
});
