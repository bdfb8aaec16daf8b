// What a parity case is: a folder of the reference's numbers, and how to compute the same tensors here.

import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import type { OnUnknown } from "../../src/checkpoint/parse-config.ts";
import { readSafetensors } from "../../src/quantize/safetensors-file.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { openCheckpointAt } from "../../src/train/open-checkpoint.ts";

/**
 * The allowed |computed - reference|: relative * (largest |reference|) + absolute, or none at all if exact.
 * Integers and booleans are always exact, and with `exactWholes` the whole parts of floats too: all that a model reads of a
 * timestep. `ignored` tensors annotate the fixture and are not compared.
 */
export interface Tolerance {
  readonly relative?: number;
  readonly absolute?: number;
  readonly exact?: boolean;
  readonly exactWholes?: boolean;
  readonly ignored?: boolean;
}

export interface ParityCase {
  /** Recognises the case by the keys of its config.json alone. */
  matches(config: Readonly<Record<string, unknown>>): boolean;
  /** Computes every tensor of outputs*.safetensors, under its own name; more do no harm. */
  run(folder: GoldenFolder): Promise<Map<string, HostTensor>>;
  /** `config`, where given, tells tensors apart that one name stands for. */
  tolerance(name: string, config?: GoldenFolder["config"]): Tolerance;
  /** Reference values that stand outside outputs*.safetensors. */
  references?(folder: GoldenFolder): Map<string, HostTensor>;
}

export interface GoldenFolder {
  readonly dir: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** inputs.safetensors; empty where there is none. */
  readonly inputs: ReadonlyMap<string, HostTensor>;
  /** weights.safetensors; empty where there is none. */
  readonly weights: Checkpoint;
  /** The names in outputs*.safetensors, for cases whose names say what is wanted. */
  readonly outputsPresent: ReadonlySet<string>;
  /** Every tensor of another safetensors file of the folder. */
  readExtra(file: string): Promise<Map<string, HostTensor>>;
  /** Another safetensors file of the folder as weights; closed with the folder. */
  openExtra(file: string): Promise<Checkpoint>;
}

/** A case's config.json describes the run too, in fields that no model's config has. */
export const skipUnknown: OnUnknown = () => {};

/** Opens a folder for a case, and reads the reference's outputs, which `run` does not get to see. */
export async function openGolden(
  dir: string,
): Promise<{ folder: GoldenFolder; outputs: Map<string, HostTensor>; close(): Promise<void> }> {
  const files = await readdir(dir);
  const config: unknown = JSON.parse(await readFile(join(dir, "config.json"), "utf8"));
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new Error(`${basename(dir)}/config.json: expected an object`);
  }
  const outputs = new Map<string, HostTensor>();
  for (const file of files.filter((name) => /^outputs.*\.safetensors$/.test(name)).sort()) {
    for (const [name, tensor] of await readSafetensors(join(dir, file))) outputs.set(name, tensor);
  }
  const opened: Checkpoint[] = [];
  const openExtra = async (file: string) => {
    const checkpoint = await openCheckpointAt(join(dir, file));
    opened.push(checkpoint);
    return checkpoint;
  };
  const readExtra = (file: string) => readSafetensors(join(dir, file));
  const folder: GoldenFolder = {
    dir,
    config: { ...config },
    inputs: files.includes("inputs.safetensors") ? await readExtra("inputs.safetensors") : new Map(),
    weights: files.includes("weights.safetensors") ? await openExtra("weights.safetensors") : noWeights(dir),
    outputsPresent: new Set(outputs.keys()),
    readExtra,
    openExtra,
  };
  return {
    folder,
    outputs,
    async close() {
      await Promise.all(opened.map((checkpoint) => checkpoint.close()));
    },
  };
}

function noWeights(path: string): Checkpoint {
  return {
    path,
    files: [],
    names: () => [],
    find: () => undefined,
    read: async (name) => {
      throw new Error(`${basename(path)}: has no weights, ${name} was asked for`);
    },
    close: async () => {},
  };
}
