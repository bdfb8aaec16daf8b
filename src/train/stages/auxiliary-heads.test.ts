// The heads' losses against their formulas, and their slopes against differences.

import { describe, expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import { f32 } from "../../runtime/host-tensor.ts";
import { Graph } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { gradients } from "../autodiff/gradients.ts";
import type { Sample } from "../data/corpus.ts";
import { CHARACTERS } from "../data/fonts.ts";
import { openTrainingSession } from "../training-session.ts";
import { classificationFeeds, latentLoss, letterLoss, teacherLoss } from "./auxiliary-heads.ts";

const [M, D, W] = [4, 6, 5];
const random = counterRandom(9, "heads");
const normal = (name: string, n: number) => Float32Array.from({ length: n }, (_, i) => random.fork(name).normal(i));

/** The loss, and the slope by one number of the embeddings beside the difference quotient. */
async function checkSlope(
  build: (graph: Graph, embeddings: Tensor, wanted: Tensor) => Tensor,
  wanted: Float32Array<ArrayBuffer>,
) {
  const graph = new Graph();
  const embeddings = graph.params.get("embeddings", [M, D]);
  const loss = build(graph, embeddings, graph.input("wanted", [M, W]));
  graph.output("loss", loss);
  graph.output("slope", gradients(loss, [embeddings])[0]!);
  const session = await openTrainingSession(graph);
  const feeds = Object.fromEntries(
    [...graph.parameters.values()].map(({ path, shape }) => [
      path,
      f32(
        normal(
          path,
          shape.reduce((a, b) => a * b, 1),
        ),
        shape,
      ),
    ]),
  );
  const letters = Int32Array.of(0, 5, 0, CHARACTERS.length - 1);
  const given = {
    ...feeds,
    wanted: f32(wanted, [M, W]),
    letterLabels: { dtype: "i32", shape: [M], data: letters } as const,
    letterWeights: f32(Float32Array.of(0, 0.5, 0, 0.5), [M]),
  };
  const at = (shift: number) => {
    const moved = Float32Array.from(feeds.embeddings!.data as Float32Array);
    moved[7]! += shift;
    return session.run({ ...given, embeddings: f32(moved, [M, D]) });
  };
  const [low, middle, high] = [await at(-0.01), await at(0), await at(0.01)];
  await session.release();
  const value = (result: typeof low) => Number(result.loss!.data[0]);
  return { loss: value(middle), slope: Number(middle.slope!.data[7]), quotient: (value(high) - value(low)) / 0.02 };
}

describe("losses of the heads", () => {
  test("latents: a mean squared error, with its slope", async () => {
    const { loss, slope, quotient } = await checkSlope(latentLoss, normal("wanted", M * W));
    expect(loss).toBeGreaterThan(0);
    expect(slope).toBeCloseTo(quotient, 1);
  });

  test("teacher: 1 - cosine, whatever the length of what the head says, with its slope", async () => {
    const unit = Float32Array.from({ length: M * W }, (_, i) => (i % W === 0 ? 1 : 0));
    const { loss, slope, quotient } = await checkSlope(teacherLoss, unit);
    expect(loss).toBeGreaterThan(0);
    expect(loss).toBeLessThan(2);
    expect(slope).toBeCloseTo(quotient, 3);
    const opposite = await checkSlope(
      teacherLoss,
      Float32Array.from(unit, (value) => -value),
    );
    expect(loss + opposite.loss).toBeCloseTo(2, 4);
  });

  test("letters: positions without a letter have no part in it", async () => {
    const { slope, quotient } = await checkSlope(
      (graph, embeddings) => letterLoss(graph, embeddings),
      normal("w", M * W),
    );
    expect(slope).toBeCloseTo(quotient, 2);
    expect(slope).not.toBe(0);
  });
});

test("a batch's labels are those of its images, and weigh 1 together", () => {
  const image = { width: 96, height: 96, data: new Uint8Array(96 * 96 * 3) };
  const turn = { question: "", answer: "" };
  const plain = { image, caption: "", describe: turn, prompt: "" };
  const scene = { kind: "group", objects: [{ shape: "star", colour: "blue" }] } as unknown as Sample["scene"];
  const lettering = {
    letters: [{ character: "B", x: 2, y: 14, advance: 10 }],
    size: 16,
  } as unknown as NonNullable<Sample["lettering"]>;
  const items: Sample[] = [
    { ...plain, concept: { hexcode: "1F34E", name: "", caption: "", style: "noto", row: 0 } },
    { ...plain, scene },
    { ...plain, lettering, colour: "white" },
  ];
  const feeds = classificationFeeds(items, ["1F34D", "1F34E"], 6);
  const said = (name: string) => [...(feeds[name]!.data as Int32Array)];
  expect([said("conceptLabels"), said("conceptWeights")]).toEqual([
    [1, 0, 0],
    [1, 0, 0],
  ]);
  expect([said("shapeLabels"), said("shapeWeights")]).toEqual([
    [0, 3, 0],
    [0, 1, 0],
  ]);
  expect([said("colourLabels"), said("colourWeights")]).toEqual([
    [0, 2, 7],
    [0, 0.5, 0.5],
  ]);
  expect(said("letterLabels")[72]).toBe(CHARACTERS.indexOf("B"));
  expect(said("letterWeights").reduce((a, b) => a + b)).toBe(1);
});
