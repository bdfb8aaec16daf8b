// Measures this machine's speeds in about a second: a large float32 product, one row times a matrix larger than the
// caches, in float32 and at 4 bits, and many rows times a 4-bit matrix. These bound everything that a model does.

import { f32, hostTensor } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { openSession, type Session, type SessionOptions } from "../runtime/session.ts";
import { scalesName, type WeightSource } from "../runtime/weight-source.ts";
import { Graph } from "../tensor/graph.ts";
import { probeProducts } from "./probe.ts";
import type { Speeds } from "./seconds.ts";

/** Rows and columns of the matrix: 134 MB in float32, and the 4-bit one is repeated to as much. */
const [OUT, IN] = [8192, 4096] as const;
/** As in the released model's converted matrices. */
const BLOCK = 128;
/** 4-bit matrices: together larger than the caches of a server CPU. */
const QUANTIZED = 4;
const RUNS = 8;
/** Rows of a compute-bound product: as many as one prefill run. */
const ROWS = 128;

/** Measures with the session's own number of threads. The best of a few runs counts: slower ones were disturbed. */
export async function measureSpeeds(options: Pick<SessionOptions, "threads"> = {}): Promise<Speeds> {
  const gflopPerS = await probeProducts(options);
  const matrix = f32(new Float32Array(OUT * IN).fill(0.5), [OUT, IN]);
  const float = memoryWeights(new Map([["w", matrix]]));
  const quantized = memoryWeights(
    new Map(
      Array.from(
        { length: QUANTIZED },
        (_, i) =>
          [
            [`w${i}`, hostTensor("u8", new Uint8Array((OUT * IN) / 2).fill(17 * i + 1), [OUT, IN / BLOCK, BLOCK / 2])],
            [scalesName(`w${i}`), f32(new Float32Array((OUT * IN) / BLOCK).fill(0.5), [OUT, IN / BLOCK])],
          ] as const,
      ).flat(),
    ),
  );
  const quantizedBytes = QUANTIZED * OUT * IN * (0.5 + 4 / BLOCK);
  const names = Array.from({ length: QUANTIZED }, (_, i) => `w${i}`);
  return {
    flopPerS: gflopPerS * 1e9,
    readBytesPerS: (OUT * IN * 4) / (await bestSeconds(1, ["w"], float, options)),
    quantizedBytesPerS: quantizedBytes / (await bestSeconds(1, names, quantized, options)),
    quantizedFlopPerS: (2 * ROWS * OUT * IN) / (await bestSeconds(ROWS, names.slice(0, 1), quantized, options)),
  };
}

/** This many rows times each of the matrices. */
async function bestSeconds(
  rows: number,
  names: readonly string[],
  weights: WeightSource,
  options: SessionOptions,
): Promise<number> {
  const graph = new Graph();
  const x = graph.input("x", [rows, IN]);
  // One row of the result, because fetched outputs are copied.
  for (const name of names) graph.output(`y.${name}`, x.linear(graph.params.get(name, [OUT, IN])).slice(0, 0, 1));
  const session: Session = await openSession(graph, weights, options);
  const feeds = { x: f32(new Float32Array(rows * IN).fill(1), [rows, IN]) };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    await session.run(feeds);
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  await session.release();
  return best;
}
