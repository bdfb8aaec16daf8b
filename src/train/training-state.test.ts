// A checkpoint is believed only where all its files say the same.

import { mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { ParameterStore } from "./parameter-store.ts";
import { latestCheckpoint, readTrainingState, writeTrainingState } from "./training-state.ts";

let run: string;
let folder: string;
const createStore = () =>
  new ParameterStore([{ path: "a", shape: [3], init: { kind: "constant", value: 1 } }], { averages: true });
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), "kelix-state-"));
  folder = await writeTrainingState(run, 4, createStore());
});
afterEach(() => rm(run, { recursive: true, force: true }));

const files = ["model", "first-moments", "second-moments", "average"].map((name) => `${name}.safetensors`);

test("comes back as it was saved", async () => {
  const store = createStore();
  store.view("values", "a").set([1, 2, 3]);
  store.view("average", "a").set([4, 5, 6]);
  await writeTrainingState(run, 5, store);
  const other = createStore();
  expect(await readTrainingState(join(run, "checkpoints", "step-5"), other, 10)).toBe(5);
  expect([...other.view("values", "a"), ...other.view("average", "a")]).toEqual([1, 2, 3, 4, 5, 6]);
});

test("is replaced by another of the same step, and nothing else remains", async () => {
  await writeTrainingState(run, 4, createStore());
  expect(await readdir(join(run, "checkpoints"))).toEqual(["step-4"]);
});

test.each([
  ["{}"],
  ["null"],
  ["4"],
  ["[4]"],
  ['"4"'],
  ['{"step":null}'],
  ['{"step":"4"}'],
  ['{"step":true}'],
  ['{"step":[4]}'],
  ['{"step":{}}'],
  ['{"step":-4}'],
  ['{"step":4.5}'],
  ['{"step":5}'],
  ['{"step":0}'],
  ['{"step":1e99}'],
  ['{"step":4,"other":1}'],
  ['{"step":4'],
  [""],
])("does not believe a state.json of %s", async (text) => {
  const path = join(folder, "state.json");
  await writeFile(path, text);
  const error = await readTrainingState(folder, createStore(), 100).catch((error: Error) => error);
  expect(error).toMatchObject({ name: expect.stringMatching(/^(Input|Model)Error$/) });
  expect((error as Error).message).toContain(path);
});

test("is not believed under the name of another step", async () => {
  const other = join(run, "checkpoints", "step-3");
  await rename(folder, other);
  await expect(readTrainingState(other, createStore(), 100)).rejects.toThrow(/is from step 4, its folder from another/);
});

test.each(files)("is not believed where %s is of another step, of none, or of another model", async (name) => {
  const path = join(folder, name);
  const write = (step: string | undefined, tensors: Record<string, number>) =>
    writeSafetensors(
      path,
      Object.entries(tensors).map(([tensor, n]) => [tensor, f32(new Float32Array(n), [n])]),
      step === undefined ? {} : { step },
    );
  const read = () => readTrainingState(folder, createStore(), 100);
  await write("4", { a: 3 });
  expect(await read()).toBe(4);
  await write("5", { a: 3 });
  await expect(read()).rejects.toThrow(`${path} is from step "5", its folder from step 4: the checkpoint is damaged`);
  await write(undefined, { a: 3 });
  await expect(read()).rejects.toThrow(/is from no step/);
  await write("4", { a: 4 });
  await expect(read()).rejects.toThrow(`${path}: "a" is f32 [4], the config expects f32 [3]`);
  await write("4", { a: 3, b: 1 });
  await expect(read()).rejects.toThrow(/contains "b", which the config does not train/);
  await write("4", {});
  await expect(read()).rejects.toThrow(/"a" is missing/);
});

test("is found only where a folder has a step's name", async () => {
  for (const name of ["step-007", "step-9".padEnd(40, "9"), "step-8.tmp", "step-x"])
    await writeTrainingState(join(run, name), 1, createStore()).then((made) =>
      rename(made, join(run, "checkpoints", name)),
    );
  await writeFile(join(run, "checkpoints", "step-99"), "a file");
  expect((await latestCheckpoint(run))?.step).toBe(4);
  expect(await latestCheckpoint(join(run, "none"))).toBeUndefined();
});
