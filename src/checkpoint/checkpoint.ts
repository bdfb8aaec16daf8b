// A checkpoint: all safetensors files of a folder as one set of named tensors, and its comparison with what a model declares.
// The index of a sharded checkpoint is not consulted, as in the reference: every *.safetensors counts, in sorted order.

import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import { isQuantized, locateWeight, type QuantizedMatrix, scalesName } from "../runtime/weight-source.ts";
import { bf16ToF32, f16ToF32 } from "./bfloat16.ts";
import { dequantize } from "./block-quantization.ts";
import { CheckpointError } from "./checkpoint-error.ts";
import { openSafetensors, type SafetensorsFile, type TensorEntry } from "./safetensors.ts";

export interface FileLocation extends TensorEntry {
  readonly file: string;
}

export interface Checkpoint {
  readonly path: string;
  /** A quantised matrix counts as one tensor, under its own name. */
  names(): string[];
  /** Where a tensor's bytes lie, for a session that maps the file. */
  find(name: string): FileLocation | QuantizedMatrix<FileLocation> | undefined;
  /** Reads a floating-point tensor, or a quantised matrix, as float32. */
  read(name: string): Promise<HostTensor>;
  close(): Promise<void>;
}

export interface DeclaredParameter {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Opens one safetensors file or every one of a folder; of a name that two files hold the later file's tensor is taken. */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const files: SafetensorsFile[] = [];
  const close = async () => {
    await Promise.all(files.map((file) => file.close()));
  };
  const holders = new Map<string, SafetensorsFile>();
  try {
    for (const file of await listFiles(path)) {
      const opened = await openSafetensors(file);
      files.push(opened);
      for (const name of opened.tensors.keys()) holders.set(name, opened);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const locate = (name: string): FileLocation | undefined => {
    const holder = holders.get(name);
    const entry = holder?.tensors.get(name);
    return holder && entry ? { ...entry, file: holder.realPath } : undefined;
  };
  const weights = new Map<string, FileLocation | QuantizedMatrix<FileLocation>>();
  for (const name of [...holders.keys()].sort()) {
    try {
      weights.set(name, locateWeight(name, locate)!);
    } catch (error) {
      await close();
      throw new CheckpointError(`${basename(path)}: ${(error as Error).message}`);
    }
  }
  for (const [name, weight] of [...weights]) if (isQuantized(weight)) weights.delete(scalesName(name));
  const readTensor = (name: string) => holders.get(name)!.read(name);
  return {
    path,
    names: () => [...weights.keys()],
    find: (name) => weights.get(name),
    async read(name) {
      const weight = weights.get(name);
      if (!weight) throw new CheckpointError(`${basename(path)}: has no tensor ${JSON.stringify(name)}`);
      if (!isQuantized(weight)) {
        return toF32(await readTensor(name), `${basename(holders.get(name)!.path)}: tensor ${JSON.stringify(name)}`);
      }
      const [values, scales] = await Promise.all([readTensor(name), readTensor(scalesName(name))]);
      const blocks = { values: values.data as Uint8Array, scales: scales.data as Float32Array };
      return f32(dequantize(blocks, weight), weight.shape);
    },
    close,
  };
}

/**
 * Compares a checkpoint with a model's parameters and throws one CheckpointError that lists every difference:
 * missing tensors, tensors of another shape, and tensors that the model does not know and `knownUnused` does not excuse.
 */
export function checkParameters(
  declared: readonly DeclaredParameter[],
  checkpoint: Pick<Checkpoint, "path" | "names" | "find">,
  knownUnused: (name: string) => boolean = () => false,
): void {
  const wanted = new Set(declared.map(({ name }) => name));
  const missing = declared.filter(({ name }) => !checkpoint.find(name)).map(({ name, shape }) => `${name} [${shape}]`);
  const unknown = checkpoint.names().filter((name) => !wanted.has(name) && !knownUnused(name));
  const misshaped = declared.flatMap(({ name, shape }) => {
    const found = checkpoint.find(name)?.shape;
    return !found || `${found}` === `${shape}` ? [] : [`${name} has shape [${found}], the config wants [${shape}]`];
  });
  const faults = [
    missing.length ? `${missing.length} missing: ${missing.join(", ")}` : "",
    misshaped.length ? `${misshaped.length} of another shape: ${misshaped.join(", ")}` : "",
    unknown.length ? `${unknown.length} unknown: ${unknown.join(", ")}` : "",
  ].filter((fault) => fault !== "");
  if (faults.length) {
    throw new CheckpointError(
      `${basename(checkpoint.path)} does not fit the model. ${faults.join("; ")}. Is this the right preset?`,
    );
  }
}

/** A floating-point tensor in float32; throws for integers, which a cast would quietly turn into weights. */
export function toF32(tensor: HostTensor, where: string): HostTensor {
  const { dtype, shape, data } = tensor;
  if (dtype === "f32") return tensor;
  if (dtype === "bf16" && data instanceof Uint16Array) return f32(bf16ToF32(data), shape);
  if (dtype === "f16" && data instanceof Uint16Array) return f32(f16ToF32(data), shape);
  if (dtype === "f64" && data instanceof Float64Array) return f32(data, shape);
  throw new CheckpointError(`${where} has dtype ${dtype}, wanted a floating-point one`);
}

async function listFiles(path: string): Promise<string[]> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(`${path}: cannot be opened (${error.code})`, { cause: error });
  });
  if (info.isFile()) {
    if (isPickle(path)) throw refusePickle(path, basename(path));
    return [path];
  }
  const entries = (await readdir(path)).sort();
  const files = entries.filter((name) => name.endsWith(".safetensors"));
  const pickle = entries.find(isPickle);
  if (files.length === 0 && pickle !== undefined) throw refusePickle(path, pickle);
  if (files.length === 0) throw new CheckpointError(`${path}: holds no *.safetensors file`);
  return files.map((name) => join(path, name));
}

function isPickle(name: string): boolean {
  return /\.(bin|pt|pth|ckpt|pkl)$/.test(name);
}

/** Unpickling runs whatever the file says, so it is never done. */
function refusePickle(path: string, name: string): CheckpointError {
  return new CheckpointError(
    `${path}: ${name} is a pickle, which can run code when it is loaded and is not read here; convert it in Python: safetensors.torch.save_file(torch.load("${name}", weights_only=True), "model.safetensors")`,
  );
}
