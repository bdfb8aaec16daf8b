// Weights at lower precision give, in every place where a graph reads them, the numbers of the float32 weights that they
// stand for: as a linear map, as a table of rows, as rows of either, and where nothing but float32 will do.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bf16ToF32 } from "../checkpoint/bfloat16.ts";
import { dequantize } from "../checkpoint/block-quantization.ts";
import { quantize } from "../kernels/plain-quantization.ts";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { f32ToBf16 } from "../quantize/to-bfloat16.ts";
import { counterRandom } from "../random/counter.ts";
import { f32, type HostTensor, hostTensor, i32 } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { openSession } from "../runtime/session.ts";
import { type BlockFormat, scalesName, type WeightSource } from "../runtime/weight-source.ts";
import { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";

const [OUT, IN, ROWS] = [24, 256, 5];
const weight = normal("weight", OUT * IN);
const bias = f32(normal("bias", OUT), [OUT]);
const feeds = { x: f32(normal("x", ROWS * IN), [ROWS, IN]), ids: i32([16, 0, 7, 7], [2, 2]) };

interface Operands {
  readonly w: Tensor;
  readonly b: Tensor;
  readonly x: Tensor;
  readonly ids: Tensor;
}
const linearUses: Record<string, (operands: Operands) => Tensor> = {
  "a linear map": ({ x, w }) => x.linear(w),
  "a linear map with a bias": ({ x, w, b }) => x.linear(w, b),
  "a linear map by a range of rows": ({ x, w }) => x.linear(w.slice(0, 5, 12)),
  "a linear map by one row": ({ x, w }) => x.linear(w.slice(0, 23, 24)),
  "a linear map by a weight that gets no gradient": ({ x, w }) => x.linear(w.stopGradient()),
};
const exactUses: Record<string, (operands: Operands) => Tensor> = {
  "a table of rows": ({ w, ids }) => w.gather(ids),
  "a table that is a range of rows": ({ w, ids }) => w.slice(0, 3, 20).gather(ids),
  "a scaled product": ({ x, w }) => x.matmul(w, { transB: true, scale: 0.5 }),
  "a product from the other side": ({ x, w }) => w.matmul(x, { transB: true }),
  columns: ({ w }) => w.slice(1, 3, 40),
};

const convolutionUses: Record<string, (operands: Operands) => Tensor> = {
  "a 1 x 1 convolution with a bias": ({ x, w, b }) => imageOf(x).conv2d(w, b),
  "a 1 x 1 convolution that is given no bias": ({ x, w }) => imageOf(x).conv2d(w, null),
};
const exactConvolutionUses: Record<string, (operands: Operands) => Tensor> = {
  "a 1 x 1 convolution with steps": ({ x, w }) => imageOf(x.slice(0, 0, 3)).conv2d(w, null, { stride: 2 }),
  "filters as numbers": ({ w }) => w.mul(2),
};

/** The same weights at lower precision, and as the float32 that this stands for. */
const forms: Record<string, readonly [stored: [string, HostTensor][], meant: Float32Array]> = {
  bf16: [[["w", hostTensor("bf16", f32ToBf16(weight), [OUT, IN])]], bf16ToF32(f32ToBf16(weight))],
  "4 bits in blocks of 32": quantized({ bits: 4, block: 32 }),
  "4 bits in blocks of 128": quantized({ bits: 4, block: 128 }),
  "8 bits in blocks of 32": quantized({ bits: 8, block: 32 }),
  "8 bits in blocks of 128": quantized({ bits: 8, block: 128 }),
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-weights-"));
});
afterAll(() => rm(folder, { recursive: true }));

for (const [form, [stored, meant]] of Object.entries(forms)) {
  describe(form, () => {
    for (const [name, use] of Object.entries({
      ...linearUses,
      ...exactUses,
      ...convolutionUses,
      ...exactConvolutionUses,
    })) {
      test(`${name}, from memory and from a file`, async () => {
        const shape = name in convolutionUses || name in exactConvolutionUses ? [OUT, IN, 1, 1] : [OUT, IN];
        const wanted = await compute(
          use,
          memoryWeights(
            new Map([
              ["w", f32(meant, shape)],
              ["b", bias],
            ]),
          ),
          shape,
        );
        const own = stored.map(
          ([key, tensor]) => [key, tensor.dtype === "bf16" ? { ...tensor, shape } : tensor] as const,
        );
        const tensors = new Map([...own, ["b", bias] as const]);
        const file = join(folder, "weights.safetensors");
        await writeSafetensors(file, tensors);
        const checkpoint = await openCheckpointAt(file);
        // A quantised linear map rounds x to 8 bits for each block as well: a step of about 1/50 of its deviation, so 0.6 %.
        const isRounded = name in linearUses || name in convolutionUses;
        const tolerance = isRounded && form !== "bf16" ? 0.01 : 1e-6;
        for (const source of [memoryWeights(tensors), checkpoint]) {
          const found = await compute(use, source, shape);
          expect(found.shape).toEqual(wanted.shape);
          expect(relativeError(found, wanted)).toBeLessThan(tolerance);
        }
        await checkpoint.close();
      });
    }
  });
}

function quantized(format: BlockFormat): [[string, HostTensor][], Float32Array] {
  const { bits, block } = format;
  const blocks = quantize(weight, format);
  const tensors: [string, HostTensor][] = [
    ["w", hostTensor("u8", blocks.values, [OUT, IN / block, (block * bits) / 8])],
    [scalesName("w"), f32(blocks.scales, [OUT, IN / block])],
  ];
  return [tensors, dequantize(blocks, format)];
}

/** x [T, IN] as an image of one row of T pixels. */
function imageOf(x: Tensor): Tensor {
  return x.reshape([1, 1, x.dim(0), IN]).transpose([0, 3, 1, 2]);
}

async function compute(
  use: (operands: Operands) => Tensor,
  weights: WeightSource,
  shape: readonly number[],
): Promise<HostTensor> {
  const graph = new Graph();
  const [w, b] = [graph.params.get("w", shape), graph.params.get("b", [OUT])];
  graph.output("y", use({ w, b, x: graph.input("x", ["T", IN]), ids: graph.input("ids", [2, 2], "i32") }));
  const session = await openSession(graph, weights, { threads: 1 });
  const { y } = await session.run(feeds);
  await session.release();
  return y!;
}

function normal(stream: string, size: number): Float32Array {
  return counterRandom(1, stream).fillNormal(new Float32Array(size));
}

function relativeError(found: HostTensor, wanted: HostTensor): number {
  const sumOfSquares = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value ** 2, 0);
  const [a, b] = [found.data as Float32Array, wanted.data as Float32Array];
  return Math.sqrt(sumOfSquares(a.map((value, i) => value - b[i]!)) / sumOfSquares(b));
}
