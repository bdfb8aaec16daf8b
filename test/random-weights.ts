// For tests: runs a graph with random parameters, without files.

import { counterRandom } from "../src/random/counter.ts";
import { f32, type HostTensor } from "../src/runtime/host-tensor.ts";
import type { Values } from "../src/runtime/session.ts";
import type { Graph } from "../src/tensor/graph.ts";
import { openTrainingSession } from "../src/train/training-session.ts";

/** Matrices N(0, 1/width), vectors N(mean, 0.2^2) with mean 1 for norm scales: nothing is left at a value that hides mistakes. */
export function randomWeights(graph: Graph, seed = 1): Record<string, HostTensor> {
  const tensors = [...graph.parameters.values()].map(({ path, shape, init }) => {
    const random = counterRandom(seed, path);
    const isVector = shape.length === 1;
    const mean = init.kind === "constant" ? init.value : 0;
    const std = isVector ? 0.2 : shape.slice(1).reduce((a, b) => a * b, 1) ** -0.5;
    const size = shape.reduce((a, b) => a * b, 1);
    return [
      path,
      f32(
        random.fillNormal(new Float32Array(size)).map((value) => mean + std * value),
        shape,
      ),
    ] as const;
  });
  return Object.fromEntries(tensors);
}

/** Runs the graph once with these parameters and inputs. */
export async function runOnce(graph: Graph, values: Values): Promise<Record<string, HostTensor>> {
  const session = await openTrainingSession(graph, { threads: 1 });
  try {
    return await session.run(values);
  } finally {
    await session.release();
  }
}

/** A random float32 tensor. */
export function randomTensor(shape: readonly number[], seed = 2): HostTensor {
  return f32(counterRandom(seed, "tensor").fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);
}

/** Largest absolute difference; shapes must be equal. */
export function largestDifference(a: HostTensor, b: HostTensor): number {
  if (`${a.shape}` !== `${b.shape}`) throw new Error(`[${a.shape}] is compared with [${b.shape}]`);
  let largest = 0;
  for (let i = 0; i < a.data.length; i++) largest = Math.max(largest, Math.abs(Number(a.data[i]) - Number(b.data[i])));
  return largest;
}
