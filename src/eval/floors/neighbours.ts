// Nearest neighbours by cosine, as one product, with vectors centred on the known ones' mean.

import { f32 } from "../../runtime/host-tensor.ts";
import { memoryWeights } from "../../runtime/memory-weights.ts";
import { openSession, type Session, type SessionOptions } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";

export interface Ranking {
  /** Labels of the nearest, each once, nearest first. */
  readonly labels: readonly string[];
  /** The nearest row and its cosine. */
  readonly nearest: number;
  readonly cosine: number;
}

const BATCH = 32;
const RANKED = 5;

/** Labelled vectors, ready for queries. */
export class Neighbours {
  readonly #session: Session;
  readonly #labels: readonly string[];
  readonly #mean: Float64Array;
  readonly #deviation: Float64Array | undefined;

  private constructor(session: Session, labels: readonly string[], mean: Float64Array, deviation?: Float64Array) {
    this.#session = session;
    this.#labels = labels;
    this.#mean = mean;
    this.#deviation = deviation;
  }

  /** rows [labels, width]. With `channel` (consecutive numbers per channel) each channel has equal weight. */
  static async open(
    rows: Float32Array,
    labels: readonly string[],
    channel = 0,
    options: SessionOptions = {},
  ): Promise<Neighbours> {
    const width = rows.length / labels.length;
    const mean = new Float64Array(width);
    rows.forEach((value, i) => {
      mean[i % width]! += value / labels.length;
    });
    const deviation = channel > 0 ? channelDeviation(rows, width, channel, mean) : undefined;
    const graph = new Graph();
    const known = graph.params.get("known", [labels.length, width]);
    graph.output("scores", graph.input("queries", [BATCH, width]).matmul(known, { transB: true }));
    const unit = unitRows(rows, mean, deviation);
    const weights = memoryWeights(new Map([["known", f32(unit, [labels.length, width])]]));
    return new Neighbours(await openSession(graph, weights, options), labels, mean, deviation);
  }

  /** rows [n, width] -> one ranking each */
  async rank(rows: Float32Array): Promise<Ranking[]> {
    const width = this.#mean.length;
    const rankings: Ranking[] = [];
    for (let start = 0; start < rows.length; start += BATCH * width) {
      const own = rows.subarray(start, start + BATCH * width);
      const queries = new Float32Array(BATCH * width);
      queries.set(unitRows(own, this.#mean, this.#deviation));
      const { scores } = await this.#session.run({ queries: f32(queries, [BATCH, width]) });
      const data = scores!.data as Float32Array;
      const count = this.#labels.length;
      for (let i = 0; i < own.length / width; i++)
        rankings.push(this.#rankOne(data.subarray(i * count, (i + 1) * count)));
    }
    return rankings;
  }

  #rankOne(scores: Float32Array): Ranking {
    const best = new Map<string, number>();
    let nearest = 0;
    scores.forEach((score, i) => {
      const label = this.#labels[i]!;
      if (score > (best.get(label) ?? Number.NEGATIVE_INFINITY)) best.set(label, score);
      if (score > scores[nearest]!) nearest = i;
    });
    const order = [...best].sort((a, b) => b[1] - a[1]).slice(0, RANKED);
    return { labels: order.map(([label]) => label), nearest, cosine: scores[nearest]! };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/** Deviation of all numbers of a channel around their own means; [width / channel] */
function channelDeviation(rows: Float32Array, width: number, channel: number, mean: Float64Array): Float64Array {
  const squares = new Float64Array(width / channel);
  rows.forEach((value, i) => {
    squares[Math.floor((i % width) / channel)]! += (value - mean[i % width]!) ** 2;
  });
  const count = (rows.length / width) * channel;
  return Float64Array.from({ length: width }, (_, i) =>
    Math.sqrt(Math.max(squares[Math.floor(i / channel)]! / count, 1e-12)),
  );
}

function unitRows(rows: Float32Array, mean: Float64Array, deviation?: Float64Array): Float32Array<ArrayBuffer> {
  const width = mean.length;
  const unit = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += width) {
    let squares = 1e-12;
    for (let i = 0; i < width; i++) {
      const value = (rows[at + i]! - mean[i]!) / (deviation?.[i] ?? 1);
      unit[at + i] = value;
      squares += value * value;
    }
    const length = Math.sqrt(squares);
    for (let i = 0; i < width; i++) unit[at + i]! /= length;
  }
  return unit;
}
