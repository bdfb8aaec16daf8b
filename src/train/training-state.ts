// Checkpoints of a training run: parameters, moments and running average, to go on from bit for bit.
// Each is a folder written under a temporary name and renamed when whole, so that a kill leaves the previous one.

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensors, writeSafetensors } from "../checkpoint/safetensors.ts";
import { ModelError } from "../errors.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { ParameterStore, Region } from "./parameter-store.ts";

/** Complete checkpoints kept: the last, and one before it in case the last turns out bad. */
const KEPT = 2;

const files: readonly (readonly [Region, string])[] = [
  ["values", "model.safetensors"],
  ["firstMoments", "first-moments.safetensors"],
  ["secondMoments", "second-moments.safetensors"],
  ["average", "average.safetensors"],
];

/** Saves the state after `step` updates; returns the checkpoint's folder. */
export async function writeTrainingState(run: string, step: number, store: ParameterStore): Promise<string> {
  const root = join(run, "checkpoints");
  const folder = join(root, `step-${step}`);
  const temporary = join(root, `.step-${step}.tmp`);
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  try {
    for (const [region, name] of files) {
      if (region === "average" && !store.averages) continue;
      await writeSafetensors(join(temporary, name), tensors(store, region), { step: String(step) });
    }
    await writeFile(join(temporary, "state.json"), `${JSON.stringify({ step })}\n`);
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  const old = (await listCheckpoints(run)).slice(0, -KEPT);
  for (const checkpoint of old) await rm(checkpoint.folder, { recursive: true, force: true });
  return folder;
}

/** Fills the store from a checkpoint; returns the number of updates behind it. Throws a ModelError when it does not fit the config. */
export async function readTrainingState(folder: string, store: ParameterStore, steps: number): Promise<number> {
  const { step } = JSON.parse(await readFile(join(folder, "state.json"), "utf8")) as { step: number };
  if (step > steps)
    throw new ModelError(`${folder} is at step ${step}, the config ends at ${steps}: nothing is left to train`);
  for (const [region, name] of files) {
    if (region === "average" && !store.averages) continue;
    const file = await openSafetensors(join(folder, name));
    try {
      for (const { path, isFrozen } of store.parameters.values()) {
        if (region === "values" || !isFrozen) store.set(region, path, await file.read(path));
      }
    } finally {
      await file.close();
    }
  }
  return step;
}

/** The furthest complete checkpoint of a run, if there is one. */
export async function latestCheckpoint(run: string): Promise<{ folder: string; step: number } | undefined> {
  return (await listCheckpoints(run)).at(-1);
}

async function listCheckpoints(run: string): Promise<{ folder: string; step: number }[]> {
  const root = join(run, "checkpoints");
  const names = await readdir(root).catch(() => []);
  return names
    .flatMap((name) => {
      const match = /^step-(\d+)$/.exec(name);
      return match ? [{ folder: join(root, name), step: Number(match[1]) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

function* tensors(store: ParameterStore, region: Region): Iterable<[string, HostTensor]> {
  for (const { path, isFrozen } of store.parameters.values()) {
    if (region === "values" || !isFrozen) yield [path, store.tensor(region, path)];
  }
}
