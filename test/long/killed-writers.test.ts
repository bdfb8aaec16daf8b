// Kills at random moments, many times: training resumes with the same numbers and has every step once, a folder that is converted is
// whole or not there, and nothing is left beside it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openModelAt } from "../../src/model/find.node.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { runSchema } from "../../src/train/config.ts";
import { train } from "../../src/train/run.ts";
import { openToyStage } from "../toy-stage.ts";

const KILLS = 25;
const LONG_MS = 600_000;
const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const toyRun = fileURLToPath(new URL("../toy-run.ts", import.meta.url));
const random = counterRandom(1, "kills").sequence();

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-kills-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Runs a program and kills it after a while; true if it came to its end before. */
async function runKilled(args: readonly string[], afterMs: number): Promise<boolean> {
  const child = spawn(process.execPath, args);
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += text;
  });
  child.stdout.resume();
  const timer = setTimeout(() => child.kill("SIGKILL"), afterMs);
  const [status, signal] = await once(child, "close");
  clearTimeout(timer);
  if (signal === null) expect([status, errors]).toEqual([0, ""]);
  return signal === null;
}

test(
  "training, killed again and again and resumed",
  async () => {
    const configure = (name: string) =>
      runSchema.parse({
        stage: "tokenizer",
        description: "a toy",
        folder: join(root, name),
        seed: 5,
        steps: 4000,
        learningRate: { base: 0.05 },
        ema: 0.9,
        logEvery: 1,
        checkpointEvery: 40,
        model: {},
      });
    const config = configure("killed");
    await train(configure("whole"), openToyStage(5));
    const args = ["--import", "tsx", "--conditions=kelix-source", toyRun, JSON.stringify(config), "resume"];
    for (let kills = 0; kills < KILLS; kills++) {
      if (await runKilled(args, 400 + 1600 * random.uniform())) break;
      for (const { name } of (await readCheckpoints(config.folder)).filter(({ name }) => /^step-/.test(name)))
        expect(await readdir(join(config.folder, "checkpoints", name))).toHaveLength(5);
    }
    await train(config, openToyStage(5), { resume: true });
    const losses = async (name: string) =>
      (await readFile(join(root, name, "log.jsonl"), "utf8"))
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { step: number; loss: number })
        .map(({ step, loss }) => [step, loss]);
    expect(await losses("killed")).toEqual(await losses("whole"));
    const weights = (name: string) => readFile(join(root, name, "checkpoints", "step-4000", "average.safetensors"));
    expect(await weights("killed")).toEqual(await weights("whole"));
    expect((await readCheckpoints(config.folder)).map(({ name }) => name)).toEqual(["step-3960", "step-4000"]);
    expect(existsSync(join(config.folder, "train.lock"))).toBe(false);
  },
  LONG_MS,
);

async function readCheckpoints(run: string) {
  const entries = await readdir(join(run, "checkpoints"), { withFileTypes: true }).catch(() => []);
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

test(
  "convert, killed again and again",
  async () => {
    const parent = join(root, "models");
    await mkdir(parent);
    const target = join(parent, "int4");
    const args = [program, "convert", "kelix-nano", target, "--weights", "int4"];
    const started = performance.now();
    expect(await runKilled(args, LONG_MS)).toBe(true);
    const wholeMs = performance.now() - started;
    await rm(target, { recursive: true });
    for (let kills = 0; kills < KILLS; kills++) {
      await runKilled(args, wholeMs * (0.25 + 0.75 * random.uniform()));
      const names = await readdir(parent);
      if (names.length === 0) continue;
      expect(names).toEqual(["int4"]);
      await (await openModelAt(target)).close();
      await rm(target, { recursive: true });
    }
  },
  LONG_MS,
);
