// A checkpoint: the safetensors files of a folder as one set of named tensors, and its comparison with what a model declares.
// Where there is an index of shards its files count; else, as in the reference, every *.safetensors in sorted order.

import { ModelError, quote } from "../errors.ts";
import { baseName, isSideFile, type ModelFile, type ModelFiles } from "../files/model-files.ts";
import { f32, type HostDType, type HostTensor } from "../runtime/host-tensor.ts";
import { hasShape, isQuantized, locateWeight, type QuantizedMatrix, scalesName } from "../runtime/weight-source.ts";
import { bf16ToF32, f16ToF32 } from "./bfloat16.ts";
import { dequantize } from "./block-quantization.ts";
import { openSafetensors, type RowRange, type SafetensorsFile, type TensorEntry } from "./safetensors.ts";
import { sampleTensor, type TensorSample } from "./sample.ts";
import { findIndex, findIndexFaults, readShardIndex, type ShardIndex } from "./shard-index.ts";
import { shorten } from "./shorten.ts";

export interface FileLocation extends TensorEntry {
  readonly file: string;
}

/** One file of a checkpoint. */
export interface CheckpointFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface Checkpoint {
  readonly path: string;
  /** Files that count, in order. */
  readonly files: readonly CheckpointFile[];
  /** Whether a native library can map the files; not if absent. */
  readonly isOnDisk?: boolean;
  /** A quantised matrix counts as one tensor, under its own name. */
  names(): string[];
  /** Where a tensor's bytes lie, for a session that maps the file. */
  find(name: string): FileLocation | QuantizedMatrix<FileLocation> | undefined;
  /** Reads a floating-point tensor or a quantised matrix, or a range of its rows, as float32. */
  read(name: string, rows?: RowRange): Promise<HostTensor>;
  /** Some of each tensor's stored bytes, in order of names: see sampleTensor. Absent where nothing is stored. */
  sample?(most: number): AsyncIterable<TensorSample>;
  close(): Promise<void>;
}

export interface DeclaredParameter {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface OpenCheckpointOptions {
  /** Told, in place of an error, of each file that is missing or broken and of an index that does not agree. */
  readonly onFault?: (fault: string) => void;
}

/**
 * Opens a folder's checkpoint: the shards that its index names, or without an index every safetensors file, of a name that two
 * files hold the later file's. Only headers are read. Throws a ModelError when a file is missing or broken, or when the
 * index and the shards do not agree.
 */
export function openCheckpoint(files: ModelFiles, options?: OpenCheckpointOptions): Promise<Checkpoint> {
  return openShards(files.name, () => findShards(files), options);
}

interface Shards {
  readonly open: readonly (() => Promise<ModelFile | undefined>)[];
  readonly index?: ShardIndex;
}

/** As openCheckpoint, of files that `find` finds; `path` is for messages. */
export async function openShards(
  path: string,
  find: () => Promise<Shards>,
  { onFault }: OpenCheckpointOptions = {},
): Promise<Checkpoint> {
  const opened: SafetensorsFile[] = [];
  const report = (error: unknown) => {
    if (!onFault || !(error instanceof ModelError)) throw error;
    onFault(error.message);
  };
  try {
    const { open, index } = await find().catch((error): Shards => {
      report(error);
      return { open: [] };
    });
    for (const openFile of open) {
      const file = await openFile().catch(report);
      if (file) await openSafetensors(file).then((shard) => void opened.push(shard), report);
    }
    const faults = index ? findIndexFaults(index, tensorsByShard(opened)) : [];
    if (faults.length) report(new ModelError(`${path}: ${faults.join("; ")}. Were all files of one version fetched?`));
    const holders = new Map<string, SafetensorsFile>();
    for (const shard of opened) {
      for (const name of shard.tensors.keys()) {
        const wanted = index?.holders.get(name) ?? baseName(shard.file.name);
        if (!holders.has(name) || wanted === baseName(shard.file.name)) holders.set(name, shard);
      }
    }
    return new OpenedCheckpoint(path, opened, holders);
  } catch (error) {
    await Promise.all(opened.map((shard) => shard.close()));
    throw error;
  }
}

/** A checkpoint whose tensors are known by longer names, which begin with `prefix`. */
export function withPrefix(checkpoint: Checkpoint, prefix: string): Checkpoint {
  const own = (name: string) => (name.startsWith(prefix) ? name.slice(prefix.length) : undefined);
  return {
    path: checkpoint.path,
    files: checkpoint.files,
    ...(checkpoint.isOnDisk && { isOnDisk: true }),
    names: () => checkpoint.names().map((name) => `${prefix}${name}`),
    find: (name) => {
      const stored = own(name);
      return stored === undefined ? undefined : checkpoint.find(stored);
    },
    read: (name, rows) => checkpoint.read(own(name) ?? name, rows),
    ...(checkpoint.sample && { sample: (most) => checkpoint.sample!(most) }),
    close: () => checkpoint.close(),
  };
}

type StoredWeight = FileLocation | QuantizedMatrix<FileLocation>;

class OpenedCheckpoint implements Checkpoint {
  readonly path: string;
  readonly files: readonly CheckpointFile[];
  readonly isOnDisk: boolean;
  readonly #shards: readonly SafetensorsFile[];
  readonly #holders: ReadonlyMap<string, SafetensorsFile>;
  readonly #weights: ReadonlyMap<string, StoredWeight>;

  /** Throws a ModelError when a quantised matrix and its scales do not fit. */
  constructor(path: string, shards: readonly SafetensorsFile[], holders: ReadonlyMap<string, SafetensorsFile>) {
    this.path = path;
    this.files = shards.map(({ file }) => ({ path: file.name, sizeBytes: file.sizeBytes }));
    this.isOnDisk = shards.every(({ file }) => file.diskPath !== undefined);
    this.#shards = shards;
    this.#holders = holders;
    this.#weights = pairWithScales(path, holders);
  }

  names(): string[] {
    return [...this.#weights.keys()];
  }

  find(name: string): StoredWeight | undefined {
    return this.#weights.get(name);
  }

  async read(name: string, rows?: RowRange): Promise<HostTensor> {
    const weight = this.#weights.get(name);
    if (!weight) throw new ModelError(`${baseName(this.path)}: has no tensor ${quote(name)}`);
    const file = this.#holders.get(name)!;
    const tensor = await file.read(name, rows);
    if (!isQuantized(weight)) return toF32(tensor, `${baseName(file.file.name)}: tensor ${quote(name)}`);
    const scales = await this.#holders.get(scalesName(name))!.read(scalesName(name), rows);
    // locateWeight has made sure of both dtypes.
    const blocks = { values: tensor.data as Uint8Array, scales: scales.data as Float32Array };
    return f32(dequantize(blocks, weight), [tensor.shape[0]!, weight.shape[1]]);
  }

  async *sample(most: number): AsyncIterable<TensorSample> {
    for (const [name, { file, tensors }] of [...this.#holders].sort(([a], [b]) => (a < b ? -1 : 1)))
      yield await sampleTensor(file, name, tensors.get(name)!, most);
  }

  async close(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.close()));
  }
}

/** Weights by name, sorted; a quantised matrix stands for itself and its scales. */
function pairWithScales(path: string, holders: ReadonlyMap<string, SafetensorsFile>): Map<string, StoredWeight> {
  const locate = (name: string): FileLocation | undefined => {
    const holder = holders.get(name);
    const entry = holder?.tensors.get(name);
    return holder && entry ? { ...entry, file: holder.file.diskPath ?? holder.file.name } : undefined;
  };
  const weights = new Map<string, StoredWeight>();
  for (const name of [...holders.keys()].sort()) {
    try {
      weights.set(name, locateWeight(name, locate)!);
    } catch (error) {
      throw new ModelError(`${baseName(path)}: ${(error as Error).message}`);
    }
  }
  for (const [name, weight] of [...weights]) if (isQuantized(weight)) weights.delete(scalesName(name));
  return weights;
}

function tensorsByShard(files: readonly SafetensorsFile[]): Map<string, Iterable<string>> {
  return new Map(files.map(({ file, tensors }) => [baseName(file.name), tensors.keys()]));
}

/**
 * Compares a checkpoint with a model's parameters and returns one sentence for each kind of difference: missing tensors,
 * tensors of another shape or of integers, and tensors that the model does not know and `knownUnused` does not excuse.
 */
export function findDifferences(
  declared: readonly DeclaredParameter[],
  checkpoint: Pick<Checkpoint, "names" | "find">,
  knownUnused: (name: string) => boolean = () => false,
): string[] {
  const wanted = new Set(declared.map(({ name }) => name));
  const missing = declared.filter(({ name }) => !checkpoint.find(name)).map(({ name, shape }) => `${name} [${shape}]`);
  const unknown = checkpoint.names().filter((name) => !wanted.has(name) && !knownUnused(name));
  const misshaped = declared.flatMap(({ name, shape }) => {
    const found = checkpoint.find(name);
    return !found || hasShape(found, shape) ? [] : [`${name} has shape [${found.shape}], the config wants [${shape}]`];
  });
  const integers = declared.flatMap(({ name }) => {
    const found = checkpoint.find(name);
    if (!found || isQuantized(found) || isFloat(found.dtype)) return [];
    return [`${name} is ${found.dtype}`];
  });
  return [
    missing.length ? `${missing.length} missing: ${shorten(missing)}` : "",
    misshaped.length ? `${misshaped.length} of another shape: ${shorten(misshaped)}` : "",
    integers.length ? `${integers.length} of integers: ${shorten(integers)}` : "",
    unknown.length ? `${unknown.length} unknown: ${shorten(unknown)}` : "",
  ].filter((fault) => fault !== "");
}

function isFloat(dtype: HostDType): boolean {
  return dtype === "f32" || dtype === "bf16" || dtype === "f16" || dtype === "f64";
}

/** A floating-point tensor in float32; throws for integers, which a cast would quietly turn into weights. */
export function toF32(tensor: HostTensor, where: string): HostTensor {
  const { dtype, shape, data } = tensor;
  if (dtype === "f32") return tensor;
  if (dtype === "bf16" && data instanceof Uint16Array) return f32(bf16ToF32(data), shape);
  if (dtype === "f16" && data instanceof Uint16Array) return f32(f16ToF32(data), shape);
  if (dtype === "f64" && data instanceof Float64Array) return f32(data, shape);
  throw new ModelError(`${where} has dtype ${dtype}, wanted a floating-point one`);
}

async function findShards(files: ModelFiles): Promise<Shards> {
  const entries = (await files.list()).map(({ name }) => name).filter((name) => !isSideFile(name));
  entries.sort();
  const weights = entries.filter((name) => name.endsWith(".safetensors"));
  const open = (names: readonly string[]) => names.map((name) => () => files.open(name));
  const indexFile = findIndex(files.name, entries);
  if (indexFile !== undefined) {
    const index = await readShardIndex(files, indexFile);
    const here = new Set(weights);
    return { open: open(index.shards.filter((shard) => here.has(shard))), index };
  }
  const pickle = entries.find(isPickle);
  if (weights.length === 0 && pickle !== undefined) throw refusePickle(files.name, pickle);
  if (weights.length === 0) throw new ModelError(`${files.name}: holds no *.safetensors file: its weights are absent`);
  return { open: open(weights) };
}

export function isPickle(name: string): boolean {
  return /\.(bin|pt|pth|ckpt|pkl)$/.test(name);
}

/** Unpickling runs whatever the file says, so it is never done. */
export function refusePickle(path: string, name: string): ModelError {
  return new ModelError(
    `${path}: ${name} is a pickle, which can run code when it is loaded and is not read here; convert it in Python: safetensors.torch.save_file(torch.load("${name}", weights_only=True), "model.safetensors")`,
  );
}
