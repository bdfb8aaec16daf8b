import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RgbImage } from "../image/rgb.ts";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { counterRandom } from "../random/counter.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { openSession } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import { ParameterStore, valuesOf } from "./parameter-store.ts";
import { TEACHER_WIDTH, teacherMap } from "./teacher.ts";
import { centreAndNorm, VisionTargets } from "./vision-targets.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-targets-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const random = counterRandom(4, "targets");
const image = (name: number): RgbImage => ({
  width: 32,
  height: 32,
  data: Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => random.fork(name).integer(i, 256)),
});

function drawnTeacher(pixels: readonly number[]) {
  const graph = new Graph();
  graph.output("map", teacherMap(graph.params, graph.input("pixels", pixels)));
  const store = new ParameterStore(graph.parameters.values());
  for (const { path, shape } of store.parameters.values()) {
    const values = random.fork(path).fillNormal(store.view("values", path));
    const fanIn = shape.slice(1).reduce((a, b) => a * b, 1);
    for (let i = 0; i < values.length; i++) values[i]! *= Math.sqrt(2 / fanIn) / (shape.length === 1 ? 10 : 1);
  }
  return { graph, tensors: valuesOf(store) };
}

describe("teacherMap", () => {
  test("has the grid of positions of 16 pixels, and the odd half of each margin after", async () => {
    const { graph, tensors } = drawnTeacher([1, 3, 96, 96]);
    expect(graph.outputs.get("map")!.shape).toEqual([1, TEACHER_WIDTH, 6, 6]);
    // A first convolution that copies the last pixel of its window shows where the window lies.
    const stem = new Graph();
    const weight = new Float32Array(32 * 3 * 9);
    weight[8] = 1;
    tensors.set("stem.weight", f32(weight, [32, 3, 3, 3]));
    const all = teacherMap(stem.params, stem.input("pixels", [1, 3, 96, 96]));
    stem.output("map", all);
    const session = await openSession(stem, memoryWeights(tensors));
    const show = async (row: number) => {
      const pixels = new Float32Array(3 * 96 * 96).fill(-1);
      pixels.fill(1, row * 96, (row + 1) * 96);
      return [...((await session.run({ pixels: f32(pixels, [1, 3, 96, 96]) })).map!.data as Float32Array)];
    };
    const plain = await show(-1);
    expect(await show(2)).not.toEqual(plain); // the last row of the first window, 0 to 2
    expect(await show(3)).toEqual(plain);
    await session.release();
  });
});

describe("VisionTargets", () => {
  test("gives rows of unit length, alike for an image in any batch", async () => {
    const { tensors } = drawnTeacher([1, 3, 32, 32]);
    const teacher = join(folder, "teacher.safetensors");
    await writeSafetensors(teacher, tensors);
    const sample = [0, 1, 2].map((i) => [image(2 * i), image(2 * i + 1)]);
    const targets = await VisionTargets.open({ teacher }, sample);
    const first = (await targets.of([image(0), image(9)])).teacher!;
    const second = (await targets.of([image(5), image(0)])).teacher!;
    await targets.release();
    expect(first.shape).toEqual([2 * 4, TEACHER_WIDTH]);
    const [a, b] = [first.data as Float32Array, second.data as Float32Array];
    for (let row = 0; row < 4; row++) {
      const values = a.subarray(row * TEACHER_WIDTH, (row + 1) * TEACHER_WIDTH);
      expect(values.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 4);
      const again = b.subarray((4 + row) * TEACHER_WIDTH, (5 + row) * TEACHER_WIDTH);
      values.forEach((value, i) => {
        expect(again[i]).toBeCloseTo(value, 3);
      });
    }
  });
});

test("centreAndNorm takes half of an image's own mean away", () => {
  const rows = Float32Array.of(4, 0, 0, 4, /* the next image */ 1, 1, 1, 1);
  centreAndNorm(rows, 2, 2);
  const length = Math.hypot(3, 1);
  const expected = [3 / length, -1 / length, -1 / length, 3 / length, ...new Array<number>(4).fill(Math.SQRT1_2)];
  rows.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 5);
  });
});
