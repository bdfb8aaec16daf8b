// For each of many rows the nearest of many centres, by one matrix product: the largest of x.c - c.c / 2.

import { f32 } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { openSession, type Session, type SessionOptions } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";

/** Rows of one product: its scores against 8,192 centres take 32 MB. */
const BATCH = 1024;

export class NearestCentres {
  readonly #session: Session;
  readonly #width: number;

  private constructor(session: Session, width: number) {
    this.#session = session;
    this.#width = width;
  }

  static async open(width: number, options: SessionOptions = {}): Promise<NearestCentres> {
    const graph = new Graph();
    const scores = graph
      .input("rows", ["n", width])
      .matmul(graph.input("centres", ["k", width]), { transB: true })
      .sub(graph.input("halves", ["k"]));
    graph.output("nearest", scores.argmax());
    return new NearestCentres(await openSession(graph, memoryWeights(new Map()), options), width);
  }

  /** rows [n, width], centres [k, width], flat -> [n], the first of equally near ones. */
  async find(rows: Float32Array, centres: Float32Array): Promise<Int32Array> {
    const width = this.#width;
    const k = centres.length / width;
    const halves = Float32Array.from({ length: k }, (_, c) => {
      let sum = 0;
      for (let j = c * width; j < (c + 1) * width; j++) sum += centres[j]! ** 2 / 2;
      return sum;
    });
    const given = { centres: f32(Float32Array.from(centres), [k, width]), halves: f32(halves, [k]) };
    const nearest = new Int32Array(rows.length / width);
    for (let start = 0; start < nearest.length; start += BATCH) {
      const part = Float32Array.from(rows.subarray(start * width, (start + BATCH) * width));
      const found = await this.#session.run({ ...given, rows: f32(part, [part.length / width, width]) });
      nearest.set(Int32Array.from(found.nearest!.data as Int32Array, Number), start);
    }
    return nearest;
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
