// A run's folder: one process at a time, files of one run, nothing lost and nothing twice.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openToyStage } from "../../test/toy-stage.ts";
import { type RunConfig, runSchema } from "./config.ts";
import { train } from "./run.ts";
import { RunFolder } from "./run-folder.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-folder-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const configure = (extra: object = {}): RunConfig =>
  runSchema.parse({
    stage: "tokenizer",
    description: "a toy",
    folder: join(root, "run"),
    seed: 5,
    steps: 8,
    learningRate: { base: 0.05 },
    logEvery: 1,
    checkpointEvery: 4,
    model: {},
    ...extra,
  });
const steps = async (path: string) =>
  (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { step: number }).step);

test("belongs to one run at a time, new or resumed", async () => {
  const config = configure();
  await train(config, openToyStage(5), { stopAfter: 4 });
  const owner = await RunFolder.open(config, { resume: true });
  try {
    for (const resume of [true, false])
      await expect(train(config, openToyStage(5), { resume })).rejects.toThrow(
        `${config.folder}: another process is already training here. Wait until it ends, or name another folder`,
      );
  } finally {
    await owner.close();
  }
  await train(config, openToyStage(5), { resume: true });
});

test("is rejected before its stage is opened, which may take minutes", async () => {
  const config = configure();
  await train(config, openToyStage(5), { stopAfter: 4 });
  const open = () => Promise.reject(new Error("the stage was opened"));
  await expect(train(config, open)).rejects.toThrow(/--resume/);
  await expect(train(configure({ seed: 6 }), open, { resume: true })).rejects.toThrow(/seed 5, the config says 6/);
  await expect(train(configure({ folder: join(root, "new"), initFrom: [root] }), open)).rejects.toThrow(root);
});

test("has every step once after a cut, in the log and among the samples' numbers, and no leftovers", async () => {
  const config = configure({ steps: 12, sampleEvery: 2 });
  const stage = { ...openToyStage(5), samples: async () => ({ psnr: 1 }) };
  await train(config, stage, { stopAfter: 7 }); // the last checkpoint is at step 4
  const log = join(config.folder, "log.jsonl");
  await writeFile(log, `${await readFile(log, "utf8")}{"step":8,"lo`);
  await mkdir(join(config.folder, "checkpoints", ".step-8.tmp"));
  await writeFile(join(config.folder, ".kelix-0b1c2d3e4f50.tmp"), "cut");
  await train(config, stage, { resume: true });
  expect(await steps(log)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  expect(await steps(join(config.folder, "samples", "numbers.jsonl"))).toEqual([2, 4, 6, 8, 10, 12]);
  expect(await readdir(join(config.folder, "checkpoints"))).toEqual(["step-12", "step-8"]);
  expect((await readdir(config.folder)).sort()).toEqual([
    "checkpoints",
    "config.json",
    "log.jsonl",
    "report.html",
    "samples",
  ]);
});

test("goes on with more steps and another rate, and says so; with what was accepted too", async () => {
  await train(configure(), openToyStage(5));
  const lines: string[] = [];
  const more = configure({ steps: 10, learningRate: { base: 0.01 } });
  await train(more, openToyStage(5), { resume: true, log: (line) => lines.push(line) });
  expect(lines).toContain("steps was 8 and is now 10");
  const other = configure({ steps: 12, seed: 6 });
  await train(other, openToyStage(6), { resume: true, acceptChanges: true, log: (line) => lines.push(line) });
  expect(lines).toContain("seed was 5 and is now 6");
  expect(await steps(join(more.folder, "log.jsonl"))).toHaveLength(12);
});

test("a stage is told which parameters its run was given, so that it prepares the others alone", async () => {
  const first = configure();
  await train(first, openToyStage(5));
  const given: ReadonlySet<string>[] = [];
  const prepare = async (_: unknown, __: unknown, paths: ReadonlySet<string>) => void given.push(paths);
  const source = join(first.folder, "checkpoints", "step-8", "model.safetensors");
  const next = configure({ folder: join(first.folder, "next"), initFrom: [source], steps: 1 });
  await train(next, { ...openToyStage(5), prepare });
  await train(configure({ folder: join(first.folder, "fresh"), steps: 1 }), { ...openToyStage(5), prepare });
  expect(given.map((paths) => paths.size > 0)).toEqual([true, false]);
});

test("names the checkpoint before one that is damaged", async () => {
  const config = configure();
  await train(config, openToyStage(5));
  const last = join(config.folder, "checkpoints", "step-8");
  await writeFile(join(last, "state.json"), "{}");
  const more = configure({ steps: 12 });
  await expect(train(more, openToyStage(5), { resume: true })).rejects.toThrow(`remove ${last} to resume from step 4`);
  await rm(last, { recursive: true });
  await train(more, openToyStage(5), { resume: true });
  expect(await steps(join(config.folder, "log.jsonl"))).toHaveLength(12);
});

test("is not there if nothing came of it", async () => {
  const open = () => Promise.reject(new Error("no corpus"));
  await expect(train(configure({ folder: join(root, "a", "b") }), open)).rejects.toThrow("no corpus");
  expect(await readdir(root)).toEqual([]);
});

test("keeps what was learned when samples fail", async () => {
  const config = configure({ sampleEvery: 3 });
  const stage = { ...openToyStage(5), samples: () => Promise.reject(new Error("no room for samples")) };
  await expect(train(config, stage)).rejects.toThrow("no room for samples");
  expect(await readdir(join(config.folder, "checkpoints"))).toEqual(["step-3"]);
});

test("says in a sentence what the system refuses", async () => {
  const file = join(root, "file");
  await writeFile(file, "");
  for (const folder of [file, join(file, "run"), join(root, "n".repeat(300))])
    await expect(train(configure({ folder }), openToyStage(5))).rejects.toThrow(/could not be written: /);
});
