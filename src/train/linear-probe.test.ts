import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { nearestShare, RidgeProbe, solveSymmetric } from "./linear-probe.ts";

const random = counterRandom(3, "probe");
const normal = (name: string, n: number) => random.fork(name).fillNormal(new Float32Array(n));

describe("RidgeProbe", () => {
  test("finds the linear map and the offset behind the numbers, over several parts", async () => {
    const [n, width, outputs] = [300, 5, 3];
    const map = normal("map", width * outputs);
    const apply = (x: Float32Array) =>
      Float32Array.from({ length: (x.length / width) * outputs }, (_, i) => {
        const [row, o] = [Math.floor(i / outputs), i % outputs];
        return (
          0.5 +
          map.reduce((sum, w, at) => (at % outputs === o ? sum + w * x[row * width + (at - o) / outputs]! : sum), 0)
        );
      });
    const probe = await RidgeProbe.open(width, outputs);
    for (const part of ["a", "b"]) {
      const features = normal(part, n * width);
      await probe.add({ features, pixels: apply(features) });
    }
    const predict = await probe.solve();
    const fresh = normal("fresh", 20 * width);
    const [said, wanted] = [await predict(fresh), apply(fresh)];
    said.forEach((value, i) => {
      expect(value).toBeCloseTo(wanted[i]!, 1);
    });
  });
});

test("solveSymmetric solves the system", () => {
  const x = solveSymmetric(Float64Array.of(4, 1, 1, 3), Float64Array.of(6, 9, 7, 5), 2, 2);
  expect([...x].map((value) => Math.round(1e4 * value) / 1e4)).toEqual([1, 2, 2, 1]);
});

test("nearestShare looks for the direction from the mean, whatever the lengths", async () => {
  const rows = Float32Array.of(1, 0, 0, 1, -1, 0, 0, -1);
  const known = { rows, labels: ["east", "north", "west", "south"] };
  const queries = { rows: Float32Array.of(9, 1, 0.1, 3, -5, -4), labels: ["east", "north", "south"] };
  expect(await nearestShare(known, queries, 2)).toBeCloseTo(2 / 3);
});
