// Every gradient rule against central differences, over random shapes, broadcasts included.

import { describe, expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import { f32, type HostTensor } from "../../runtime/host-tensor.ts";
import { Graph } from "../../tensor/graph.ts";
import { concat, type Tensor } from "../../tensor/tensor.ts";
import { crossEntropy, linearCrossEntropy } from "../loss/cross-entropy.ts";
import { openTrainingSession } from "../training-session.ts";
import { gradientRules } from "./gradient-rules.ts";
import { gradients } from "./gradients.ts";

interface Case {
  /** Shapes of the differentiable operands. */
  readonly shapes: readonly (readonly number[])[];
  readonly build: (operands: Tensor[], graph: Graph) => Tensor;
  /** Moves random operands into the part of the domain where the function is smooth. */
  readonly domain?: (value: number) => number;
}

const positive = (value: number) => Math.abs(value) + 0.5;
const awayFromZero = (value: number) => value + 0.3 * Math.sign(value);
const indices = (graph: Graph, values: number[], shape: number[]) => graph.constant(Int32Array.from(values), shape);

const cases: Record<string, Case[]> = {
  add: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      build: ([a, b]) => a!.add(b!),
    },
    {
      shapes: [
        [4, 1, 3],
        [2, 1],
      ],
      build: ([a, b]) => a!.add(b!),
    },
    { shapes: [[3], [2, 4, 3]], build: ([a, b]) => a!.add(b!) },
  ],
  sub: [
    {
      shapes: [
        [2, 3],
        [1, 3],
      ],
      build: ([a, b]) => a!.sub(b!),
    },
  ],
  mul: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: ([a, b]) => a!.mul(b!),
    },
    { shapes: [[2, 3], []], build: ([a, b]) => a!.mul(b!) },
    { shapes: [[2, 3]], build: ([a]) => a!.square() },
  ],
  div: [{ shapes: [[2, 3], [3]], build: ([a, b]) => a!.div(b!), domain: positive }],
  neg: [{ shapes: [[5]], build: ([a]) => a!.neg() }],
  exp: [{ shapes: [[5]], build: ([a]) => a!.exp() }],
  sqrt: [
    { shapes: [[5]], build: ([a]) => a!.sqrt(), domain: positive },
    { shapes: [[5]], build: ([a]) => a!.rsqrt(), domain: positive },
  ],
  abs: [{ shapes: [[5]], build: ([a]) => a!.abs(), domain: awayFromZero }],
  sin: [{ shapes: [[5]], build: ([a]) => a!.sin() }],
  cos: [{ shapes: [[5]], build: ([a]) => a!.cos() }],
  sigmoid: [{ shapes: [[5]], build: ([a]) => a!.sigmoid() }],
  erf: [{ shapes: [[5]], build: ([a]) => a!.erf() }],
  relu: [{ shapes: [[7]], build: ([a]) => a!.relu(), domain: awayFromZero }],
  silu: [{ shapes: [[9]], build: ([a]) => a!.mul(3).silu() }],
  gelu: [{ shapes: [[9]], build: ([a]) => a!.mul(2).gelu() }],
  geluTanh: [{ shapes: [[9]], build: ([a]) => a!.mul(2).geluTanh() }],
  matmul: [
    {
      shapes: [
        [2, 3],
        [3, 4],
      ],
      build: ([a, b]) => a!.matmul(b!),
    },
    {
      shapes: [
        [5, 2, 3],
        [5, 4, 3],
      ],
      build: ([a, b]) => a!.matmul(b!, { transB: true, scale: 0.5 }),
    },
    {
      shapes: [
        [5, 3, 2],
        [5, 3, 4],
      ],
      build: ([a, b]) => a!.matmul(b!, { transA: true }),
    },
    {
      shapes: [
        [3, 2],
        [4, 3],
      ],
      build: ([a, b]) => a!.matmul(b!, { transA: true, transB: true, scale: 2 }),
    },
    {
      shapes: [
        [2, 2, 3],
        [3, 4],
      ],
      build: ([a, b]) => a!.matmul(b!),
    },
    {
      shapes: [
        [2, 3, 2, 4],
        [2, 1, 5, 4],
      ],
      build: ([a, b]) => a!.matmul(b!, { transB: true }),
    },
    {
      shapes: [
        [1, 2, 4],
        [3, 4, 5],
      ],
      build: ([a, b]) => a!.matmul(b!),
    },
    { shapes: [[2, 5, 3], [4, 3], [4]], build: ([x, w, b]) => x!.linear(w!, b!) },
  ],
  linear: [
    {
      shapes: [[5, 3], [4, 3], [4]],
      build: ([x, w, b]) => x!.linear(w!, b!),
    },
  ],
  reshape: [{ shapes: [[2, 6]], build: ([a]) => a!.reshape([3, -1]) }],
  transpose: [{ shapes: [[2, 3, 4]], build: ([a]) => a!.transpose([2, 0, 1]) }],
  expand: [{ shapes: [[2, 1, 3]], build: ([a]) => a!.expand([4, 2, 5, 3]) }],
  slice: [
    { shapes: [[2, 6]], build: ([a]) => a!.slice(1, 2, 5) },
    {
      shapes: [[3, 4, 2]],
      build: ([a]) =>
        a!.sliceAxes([
          { axis: 0, start: 1, end: 3, step: 1 },
          { axis: 1, start: 0, end: 2, step: 1 },
        ]),
    },
  ],
  pad: [
    { shapes: [[2, 3]], build: ([a]) => a!.padAxes([{ axis: 1, before: 2, after: 1 }]) },
    {
      shapes: [[2, 2, 3]],
      build: ([a]) =>
        a!.padAxes([
          { axis: 0, before: 1, after: 0 },
          { axis: 2, before: 0, after: 2 },
        ]),
    },
  ],
  concat: [
    {
      shapes: [
        [2, 3],
        [2, 2],
      ],
      build: ([a, b]) => concat([a!, b!], 1),
    },
  ],
  split: [
    {
      shapes: [[2, 5]],
      build: ([a]) => {
        const [x, , z] = a!.split(1, [2, 1, 2]);
        return x!.mul(z!);
      },
    },
  ],
  sum: [{ shapes: [[2, 3, 4]], build: ([a]) => a!.sum([0, 2]).square() }],
  mean: [{ shapes: [[2, 3, 4]], build: ([a]) => a!.mean([1], true).square() }],
  softmax: [{ shapes: [[3, 5]], build: ([a]) => a!.softmax() }],
  softmaxMatmul: [
    {
      shapes: [
        [2, 3, 5],
        [2, 5, 4],
      ],
      build: ([scores, values]) => scores!.softmaxMatmul(values!),
    },
  ],
  logSoftmax: [{ shapes: [[3, 5]], build: ([a]) => a!.logSoftmax() }],
  gather: [{ shapes: [[5, 3]], build: ([a], g) => a!.gather(indices(g, [1, 4, 1, 0], [2, 2])) }],
  addRows: [
    {
      shapes: [
        [6, 3],
        [4, 3],
      ],
      build: ([x, values], g) => x!.addRows(indices(g, [1, 4, 1, 0], [4]), values!),
    },
  ],
  pick: [{ shapes: [[3, 5]], build: ([a], g) => a!.pick(indices(g, [1, 4, 0], [3])) }],
  addAt: [{ shapes: [[3, 5], [3]], build: ([a, b], g) => a!.addAt(indices(g, [1, 4, 0], [3]), b!) }],
  crossEntropy: [{ shapes: [[3, 5]], build: ([a], g) => crossEntropy(a!, indices(g, [1, 4, 0], [3])) }],
  linearCrossEntropy: [
    {
      shapes: [
        [4, 3],
        [5, 3],
      ],
      build: ([x, matrix], g) => linearCrossEntropy(x!, matrix!, indices(g, [1, 4, 1, 0], [4])),
    },
  ],
  layerNorm: [
    { shapes: [[2, 3, 6], [6], [6]], build: ([x, w, b]) => x!.layerNorm(w!, b!, 1e-5) },
    { shapes: [[3, 6]], build: ([x]) => x!.layerNorm(null, null, 1e-6) },
  ],
  rmsNorm: [{ shapes: [[2, 3, 6], [6]], build: ([x, w]) => x!.rmsNorm(w!, 1e-6) }],
  rotary: [
    {
      shapes: [[2, 3, 4, 6]],
      build: ([x], g) => {
        const angles = Array.from({ length: 12 }, (_, i) => 0.3 * i);
        return x!.rotary(g.constant(angles.map(Math.cos), [4, 3]), g.constant(angles.map(Math.sin), [4, 3]));
      },
    },
  ],
  conv2d: [
    { shapes: [[2, 3, 5, 4], [4, 3, 3, 3], [4]], build: ([x, w, b]) => x!.conv2d(w!, b!, { padding: 1 }) },
    {
      shapes: [
        [2, 3, 6, 4],
        [2, 3, 3, 3],
      ],
      build: ([x, w]) => x!.conv2d(w!, null, { padding: 1, stride: 2 }),
    },
    {
      shapes: [
        [2, 3, 5, 5],
        [2, 3, 2, 2],
      ],
      build: ([x, w]) => x!.conv2d(w!, null, { stride: 2 }),
    },
    {
      shapes: [
        [2, 5, 4, 3],
        [2, 5, 3, 3],
      ],
      build: ([x, w]) => x!.conv2d(w!, null, { padding: 1 }),
    },
    {
      shapes: [
        [2, 5, 4, 4],
        [2, 5, 3, 2],
      ],
      build: ([x, w]) => x!.conv2d(w!, null),
    },
    {
      shapes: [
        [1, 6, 4, 3],
        [2, 3, 3, 3],
      ],
      build: ([x, w]) => x!.conv2d(w!, null, { padding: 1, groups: 2 }),
    },
    {
      shapes: [
        [2, 3, 4, 4],
        [5, 3, 1, 1],
      ],
      build: ([x, w]) => x!.conv2d(w!, null),
    },
    {
      shapes: [
        [2, 4, 5, 4],
        [4, 1, 3, 3],
      ],
      build: ([x, w]) => x!.conv2d(w!, null, { padding: 1, groups: 4 }),
    },
    {
      shapes: [
        [2, 4, 6, 6],
        [4, 1, 5, 5],
      ],
      build: ([x, w]) => x!.conv2d(w!, null, { padding: 2, groups: 4 }),
    },
    {
      shapes: [
        [1, 6, 4, 3],
        [4, 3, 3, 3],
      ],
      build: ([x, w]) => x!.conv2d(w!, null, { padding: 1, groups: 2 }),
    },
  ],
};

describe("gradient rules agree with central differences", () => {
  for (const [op, list] of Object.entries(cases)) {
    list.forEach((item, i) => {
      test(`${op} ${i + 1}`, () => compare(item, `${op}${i}`));
    });
  }

  test("every differentiable operation has a case", () => {
    const expected = Object.entries(gradientRules).filter(([, rule]) => rule !== null);
    expect(Object.keys(cases).sort()).toEqual(expected.map(([op]) => op).sort());
  });
});

describe("gradients", () => {
  test("stop at stopGradient", async () => {
    const graph = new Graph();
    const x = graph.input("x", [2]);
    const [dx] = gradients(x.stopGradient().mul(x).sum([0]), [x]);
    graph.output("dx", dx!);
    const session = await openTrainingSession(graph);
    const { dx: value } = await session.run({ x: f32([3, -2], [2]) });
    expect([...(value!.data as Float32Array)]).toEqual([3, -2]);
  });

  test("are undefined for what the loss does not depend on", () => {
    const graph = new Graph();
    const [x, y] = [graph.input("x", [2]), graph.input("y", [2])];
    expect(gradients(x.sum([0]), [x, y])[1]).toBeUndefined();
  });
});

/** Compares d sum(f * weights) / d operand with (f(x + h) - f(x - h)) / 2h for each element. */
async function compare({ shapes, build, domain = (v) => v }: Case, name: string): Promise<void> {
  const graph = new Graph();
  const operands = shapes.map((shape, i) => graph.input(`x${i}`, shape));
  const y = build(operands, graph);
  const random = counterRandom(1, name);
  const weights = graph.constant(
    Float32Array.from({ length: size(y) }, (_, i) => random.normal(1000 + i)),
    y.shape as number[],
  );
  const loss = y.mul(weights).sum(y.shape.map((_, i) => i));
  graph.output("loss", loss);
  gradients(loss, operands).forEach((gradient, i) => {
    graph.output(`g${i}`, gradient!);
  });
  const session = await openTrainingSession(graph);
  const values: Record<string, HostTensor> = {};
  shapes.forEach((shape, i) => {
    const n = shape.reduce((a, b) => a * b, 1);
    values[`x${i}`] = f32(
      Float32Array.from({ length: n }, (_, j) => domain(random.normal(100 * i + j))),
      shape,
    );
  });
  const results = await session.run(values);
  for (let i = 0; i < shapes.length; i++) {
    const operand = values[`x${i}`]!.data as Float32Array;
    const gradient = results[`g${i}`]!;
    expect(gradient.shape).toEqual(shapes[i]);
    const scale = Math.max(1, ...(gradient.data as Float32Array).map(Math.abs));
    for (let j = 0; j < operand.length; j++) {
      const h = 1e-2;
      const kept = operand[j]!;
      const at = async (value: number) => {
        operand[j] = value;
        return (await session.run(values, ["loss"])).loss!.data[0] as number;
      };
      // Fourth-order central difference: float32 rounding allows a wide step.
      const slope =
        (8 * ((await at(kept + h)) - (await at(kept - h))) - ((await at(kept + 2 * h)) - (await at(kept - 2 * h)))) /
        (12 * h);
      operand[j] = kept;
      expect(
        Math.abs((gradient.data[j] as number) - slope) / scale,
        `operand ${i} element ${j}: ${gradient.data[j]} and ${slope}`,
      ).toBeLessThan(5e-3);
    }
  }
  await session.release();
}

const size = (tensor: Tensor) => (tensor.shape as number[]).reduce((a, b) => a * b, 1);
