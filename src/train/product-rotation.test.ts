// A rotation is known to exist: vectors whose parts take few values each, hidden by a random rotation.

import { expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { productRotation } from "./product-rotation.ts";

const [PARTS, OWN, CLUSTERS, ROWS] = [3, 4, 5, 900];
const WIDTH = PARTS * OWN;

/** An orthogonal [width, width], by Gram-Schmidt. */
function orthogonal(width: number): Float64Array[] {
  const draw = counterRandom(3, "orthogonal").sequence();
  const rows: Float64Array[] = [];
  for (let i = 0; i < width; i++) {
    const row = Float64Array.from({ length: width }, () => draw.normal());
    for (const other of rows) {
      const along = row.reduce((sum, value, j) => sum + value * other[j]!, 0);
      row.forEach((value, j) => {
        row[j] = value - along * other[j]!;
      });
    }
    const length = Math.hypot(...row);
    rows.push(row.map((value) => value / length));
  }
  return rows;
}

function hidden(): Float32Array {
  const draw = counterRandom(5, "values").sequence();
  const values = Array.from({ length: PARTS }, () =>
    Array.from({ length: CLUSTERS }, () => Array.from({ length: OWN }, () => draw.normal())),
  );
  const basis = orthogonal(WIDTH);
  const rows = new Float32Array(ROWS * WIDTH);
  for (let row = 0; row < ROWS; row++) {
    const vector = values.flatMap((part) => draw.pick(part));
    vector.forEach((value, i) => {
      for (let j = 0; j < WIDTH; j++) rows[row * WIDTH + j]! += value * basis[i]![j]!;
    });
  }
  return rows;
}

test("finds the parts in which vectors take few values", async () => {
  const options = { parts: PARTS, clusters: CLUSTERS, rounds: 120, random: counterRandom(1, "rotation") };
  const { matrix, lost } = await productRotation(hidden(), WIDTH, options);
  expect(lost[1]).toBeLessThan(0.5 * lost[0]);
  for (let i = 0; i < WIDTH; i++) {
    for (let j = 0; j < WIDTH; j++) {
      let product = 0;
      for (let k = 0; k < WIDTH; k++) product += matrix[k * WIDTH + i]! * matrix[k * WIDTH + j]!;
      expect(product).toBeCloseTo(i === j ? 1 : 0, 4);
    }
  }
});

test("leaves alone what it cannot divide", async () => {
  const options = { parts: 5, clusters: 2, rounds: 1, random: counterRandom(1, "rotation") };
  await expect(productRotation(new Float32Array(WIDTH), WIDTH, options)).rejects.toThrow("do not divide into 5 parts");
});
