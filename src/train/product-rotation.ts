// Optimized product quantization (Ge, He, Ke and Sun, CVPR 2013), non-parametric: alternates k-means in each part with the rotation
// that brings the vectors closest to their rounded selves. Parts then hold what varies together, such as one object of several.

import type { CounterRandom } from "../random/counter.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { openSession, type Session, type SessionOptions } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { kMeans, moveCentres } from "./kmeans.ts";
import { NearestCentres } from "./nearest-centres.ts";

export interface RotationOptions {
  /** The vectors are cut into so many parts of equal width, each rounded to one of `clusters` centres. */
  readonly parts: number;
  readonly clusters: number;
  /** Alternations; the error falls by a third in the first 60, and slowly after 300. */
  readonly rounds: number;
  readonly random: CounterRandom;
  readonly session?: SessionOptions | undefined;
}

export interface Rotation {
  /** Orthogonal [width, width], row-major: a vector becomes vector · matrix. */
  readonly matrix: Float32Array;
  /** Share of the vectors' squared length that rounding loses: as they were, and rotated. */
  readonly lost: readonly [before: number, after: number];
}

/** Weight of the previous rotation, relative to the mean singular value: directions without variance stay where they are. */
const INERTIA = 1e-3;
/** Steps of the Newton-Schulz iteration: enough for singular values 10^4 below the greatest. */
const POLAR_STEPS = 32;

/** Finds a rotation for vectors [n, width] of mean 0, after which rounding their parts loses least. Deterministic in `random`. */
export async function productRotation(
  vectors: Float32Array,
  width: number,
  { parts, clusters, rounds, random, session }: RotationOptions,
): Promise<Rotation> {
  const own = width / parts;
  if (!Number.isInteger(own)) throw new Error(`${width} numbers do not divide into ${parts} parts`);
  const n = vectors.length / width;
  const x = f32(vectors as Float32Array<ArrayBuffer>, [n, width]);
  const square = (matrix: Float32Array) => f32(Float32Array.from(matrix), [width, width]);
  const sessions = await openRotation(width, parts, session);
  const search = await NearestCentres.open(own, session);
  try {
    let matrix = Float32Array.from({ length: width * width }, (_, at) => (at % (width + 1) === 0 ? 1 : 0));
    const centres: Float32Array[] = [];
    const lost: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const turned = await sessions.turn.run({ x, rotation: square(matrix) });
      const rounded = new Float32Array(n * width);
      let error = 0;
      for (let part = 0; part < parts; part++) {
        const y = turned[`part${part}`]!.data as Float32Array;
        const seeds = { clusters, random: random.fork(part), iterations: 8, ...(session && { session }) };
        const book = centres[part] ?? (await kMeans(y, own, seeds));
        centres[part] = book;
        moveCentres(y, book, own, await search.find(y, book));
        const nearest = await search.find(y, book);
        for (let row = 0; row < n; row++) {
          for (let j = 0; j < own; j++) {
            const value = book[nearest[row]! * own + j]!;
            rounded[row * width + part * own + j] = value;
            error += (y[row * own + j]! - value) ** 2;
          }
        }
      }
      lost.push(error);
      if (round === rounds) break;
      const { product } = await sessions.meet.run({ x, rounded: f32(rounded, [n, width]) });
      const { rotation } = await sessions.polar.run({
        matrix: square(held(product!.data as Float32Array, matrix, width)),
      });
      matrix = Float32Array.from(rotation!.data as Float32Array);
    }
    const length = vectors.reduce((sum, value) => sum + value * value, 0);
    return { matrix, lost: [lost[0]! / length, lost[rounds]! / length] };
  } finally {
    for (const each of Object.values(sessions)) await each.release();
    await search.release();
  }
}

async function openRotation(
  width: number,
  parts: number,
  options?: SessionOptions,
): Promise<Record<"turn" | "meet" | "polar", Session>> {
  const open = async (trace: (graph: Graph) => void) => {
    const graph = new Graph();
    trace(graph);
    return openSession(graph, memoryWeights(new Map()), options);
  };
  return {
    turn: await open((graph) => {
      const turned = graph.input("x", ["n", width]).matmul(graph.input("rotation", [width, width]));
      turned.split(1, new Array<number>(parts).fill(width / parts)).forEach((part, i) => {
        graph.output(`part${i}`, part);
      });
    }),
    meet: await open((graph) => {
      graph.output(
        "product",
        graph.input("x", ["n", width]).matmul(graph.input("rounded", ["n", width]), { transA: true }),
      );
    }),
    polar: await open((graph) => {
      // X <- 3/2 X - 1/2 X Xᵀ X drives every singular value below the square root of 3 to 1 (Björck and Bowie, 1971).
      let matrix: Tensor = graph.input("matrix", [width, width]);
      for (let step = 0; step < POLAR_STEPS; step++) {
        const gram = matrix.matmul(matrix, { transA: true });
        matrix = matrix.mul(1.5).sub(matrix.matmul(gram, { scale: 0.5 }));
      }
      graph.output("rotation", matrix);
    }),
  };
}

/** The product at unit Frobenius norm with a little of the previous rotation. */
function held(product: Float32Array, previous: Float32Array, width: number): Float32Array {
  const norm = Math.sqrt(product.reduce((sum, value) => sum + value * value, 0)) || 1;
  return product.map((value, at) => value / norm + (INERTIA / Math.sqrt(width)) * previous[at]!);
}
