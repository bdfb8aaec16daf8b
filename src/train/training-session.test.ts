// Training on frozen weights as they are stored gives the gradients of the float32 weights that they stand for.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bf16ToF32 } from "../checkpoint/bfloat16.ts";
import { dequantize } from "../checkpoint/block-quantization.ts";
import { quantize } from "../kernels/plain-quantization.ts";
import { encodeModel } from "../onnx/encode.ts";
import { lower } from "../onnx/lower.ts";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { f32ToBf16 } from "../quantize/to-bfloat16.ts";
import { counterRandom } from "../random/counter.ts";
import { f32, type HostTensor, hostTensor, i32 } from "../runtime/host-tensor.ts";
import { type BlockFormat, scalesName, type WeightSource } from "../runtime/weight-source.ts";
import { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { gradients } from "./autodiff/gradients.ts";
import { linearCrossEntropy } from "./loss/cross-entropy.ts";
import { openCheckpointAt } from "./open-checkpoint.ts";
import { openTrainingSession } from "./training-session.ts";

const [V, D, ROWS] = [48, 128, 6];
const frozen = Object.fromEntries(
  ["table", "up", "down", "output"].map((name) => [name, normal(name, V * D).map((x) => x / Math.sqrt(D))]),
);
const trained = { shift: f32(normal("shift", D), [D]), norm: f32(normal("norm", D), [D]) };
const feeds = { ids: i32([3, 0, 17, 3, 40, 47], [ROWS]), labels: i32([1, 9, 0, 30, 47, 9], [ROWS]) };

/** Gather, linear maps with and without a bias, rows of one, and a loss over the output matrix; `frozen` are read both ways. */
function network(graph: Graph): Tensor {
  const p = graph.params;
  const matrix = (name: string) => p.get(name, [V, D]);
  const x = matrix("table")
    .gather(graph.input("ids", [ROWS], "i32"))
    .add(p.get("shift", [D]));
  const wide = x.linear(matrix("up"), p.get("bias", [V])).silu(); // [ROWS, V]
  const back = wide.slice(1, 0, 32).matmul(matrix("down").slice(0, 16, 48)); // [ROWS, D]
  const normed = x.add(back).rmsNorm(p.get("norm", [D]), 1e-6);
  return linearCrossEntropy(normed, matrix("output"), graph.input("labels", [ROWS], "i32")).sum([0]);
}

/** What is stored, and the float32 weights that it stands for. */
const forms: Record<string, (name: string) => readonly [[string, HostTensor][], Float32Array]> = {
  f32: (name) => [[[name, f32(frozen[name]!, [V, D])]], frozen[name]!],
  bf16: (name) => [[[name, hostTensor("bf16", f32ToBf16(frozen[name]!), [V, D])]], bf16ToF32(f32ToBf16(frozen[name]!))],
  "8 bits in blocks of 128": quantized({ bits: 8, block: 128 }),
  "4 bits in blocks of 32": quantized({ bits: 4, block: 32 }),
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-frozen-"));
});
afterAll(() => rm(folder, { recursive: true }));

for (const [form, store] of Object.entries(forms)) {
  describe(form, () => {
    const isQuantized = form.includes("bits");
    const bias = f32(normal("bias", V), [V]);
    const parts = Object.keys(frozen).map((name) => [name, store(name)] as const);
    const meant = Object.fromEntries(parts.map(([name, [, values]]) => [name, f32(values, [V, D])]));

    test("has the gradients of the float32 weights, which are those of central differences", async () => {
      const file = join(folder, `${form}.safetensors`);
      await writeSafetensors(file, new Map([...parts.flatMap(([, [stored]]) => stored), ["bias", bias]]));
      const checkpoint = await openCheckpointAt(file);
      const found = await train(checkpoint, trained);
      await checkpoint.close();
      const wanted = await train(undefined, { ...trained, ...meant, bias });
      // The quantised forward products round their input to 8 bits for each block, 0.6 % of it.
      const tolerance = isQuantized ? 0.02 : 1e-5;
      expect(Math.abs(found.loss - wanted.loss) / wanted.loss).toBeLessThan(tolerance);
      for (const name of ["shift", "norm"] as const)
        expect(relativeError(found[name], wanted[name]), name).toBeLessThan(tolerance);
      for (const [name, j] of [
        ["shift", 5],
        ["shift", 77],
        ["norm", 100],
      ] as const) {
        const values = { ...trained, ...meant, bias };
        const at = async (h: number) => {
          const moved = f32(
            Float32Array.from(trained[name].data as Float32Array, (x, i) => (i === j ? x + h : x)),
            [D],
          );
          return (await train(undefined, { ...values, [name]: moved })).loss;
        };
        const h = 0.05;
        const slope = (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h);
        const scale = Math.max(...found[name].map(Math.abs));
        expect(Math.abs(found[name][j]! - slope) / scale).toBeLessThan(isQuantized ? 0.02 : 2e-3);
      }
    });

    test("a linear map's input gets exactly the stored weights times the gradient", async () => {
      const graph = new Graph();
      const x = graph.params.get("x", [ROWS, D]);
      const given = graph.input("g", [ROWS, V]);
      const loss = x
        .linear(graph.params.get("up", [V, D]))
        .mul(given)
        .sum([0, 1]);
      graph.output("dx", gradients(loss, [x])[0]!);
      const source = new Map(store("up")[0]);
      const file = join(folder, `${form}-up.safetensors`);
      await writeSafetensors(file, source);
      const checkpoint = await openCheckpointAt(file);
      const part = { isTrained: (path: string) => path === "x", frozen: checkpoint };
      const session = await openTrainingSession(graph, { threads: 1 }, part);
      const g = normal("g", ROWS * V);
      const { dx } = await session.run({ x: f32(normal("x", ROWS * D), [ROWS, D]), g: f32(g, [ROWS, V]) }, ["dx"]);
      await session.release();
      await checkpoint.close();
      const w = store("up")[1];
      const wanted = Float32Array.from({ length: ROWS * D }, (_, i) => {
        const [r, d] = [Math.floor(i / D), i % D];
        let sum = 0;
        for (let v = 0; v < V; v++) sum += g[r * V + v]! * w[v * D + d]!;
        return sum;
      });
      expect(relativeError(dx!.data as Float32Array, wanted)).toBeLessThan(1e-6);
    });
  });
}

test("a frozen weight that is read in both directions is widened for each of them", () => {
  const count = (widensForEachReader: boolean) => {
    const graph = new Graph();
    const x = graph.params.get("x", [ROWS, D]);
    const loss = x
      .linear(graph.params.get("up", [V, D]))
      .square()
      .sum([0, 1]);
    graph.output("dx", gradients(loss, [x])[0]!);
    const weight = { name: "up", dtype: "bf16", shape: [V, D], bytes: new Uint8Array(2 * V * D) } as const;
    const model = lower(graph.outputs, graph, (path) => (path === "x" ? "input" : weight), { widensForEachReader });
    expect(encodeModel(model).length).toBeGreaterThan(0);
    expect(model.initializers.filter(({ name }) => name === "up")).toHaveLength(1);
    return model.nodes.filter(({ op }) => op === "Cast").length;
  };
  expect([count(false), count(true)]).toEqual([1, 2]);
});

test("a frozen weight that is missing is named", async () => {
  const graph = new Graph();
  graph.output("y", graph.input("x", [1, 4]).linear(graph.params.get("w", [3, 4])));
  const part = { isTrained: () => false, frozen: { find: () => undefined } };
  await expect(openTrainingSession(graph, {}, part)).rejects.toThrow("the weights have no tensor w [3,4]");
});

/** Loss and gradients of what trains; without a source everything is fed. */
async function train(source: WeightSource | undefined, values: Record<string, HostTensor>) {
  const graph = new Graph();
  const loss = network(graph);
  graph.output("loss", loss);
  const names = ["shift", "norm"] as const;
  const slopes = gradients(
    loss,
    names.map((name) => graph.parameters.get(name)!.tensor),
  );
  names.forEach((name, i) => {
    graph.output(name === "shift" ? "d shift" : "d norm", slopes[i]!);
  });
  const part = source && { isTrained: (path: string) => path in trained, frozen: source };
  const session = await openTrainingSession(graph, { threads: 1 }, part);
  const results = await session.run({ ...feeds, ...values });
  await session.release();
  const values32 = (name: string) => results[name]!.data as Float32Array;
  return { loss: values32("loss")[0]!, shift: values32("d shift"), norm: values32("d norm") };
}

function quantized(format: BlockFormat): (name: string) => readonly [[string, HostTensor][], Float32Array] {
  return (name) => {
    const { bits, block } = format;
    const blocks = quantize(frozen[name]!, format);
    return [
      [
        [name, hostTensor("u8", blocks.values, [V, D / block, (block * bits) / 8])],
        [scalesName(name), f32(blocks.scales, [V, D / block])],
      ],
      dequantize(blocks, format),
    ];
  };
}

function normal(stream: string, size: number): Float32Array {
  return counterRandom(1, stream).fillNormal(new Float32Array(size));
}

function relativeError(found: Float32Array, wanted: Float32Array): number {
  const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value ** 2, 0);
  return Math.sqrt(squares(found.map((value, i) => value - wanted[i]!)) / squares(wanted));
}
