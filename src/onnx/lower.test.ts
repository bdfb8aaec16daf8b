// Operations that are written in a fast form give the numbers of the plain one, on the native library and on WASM.

import { describe, expect, test } from "vitest";
import { loadBackend } from "#backend";
import { counterRandom } from "../random/counter.ts";
import type { Device } from "../runtime/backend.ts";
import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import { openSession, type SessionOptions } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";
import { gradients } from "../train/autodiff/gradients.ts";
import { encodeModel } from "./encode.ts";
import { lower } from "./lower.ts";

type Pair = (inputs: Record<string, Tensor>) => readonly [fast: Tensor, plain: Tensor];

const pairs: Record<string, { readonly shapes: Record<string, readonly number[]>; readonly build: Pair }> = {
  "rotation of heads by one table": {
    shapes: { x: [2, 3, 5, 8], cos: [5, 4], sin: [5, 4] },
    build: ({ x, cos, sin }) => {
      const plain = x!.reshape([6, 5, 8]).rotary(cos!, sin!); // of rank 3: written out
      return [x!.rotary(cos!, sin!), plain.reshape([2, 3, 5, 8])];
    },
  },
  "sum over leading axes": {
    shapes: { x: [4, 3, 7] },
    build: ({ x }) => [x!.sum([0, 1]), x!.transpose([2, 0, 1]).sum([1, 2])],
  },
  "linear layer with a bias": {
    shapes: { x: [2, 3, 5], w: [4, 5], b: [4] },
    build: ({ x, w, b }) => [x!.linear(w!, b!), x!.linear(w!).add(b!)],
  },
  "softmax times values": {
    shapes: { x: [2, 3, 5], v: [2, 5, 4] },
    build: ({ x, v }) => [x!.softmaxMatmul(v!), x!.softmax().matmul(v!)],
  },
  "layer norm without weights": {
    shapes: { x: [3, 6] },
    build: ({ x }) => {
      const centred = x!.sub(x!.mean([1], true));
      return [x!.layerNorm(null, null, 1e-5), centred.div(centred.square().mean([1], true).add(1e-5).sqrt())];
    },
  },
  "convolution with a bias": {
    shapes: { x: [2, 4, 5, 5], w: [4, 1, 3, 3], b: [4] },
    build: ({ x, w, b }) => {
      const options = { padding: 1, groups: 4 };
      return [x!.conv2d(w!, b!, options), x!.conv2d(w!, null, options).add(b!.reshape([4, 1, 1]))];
    },
  },
};

for (const device of ["cpu", "wasm"] as const) {
  describe(`fast forms on ${device}`, () => {
    for (const [name, { shapes, build }] of Object.entries(pairs)) {
      test(name, async () => {
        const graph = new Graph();
        const inputs = Object.entries(shapes).map(([key, shape]) => [key, graph.input(key, shape)] as const);
        const [fast, plain] = build(Object.fromEntries(inputs));
        graph.output("fast", fast);
        graph.output("plain", plain);
        const results = await run(graph, shapes, device);
        expect(results.fast!.shape).toEqual(results.plain!.shape);
        expectClose(results.fast!, results.plain!);
      });
    }
  });
}

test("a rotation of rows whose number is open turns row t by row t of the tables", async () => {
  const graph = new Graph();
  const [x, cos, sin] = [graph.input("x", [1, 2, "T", 4]), graph.input("cos", ["T", 2]), graph.input("sin", ["T", 2])];
  graph.output("open", x.rotary(cos, sin));
  const fixed = new Graph();
  const shapes = { x: [1, 2, 3, 4], cos: [3, 2], sin: [3, 2] };
  const table = (name: "cos" | "sin") => fixed.input(name, shapes[name]);
  fixed.output(
    "fixed",
    fixed.input("x", shapes.x).reshape([2, 3, 4]).rotary(table("cos"), table("sin")).reshape([1, 2, 3, 4]),
  );
  expectClose((await run(graph, shapes, "cpu")).open!, (await run(fixed, shapes, "cpu")).fixed!);
});

test("a piece whose sizes are open is as long as the input's axis of that name", async () => {
  const graph = new Graph();
  const [x, y] = [graph.input("x", [2, "A"]), graph.input("y", [2, "B"])];
  const [before, after] = concat([x, y], 1).split(1, ["A", "B"]);
  graph.output("x again", before!);
  graph.output("y again", after!);
  const { "x again": a, "y again": b } = await run(graph, { x: [2, 3], y: [2, 4] }, "cpu");
  expect([a!.shape, b!.shape]).toEqual([
    [2, 3],
    [2, 4],
  ]);
  expect(a!.data).toEqual(normal("x", 6));
  expect(b!.data).toEqual(normal("y", 8));
});

describe("a norm after a residual", () => {
  const shapes = { x: [3, 6], y: [3, 6], w: [6] };
  const trace = () => {
    const graph = new Graph();
    const [x, y, w] = Object.entries(shapes).map(([key, shape]) => graph.input(key, shape)) as [Tensor, Tensor, Tensor];
    const sum = x.add(y);
    const norm = sum.rmsNorm(w, 1e-6);
    graph.output("sum", sum.mul(2));
    graph.output("norm", norm);
    return { graph, norm };
  };
  const operators = (graph: Graph) =>
    lower(graph.outputs, graph, () => "input", { residualNorms: true }).nodes.map(({ op }) => op);

  test.each(["cpu", "wasm"] as const)("adds it itself, to the same sum and norm, on %s", async (device) => {
    const { graph } = trace();
    const joined = await run(graph, shapes, device);
    const apart = await run(graph, shapes, device, { residualNorms: false });
    expect(operators(graph)).toContain("SkipSimplifiedLayerNormalization");
    expectClose(joined.sum!, apart.sum!);
    expectClose(joined.norm!, apart.norm!);
  });

  test("leaves it where its own root mean square is wanted", () => {
    const { graph, norm } = trace();
    graph.output("slope", gradients(norm.sum([0, 1]), [graph.inputs.get("w")!])[0]!);
    expect(operators(graph)).not.toContain("SkipSimplifiedLayerNormalization");
  });

  test("leaves a sum that is broadcast", () => {
    const graph = new Graph();
    const sum = graph.input("x", [3, 6]).add(graph.input("row", [6]));
    graph.output("norm", sum.rmsNorm(graph.input("w", [6]), 1e-6));
    expect(operators(graph)).not.toContain("SkipSimplifiedLayerNormalization");
  });
});

describe("the form for WebGPU", () => {
  /** Every operation that has one. */
  const trace = () => {
    const graph = new Graph();
    const [x, y, open] = [graph.input("x", [3, 6]), graph.input("y", [5, 6]), graph.input("open", [3, "A"])];
    const { values, order } = x.largest(graph.constant(BigInt64Array.of(4n), [1]), "k");
    const [own, rest] = concat([open, x], 1).split(1, ["A", 6]);
    const results = {
      product: x.matmul(y, { transB: true, scale: 0.5 }),
      turned: x.matmul(x, { transA: true }),
      logits: x.mul(100).logSoftmax(),
      place: x.argmin(),
      order,
      drawn: order.pick(values.neg().argmax()),
      likely: x.logSoftmax().pick(x.argmax()),
      own: own!,
      rest: rest!,
    };
    for (const [name, tensor] of Object.entries(results)) graph.output(name, tensor);
    return graph;
  };
  const shapes = { x: [3, 6], y: [5, 6], open: [3, 2] };

  test("gives the numbers of the usual one", async () => {
    const graph = trace();
    const usual = await run(graph, shapes, "cpu");
    const backend = await loadBackend("cpu");
    const model = encodeModel(lower(graph.outputs, graph, () => "input", { isWebGpu: true }));
    const session = await backend.create(model, { foldsConstants: true, prepacks: true, runMemory: "kept" });
    const feeds = Object.entries(shapes).map(
      ([key, shape]) => [key, backend.tensor("float32", normal(key, shape[0]! * shape[1]!), shape)] as const,
    );
    const targets = Object.fromEntries([...graph.outputs.keys()].map((name) => [name, null]));
    const found = await session.run(Object.fromEntries(feeds), targets);
    for (const [name, { data, dims, type }] of Object.entries(found)) {
      const { dtype, shape } = usual[name]!;
      expect([type, dims], name).toEqual([{ f32: "float32", i32: "int32" }[dtype as "f32"], shape]);
      expectClose({ ...usual[name]!, data: data as Float32Array }, usual[name]!);
    }
    await session.release();
  });

  test("has no operator that WebGPU lacks, and casts nothing to or from 64 bits", () => {
    const graph = trace();
    const { nodes } = lower(graph.outputs, graph, () => "input", { isWebGpu: true });
    const lacking = nodes.filter(({ op }) => ["FusedMatMul", "LogSoftmax", "Split"].includes(op));
    expect(lacking).toEqual([]);
    const casts = nodes.flatMap(({ op, attributes }) => (op === "Cast" ? [attributes.to] : []));
    expect(casts).toEqual([{ int: 1 }, { int: 6 }]); // around the pick
  });
});

async function run(
  graph: Graph,
  shapes: Record<string, readonly number[]>,
  device: Device,
  options: SessionOptions = {},
): Promise<Record<string, HostTensor>> {
  const session = await openSession(graph, { find: () => undefined }, { device, threads: 1, ...options });
  const feeds = Object.entries(shapes).map(([key, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return [key, f32(normal(key, size), shape)] as const;
  });
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return results;
}

function normal(stream: string, size: number): Float32Array {
  return counterRandom(1, stream).fillNormal(new Float32Array(size));
}

function expectClose(a: HostTensor, b: HostTensor): void {
  expect(a.data.length).toBe(b.data.length);
  for (let i = 0; i < a.data.length; i++) expect(a.data[i]).toBeCloseTo(b.data[i] as number, 5);
}
