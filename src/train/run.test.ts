// The training loop: an interrupted run resumes with exactly the same losses, and never leaves half a checkpoint.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openToyStage } from "../../test/toy-stage.ts";
import { type RunConfig, runSchema } from "./config.ts";
import { openCheckpointAt } from "./open-checkpoint.ts";
import { train } from "./run.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-run-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const configure = (name: string, extra: object = {}): RunConfig =>
  runSchema.parse({
    stage: "tokenizer",
    description: "a toy",
    folder: join(folder, name),
    seed: 5,
    steps: 12,
    accumulate: 2,
    learningRate: { schedule: "cosine", base: 0.05, warmup: 2 },
    optimizer: { weightDecay: 0.01, clipNorm: 1 },
    ema: 0.9,
    logEvery: 1,
    checkpointEvery: 4,
    model: {},
    ...extra,
  });

const losses = (entries: readonly { step: number; loss: number }[]) => entries.map(({ step, loss }) => [step, loss]);

describe("train", () => {
  test("learns, and logs every step", async () => {
    const entries = await train(configure("plain"), openToyStage(5));
    expect(entries.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(entries.at(-1)!.loss).toBeLessThan(0.5 * entries[0]!.loss);
    expect((await readFile(join(folder, "plain", "log.jsonl"), "utf8")).trim().split("\n")).toHaveLength(12);
  });

  test("goes on after a cut with the same losses, bit for bit", async () => {
    const whole = await train(configure("whole"), openToyStage(5));
    await train(configure("cut"), openToyStage(5), { stopAfter: 7 }); // the last checkpoint is at step 4
    const rest = await train(configure("cut"), openToyStage(5), { resume: true });
    expect(losses(rest)).toEqual(losses(whole.slice(4)));
    const weights = (name: string) => readFile(join(folder, name, "checkpoints", "step-12", "average.safetensors"));
    expect(await weights("cut")).toEqual(await weights("whole"));
  });

  test("goes on with the same losses after its process was killed", async () => {
    const whole = await train(configure("whole", { steps: 40 }), openToyStage(5));
    const killed = configure("killed", { steps: 40 });
    await killWhileTraining(killed);
    const done = (await readdir(join(killed.folder, "checkpoints"))).filter((name) => name.startsWith("step-"));
    expect(done.length).toBeGreaterThan(0);
    const rest = await train(killed, openToyStage(5), { resume: true });
    expect(losses(rest)).toEqual(losses(whole.slice(whole.length - rest.length)));
  });

  test("trains a part on frozen weights of a file, as if they were among what is trained and did not move", async () => {
    await train(configure("base", { steps: 4 }), openToyStage(5));
    const source = join(folder, "base", "checkpoints", "step-4", "model.safetensors");
    const settings = {
      initFrom: [source],
      accumulate: 1,
      optimizer: {},
      learningRate: { schedule: "constant", base: 0.01 },
    };
    const part = await train(configure("part", { ...settings, train: ["^second."] }), openToyStage(5));
    const still = { ...settings, optimizer: { rateFactors: { first: 0 } } };
    expect(losses(part)).toEqual(losses(await train(configure("still", still), openToyStage(5))));
    const saved = await openCheckpointAt(join(folder, "part", "checkpoints", "step-12"));
    expect(saved.names()).toEqual(["second.bias", "second.weight"]);
    await saved.close();
    const cut = configure("cut", { ...settings, train: ["!first"] });
    await train(cut, openToyStage(5), { stopAfter: 7 });
    expect(losses(await train(cut, openToyStage(5), { resume: true }))).toEqual(losses(part.slice(4)));
  });

  test("names what no source has, which starts at random", async () => {
    await train(configure("half", { steps: 2 }), openToyStage(5));
    const source = join(folder, "half", "checkpoints", "step-2", "model.safetensors");
    const part = { initFrom: [source], accumulate: 1, optimizer: {}, train: ["^second."] };
    await train(configure("half-part", part), openToyStage(5));
    const lines: string[] = [];
    const only = join(folder, "half-part", "checkpoints", "step-12", "model.safetensors");
    await train(configure("half-only", { initFrom: [only] }), openToyStage(5), { log: (line) => lines.push(line) });
    expect(lines).toContain("in no source, so new: first.bias (1), first.weight (1)");
  });

  test("names what is frozen and nowhere to be found", async () => {
    const frozen = train(configure("frozen", { train: ["second"] }), openToyStage(5));
    await expect(frozen).rejects.toThrow(/^first.bias does not train, and no checkpoint has it/);
    const nothing = train(configure("nothing", { train: ["third"] }), openToyStage(5));
    await expect(nothing).rejects.toThrow('train: no parameter\'s path matches "third"');
  });

  test("rejects to overwrite a run that was begun", async () => {
    await train(configure("twice"), openToyStage(5));
    await expect(train(configure("twice"), openToyStage(5))).rejects.toThrow(/at step 12.*--resume/);
  });

  test("saves where it is when it is asked to stop", async () => {
    const abort = new AbortController();
    const log = (line: string) => {
      if (line.startsWith("step 5/")) abort.abort();
    };
    await train(configure("stopped"), openToyStage(5), { signal: abort.signal, log });
    expect(await readdir(join(folder, "stopped", "checkpoints"))).toEqual(["step-4", "step-5"]);
  });
});

/** Starts the run in a process of its own and kills it after its second checkpoint. */
async function killWhileTraining(config: RunConfig): Promise<void> {
  const script = fileURLToPath(new URL("../../test/toy-run.ts", import.meta.url));
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "--conditions=kelix-source", script, JSON.stringify(config)],
    {
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  const ended = new Promise((resolve) => child.on("exit", resolve));
  for (let waited = 0; waited < 60_000; waited += 20) {
    const names: string[] = await readdir(join(config.folder, "checkpoints")).catch(() => []);
    if (names.includes("step-8")) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill("SIGKILL");
  await ended;
}
