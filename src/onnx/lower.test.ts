// Operations that are written in a fast form give the numbers of the plain one, on the native library and on WASM.

import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import { type Device, openSession } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

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

async function run(
  graph: Graph,
  shapes: Record<string, readonly number[]>,
  device: Device,
): Promise<Record<string, HostTensor>> {
  const session = await openSession(graph, { find: () => undefined }, { device, threads: 1 });
  const feeds = Object.entries(shapes).map(([key, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return [key, f32(counterRandom(1, key).fillNormal(new Float32Array(size)), shape)] as const;
  });
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return results;
}

function expectClose(a: HostTensor, b: HostTensor): void {
  expect(a.data.length).toBe(b.data.length);
  for (let i = 0; i < a.data.length; i++) expect(a.data[i]).toBeCloseTo(b.data[i] as number, 5);
}
