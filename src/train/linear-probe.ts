// Two probes of image features: ridge regression from each position to its pixels (appearance), and the
// nearest training drawing by cosine over all positions (identity). Sums run as graphs; the small system is solved here.

import { f32 } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { openSession, type Session } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";

/** Features [n, width] and pixels [n, outputs] of some images' positions. */
export interface ProbePart {
  readonly features: Float32Array;
  readonly pixels: Float32Array;
}

/** Relative to the mean of the features' squares, as usual in ridge regression. */
const RIDGE = 1e-3;

/** A linear map with an offset, fitted incrementally and then applied. */
export class RidgeProbe {
  readonly #width: number;
  readonly #outputs: number;
  readonly #sums: Session;
  readonly #gram: Float64Array; // [width+1, width+1]
  readonly #moments: Float64Array; // [width+1, outputs]

  private constructor(width: number, outputs: number, sums: Session) {
    this.#width = width;
    this.#outputs = outputs;
    this.#sums = sums;
    this.#gram = new Float64Array((width + 1) ** 2);
    this.#moments = new Float64Array((width + 1) * outputs);
  }

  static async open(width: number, outputs: number): Promise<RidgeProbe> {
    const graph = new Graph();
    const x = graph.input("x", ["n", width + 1]);
    graph.output("gram", x.matmul(x, { transA: true }));
    graph.output("moments", x.matmul(graph.input("y", ["n", outputs]), { transA: true }));
    return new RidgeProbe(width, outputs, await openSession(graph, memoryWeights(new Map())));
  }

  async add({ features, pixels }: ProbePart): Promise<void> {
    const n = features.length / this.#width;
    const { gram, moments } = await this.#sums.run({
      x: f32(withOne(features, this.#width), [n, this.#width + 1]),
      y: f32(pixels as Float32Array<ArrayBuffer>, [n, this.#outputs]),
    });
    gram!.data.forEach((value, i) => {
      this.#gram[i]! += Number(value);
    });
    moments!.data.forEach((value, i) => {
      this.#moments[i]! += Number(value);
    });
  }

  /** Ends fitting and returns the map [width + 1, outputs]; its last row is the offset. */
  async weights(): Promise<Float32Array<ArrayBuffer>> {
    await this.#sums.release();
    const size = this.#width + 1;
    const gram = Float64Array.from(this.#gram);
    let trace = 0;
    for (let i = 0; i < size; i++) trace += gram[i * size + i]! / size;
    for (let i = 0; i < size; i++) gram[i * size + i]! += RIDGE * trace;
    return solveSymmetric(gram, this.#moments, size, this.#outputs);
  }

  /** Sums over all rows so far of products of features with an appended 1: [width + 1, width + 1]. */
  get gram(): Float64Array {
    return this.#gram;
  }

  /** The fitted map as a function: features [n, width] -> [n, outputs]. */
  async solve(): Promise<(features: Float32Array) => Promise<Float32Array<ArrayBuffer>>> {
    return applyLinear(await this.weights(), this.#width, this.#outputs);
  }
}

/** weights [width + 1, outputs], the last row an offset -> the map from features [n, width] to [n, outputs]. */
export async function applyLinear(
  weights: Float32Array<ArrayBuffer>,
  width: number,
  outputs: number,
): Promise<(features: Float32Array) => Promise<Float32Array<ArrayBuffer>>> {
  const graph = new Graph();
  const x = graph.input("x", ["n", width + 1]);
  graph.output("y", x.matmul(graph.constant(weights, [width + 1, outputs])));
  const session = await openSession(graph, memoryWeights(new Map()));
  return async (features) => {
    const n = features.length / width;
    const { y } = await session.run({ x: f32(withOne(features, width), [n, width + 1]) });
    return y!.data as Float32Array<ArrayBuffer>;
  };
}

function withOne(features: Float32Array, width: number): Float32Array<ArrayBuffer> {
  const rows = new Float32Array((features.length / width) * (width + 1));
  for (let from = 0, to = 0; from < features.length; from += width, to += width + 1) {
    rows.set(features.subarray(from, from + width), to);
    rows[to + width] = 1;
  }
  return rows;
}

/** Solves A X = B for a symmetric positive definite A [n, n] and B [n, m], by Cholesky; A is overwritten. */
export function solveSymmetric(a: Float64Array, b: Float64Array, n: number, m: number): Float32Array<ArrayBuffer> {
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = a[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= a[i * n + k]! * a[j * n + k]!;
      a[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-30)) : sum / a[j * n + j]!;
    }
  }
  const x = Float64Array.from(b);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) subtractRow(x, i, k, a[i * n + k]!, m);
    for (let c = 0; c < m; c++) x[i * m + c]! /= a[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) subtractRow(x, i, k, a[k * n + i]!, m);
    for (let c = 0; c < m; c++) x[i * m + c]! /= a[i * n + i]!;
  }
  return Float32Array.from(x);
}

function subtractRow(x: Float64Array, i: number, k: number, factor: number, m: number): void {
  for (let c = 0; c < m; c++) x[i * m + c]! -= factor * x[k * m + c]!;
}

export interface LabelledRows {
  readonly rows: Float32Array;
  readonly labels: readonly string[];
}

/** Share of the queries whose nearest known vector, by cosine around the known vectors' mean, has the same label. Rows of `width`. */
export async function nearestShare(known: LabelledRows, queries: LabelledRows, width: number): Promise<number> {
  const count = known.labels.length;
  const mean = new Float64Array(width);
  for (let at = 0; at < known.rows.length; at += width) {
    for (let i = 0; i < width; i++) mean[i]! += known.rows[at + i]! / count;
  }
  const graph = new Graph();
  const scores = graph.input("queries", ["q", width]).matmul(graph.input("known", ["k", width]), { transB: true });
  graph.output("nearest", scores.argmax());
  const session = await openSession(graph, memoryWeights(new Map()));
  const { nearest } = await session.run({
    queries: f32(unitRows(queries.rows, mean), [queries.labels.length, width]),
    known: f32(unitRows(known.rows, mean), [count, width]),
  });
  await session.release();
  const right = queries.labels.filter((label, i) => known.labels[Number(nearest!.data[i])] === label).length;
  return right / queries.labels.length;
}

function unitRows(rows: Float32Array, mean: Float64Array): Float32Array<ArrayBuffer> {
  const width = mean.length;
  const unit = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += width) {
    let squares = 1e-12;
    for (let i = 0; i < width; i++) {
      const value = rows[at + i]! - mean[i]!;
      unit[at + i] = value;
      squares += value * value;
    }
    const length = Math.sqrt(squares);
    for (let i = 0; i < width; i++) unit[at + i]! /= length;
  }
  return unit;
}
