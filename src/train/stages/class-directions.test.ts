import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSafetensors } from "../../quantize/safetensors-file.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32 } from "../../runtime/host-tensor.ts";
import { openCheckpointAt } from "../open-checkpoint.ts";
import { classDirections } from "./class-directions.ts";

const D = 6;
const none = { concept: 0, shape: 0, colour: 0, letter: 0 };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-directions-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("differences through the map are the heads' differences, each head at its weight", async () => {
  const random = counterRandom(5, "heads").sequence();
  const draw = (length: number) => Float32Array.from({ length }, () => random.normal());
  const [concept, shape, gain] = [draw(9 * D), draw(4 * D), draw(D)];
  const path = join(folder, "heads.safetensors");
  await writeSafetensors(
    path,
    new Map([
      ["concept_head.fc.weight", f32(concept, [9, D])],
      ["concept_head.norm.weight", f32(gain, [D])],
      ["shape_head.fc.weight", f32(shape, [4, D])],
      ["shape_head.norm.weight", f32(gain, [D])],
    ]),
  );
  const checkpoint = await openCheckpointAt(path);
  const map = (await classDirections(checkpoint, D, { ...none, concept: 2, shape: 0.5 }))!;
  const difference = draw(D);
  const through = Array.from({ length: D }, (_, o) => difference.reduce((sum, x, i) => sum + x * map[i * D + o]!, 0));
  const scores = (matrix: Float32Array) => {
    const scaled = matrix.map((value, at) => value * gain[at % D]!);
    const size = scaled.reduce((sum, value) => sum + value ** 2, 0);
    let squares = 0;
    for (let c = 0; c < scaled.length; c += D) {
      squares += difference.reduce((sum, x, i) => sum + x * scaled[c + i]!, 0) ** 2;
    }
    return squares / size;
  };
  const wanted = 2 * scores(concept) + 0.5 * scores(shape);
  expect(Math.abs(Math.hypot(...through) ** 2 / wanted - 1)).toBeLessThan(1e-4);
  expect(await classDirections(checkpoint, D, none)).toBeUndefined();
  expect(await classDirections(checkpoint, D + 1, { ...none, concept: 1 })).toBeUndefined();
  await checkpoint.close();
});
