// Merges an adapter into a model: W + scale B A in place of W, at W's stored precision. Everything else is
// copied byte for byte.

import { copyFile, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { checkModelName } from "../arguments.ts";
import type { Checkpoint, FileLocation } from "../checkpoint/checkpoint.ts";
import { InputError, ModelError, quote } from "../errors.ts";
import { folderFiles } from "../files/folder.node.ts";
import { OpenFile } from "../files/open-file.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { type Adapter, checkAdapter, readAdapter } from "../model/adapter.ts";
import { checkModel } from "../model/declare.ts";
import { openModelAt } from "../model/find.node.ts";
import { languageConfig } from "../model/open.ts";
import { checkOptions } from "../read-options.ts";
import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import { isQuantized, type QuantizedMatrix, scalesName } from "../runtime/weight-source.ts";
import { createFolder, refuseExisting } from "./atomic-folder.ts";
import { ConvertMemory } from "./convert-memory.ts";
import { convertTensor } from "./convert-tensor.ts";
import { type MergeOptions, mergeOptions } from "./options.ts";
import type { StoredForm } from "./precision.ts";
import type { TensorShape } from "./safetensors-layout.ts";
import { ShardedWriter } from "./sharded-writer.ts";

export interface MergedMatrix {
  readonly name: string;
  readonly form: StoredForm;
  /** The size of the adapter's change, and of the following rounding error, relative to the matrix. */
  readonly change: number;
  readonly rounding: number;
}

export interface MergeReport {
  readonly source: string;
  readonly target: string;
  readonly matrices: readonly MergedMatrix[];
}

const COPY_BYTES = 2 ** 24;

/**
 * Writes `source` with `adapter` merged in as the new folder `target`. Matrices at 8 or 4 bits are widened, changed and rounded
 * again. Throws an InputError if `target` exists, a ModelError if the adapter does not belong to this model.
 */
export async function mergeAdapter(
  source: string,
  adapterFolder: string,
  target: string,
  given: MergeOptions = {},
): Promise<MergeReport> {
  checkModelName(source, "mergeAdapter(source, adapter, target, options)");
  const { signal, onProgress } = checkOptions("mergeAdapter", mergeOptions, given);
  await refuseExisting(target);
  const adapter = await readAdapter(folderFiles(adapterFolder));
  const model = await openModelAt(source, { signal });
  try {
    checkModel(model);
    checkAdapter(adapter, languageConfig(model));
    if (!model.weights.isOnDisk) throw new InputError(`${quote(source)}: only models on disk can be merged`);
    const absent = [...adapter.ranks.keys()].find((path) => !model.weights.find(`${path}.weight`));
    if (absent !== undefined) throw new ModelError(`${model.path}: has no ${absent}.weight to merge the adapter into`);
    return await createFolder(target, async (folder) => {
      const matrices = await writeMerged(model.weights, adapter, folder, signal, onProgress);
      await copyOthers(model.path, folder, true);
      return { source: model.path, target, matrices };
    });
  } finally {
    await model.close();
  }
}

async function writeMerged(
  weights: Checkpoint,
  adapter: Adapter,
  folder: string,
  signal: AbortSignal | undefined,
  onProgress: MergeOptions["onProgress"],
): Promise<MergedMatrix[]> {
  const places = new Map<string, FileLocation>();
  for (const name of weights.names()) {
    const found = weights.find(name)!;
    if (!isQuantized(found)) places.set(name, onDisk(found, name));
    else places.set(name, onDisk(found.values, name)).set(scalesName(name), onDisk(found.scales, name));
  }
  const totalBytes = [...places.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  let doneBytes = 0;
  const written = (tensor: string, bytes: number) => {
    doneBytes += bytes;
    onProgress?.({ tensor, doneBytes, totalBytes });
  };
  const shapes = new Map<string, TensorShape>([...places].map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
  const writer = await ShardedWriter.create(folder, "model", shapes, { metadata: { format: "pt" } });
  const memory = new ConvertMemory();
  const merged: MergedMatrix[] = [];
  try {
    for (const name of weights.names()) {
      signal?.throwIfAborted();
      const module = name.replace(/\.weight$/, "");
      const found = weights.find(name)!;
      if (!adapter.ranks.has(module) || module === name) {
        for (const piece of isQuantized(found) ? [name, scalesName(name)] : [name])
          await copyTensor(places.get(piece)!, piece, writer, (bytes) => written(name, bytes));
        continue;
      }
      const sum = new MergedSource(weights, name, adapter, module);
      const plan = { name, shape: found.shape, form: formOf(found, name) };
      const sums = await convertTensor(plan, sum as unknown as Checkpoint, writer, {
        memory,
        signal,
        onWritten: (bytes) => written(name, bytes),
      });
      merged.push({
        name,
        form: plan.form,
        change: Math.sqrt(sum.change / sums.energy),
        rounding: Math.sqrt(sums.error / sums.energy),
      });
    }
    await writer.finish();
  } finally {
    await writer.close();
  }
  return merged;
}

/** Reads rows of W + scale B A as float32. */
class MergedSource implements Pick<Checkpoint, "find" | "read"> {
  /** Sum of squares of scale B A. */
  change = 0;
  readonly #weights: Checkpoint;
  readonly #name: string;
  readonly #a: HostTensor;
  readonly #b: HostTensor;
  readonly #scale: number;

  constructor(weights: Checkpoint, name: string, { tensors, ranks }: Adapter, module: string) {
    this.#weights = weights;
    this.#name = name;
    this.#a = tensors.get(`${module}.lora_A.weight`)!;
    this.#b = tensors.get(`${module}.lora_B.weight`)!;
    this.#scale = ranks.get(module)!.scale;
  }

  /** It has no file: it is computed as it is read. */
  find(): undefined {
    return undefined;
  }

  async read(_: string, rows?: readonly [start: number, end: number]): Promise<HostTensor> {
    const { shape, data } = await this.#weights.read(this.#name, rows);
    const [rank, width] = this.#a.shape as [number, number];
    const [a, b] = [this.#a.data as Float32Array, this.#b.data as Float32Array];
    const sum = Float32Array.from(data as Float32Array);
    const delta = new Float64Array(width);
    const first = rows?.[0] ?? 0;
    for (let row = 0; row * width < sum.length; row++) {
      delta.fill(0);
      for (let r = 0; r < rank; r++) {
        const factor = this.#scale * b[(first + row) * rank + r]!;
        for (let i = 0; i < width; i++) delta[i]! += factor * a[r * width + i]!;
      }
      for (let i = 0; i < width; i++) {
        sum[row * width + i]! += delta[i]!;
        this.change += delta[i]! ** 2;
      }
    }
    return f32(sum, shape);
  }
}

function formOf(found: FileLocation | QuantizedMatrix<FileLocation>, name: string): StoredForm {
  if (isQuantized(found)) return { bits: found.bits, block: found.block };
  if (found.dtype === "bf16" || found.dtype === "f32") return found.dtype;
  throw new ModelError(`${name} is stored as ${found.dtype}: convert the model to bf16 first (kelix convert)`);
}

function onDisk(found: FileLocation, name: string): FileLocation {
  if (found.file === undefined) throw new ModelError(`${name} is not in a file`);
  return found;
}

async function copyTensor(
  { file: path, byteOffset, byteLength }: FileLocation,
  name: string,
  writer: ShardedWriter,
  onWritten: (bytes: number) => void,
): Promise<void> {
  const file = await OpenFile.open(path);
  try {
    const buffer = new Uint8Array(Math.min(COPY_BYTES, byteLength));
    for (let done = 0; done < byteLength; ) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, byteLength - done), byteOffset + done);
      if (bytesRead === 0) throw new ModelError(`${basename(path)}: ends while ${name} is read`);
      await writer.write(name, done, buffer.subarray(0, bytesRead));
      onWritten(bytesRead);
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** Other files than the main weights, and sub-folders; the config that makes a folder a model is written last. */
async function copyOthers(from: string, to: string, isMain: boolean): Promise<void> {
  const entries = (await readdir(from, { withFileTypes: true })).filter(({ name }) => !name.startsWith("."));
  const order = (name: string) => (name === "config.json" ? 1 : 0);
  for (const entry of entries.sort((a, b) => order(a.name) - order(b.name))) {
    const [source, copy] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      if (!isMain) continue;
      await makeFolder(copy);
      await copyOthers(source, copy, false);
    } else if (!isMain || !/\.(safetensors(\.index\.json)?|bin|pt|pth|ckpt|pkl)$/.test(entry.name)) {
      await copyFile(source, copy);
      const written = await OpenFile.open(copy);
      await written.sync().finally(() => written.close());
    }
  }
}
