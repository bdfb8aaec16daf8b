// Checkpoints of a training run: trained parameters, moments and running average, to resume bit for bit.
// Each is a folder written under a temporary name and renamed when complete, so that a kill leaves the previous one.

import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod";
import { readJson } from "../checkpoint/json-file.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { ModelError, quote } from "../errors.ts";
import { fileAt } from "../files/folder.node.ts";
import { systemReason } from "../files/system-error.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { whileWriting } from "../output/while-writing.ts";
import { openSafetensorsAt, writeSafetensors } from "../quantize/safetensors-file.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { ParameterStore, Region, StoredParameter } from "./parameter-store.ts";
import { parseSettings } from "./settings.ts";

/** Complete checkpoints kept: the last, and the one before in case the last is damaged. */
const KEPT = 2;

const files: readonly (readonly [Region, string])[] = [
  ["values", "model.safetensors"],
  ["firstMoments", "first-moments.safetensors"],
  ["secondMoments", "second-moments.safetensors"],
  ["average", "average.safetensors"],
];

const stateSchema = z.strictObject({ step: z.int().min(0) });

/** A complete checkpoint. */
export interface CheckpointFolder {
  readonly folder: string;
  readonly step: number;
}

/** Saves the state after `step` updates; returns the checkpoint's folder. If that fails, earlier ones remain. */
export async function writeTrainingState(run: string, step: number, store: ParameterStore): Promise<string> {
  const root = join(run, "checkpoints");
  const folder = join(root, `step-${step}`);
  const temporary = join(root, `.step-${step}.tmp`);
  const replaced = join(root, `.step-${step}.old`);
  await whileWriting(folder, async () => {
    await rm(temporary, { recursive: true, force: true });
    await makeFolder(temporary);
    try {
      for (const [region, name] of filesOf(store)) {
        await writeSafetensors(join(temporary, name), tensors(store, region), { step: String(step) });
      }
      await writeFile(join(temporary, "state.json"), `${JSON.stringify({ step })}\n`, { flush: true });
      await rename(folder, replaced).catch(() => undefined); // usually there is none
      await rename(temporary, folder);
      await rm(replaced, { recursive: true, force: true });
    } catch (error) {
      await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
      throw error;
    }
    const old = (await listCheckpoints(run)).slice(0, -KEPT);
    for (const checkpoint of old) await rm(checkpoint.folder, { recursive: true, force: true });
  });
  return folder;
}

/**
 * Fills the store from a checkpoint; returns how many updates it has. Throws a ModelError if its files are not all from the
 * step of the folder's name, or do not fit the config.
 */
export async function readTrainingState(folder: string, store: ParameterStore, steps: number): Promise<number> {
  const path = join(folder, "state.json");
  const { step } = parseSettings(stateSchema, await readJson(...fileAt(path)), path);
  if (basename(folder) !== `step-${step}`)
    throw new ModelError(`${path} is from step ${step}, its folder from another: the checkpoint is damaged`);
  if (step > steps)
    throw new ModelError(`${folder} is at step ${step}, the config ends at ${steps}: nothing is left to train`);
  for (const [region, name] of filesOf(store)) {
    const file = await openSafetensorsAt(join(folder, name));
    try {
      const wanted = [...store.parameters.values()];
      check(file, wanted, step);
      for (const { path } of wanted) store.set(region, path, await file.read(path));
    } finally {
      await file.close();
    }
  }
  return step;
}

/** Throws a ModelError unless a file is of the step and holds exactly these parameters. */
function check(
  { file: { name: path }, tensors, metadata }: SafetensorsFile,
  wanted: readonly StoredParameter[],
  step: number,
): void {
  if (metadata.step !== String(step)) {
    const found = metadata.step === undefined ? "from no step" : `from step ${quote(metadata.step)}`;
    throw new ModelError(`${path} is ${found}, its folder from step ${step}: the checkpoint is damaged`);
  }
  const names = new Set(wanted.map(({ path }) => path));
  const stranger = [...tensors.keys()].find((name) => !names.has(name));
  if (stranger !== undefined)
    throw new ModelError(
      `${path}: contains ${quote(stranger)}, which the config does not train. Is it from another model?`,
    );
  for (const { path: name, shape } of wanted) {
    const found = tensors.get(name);
    if (found && found.dtype === "f32" && found.shape.join() === shape.join()) continue;
    const what = found ? `is ${found.dtype} [${found.shape}]` : "is missing";
    throw new ModelError(`${path}: ${quote(name)} ${what}, the config expects f32 [${shape}]`);
  }
}

/** The latest complete checkpoint of a run, if any. */
export async function latestCheckpoint(run: string): Promise<CheckpointFolder | undefined> {
  return (await listCheckpoints(run)).at(-1);
}

/** The complete checkpoints of a run, latest last. */
export async function listCheckpoints(run: string): Promise<CheckpointFolder[]> {
  const root = join(run, "checkpoints");
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new ModelError(`${root}: cannot be read, ${systemReason(error)}`, { cause: error });
  });
  return entries
    .flatMap((entry) => {
      const match = /^step-(0|[1-9]\d{0,14})$/.exec(entry.name);
      return match && entry.isDirectory() ? [{ folder: join(root, entry.name), step: Number(match[1]) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

/** The files of a checkpoint; the running average's only if there is one. */
function filesOf(store: ParameterStore): readonly (readonly [Region, string])[] {
  return files.filter(([region]) => region !== "average" || store.averages);
}

function* tensors(store: ParameterStore, region: Region): Iterable<[string, HostTensor]> {
  for (const path of store.parameters.keys()) yield [path, store.tensor(region, path)];
}
