// Converts a model folder to a new one at lower precision. Tensors are processed one by one, a few rows at a time, so memory does
// not grow with the model. The new folder gets its name when it is complete; until then it cannot be loaded.

import { copyFile, readdir, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type * as z from "zod";
import { checkModelName } from "../arguments.ts";
import { InputError, ModelError, quote } from "../errors.ts";
import { LISTING_FILE } from "../files/listing.ts";
import { isSideFile } from "../files/model-files.ts";
import { OpenFile } from "../files/open-file.ts";
import { formatBytes } from "../hub/format-bytes.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { checkModel } from "../model/declare.ts";
import { openModelAt } from "../model/find.node.ts";
import { listModelFiles } from "../output/listing.ts";
import { checkOptions } from "../read-options.ts";
import { isQuantized } from "../runtime/weight-source.ts";
import { createFolder, refuseExisting } from "./atomic-folder.ts";
import { ConvertMemory, type SquareSums } from "./convert-memory.ts";
import { convertTensor, storedTensors } from "./convert-tensor.ts";
import { type ConvertOptions, convertOptions } from "./options.ts";
import { type PartPlan, type Precision, planPrecision, type StoredForm, type TensorPlan } from "./precision.ts";
import { tensorBytes } from "./safetensors-layout.ts";
import { ShardedWriter } from "./sharded-writer.ts";

export interface ConvertProgress {
  readonly tensor: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface ConvertedTensor extends SquareSums {
  /** The file's path inside the folder and the tensor's name: "dit/x_embedder.proj.weight". */
  readonly name: string;
  readonly shape: readonly number[];
  readonly form: StoredForm;
  readonly bytes: number;
}

export interface ConvertReport {
  readonly source: string;
  readonly target: string;
  readonly tensors: readonly ConvertedTensor[];
  /** Tensors left out because a running model does not read them. */
  readonly dropped: readonly string[];
  /** Bytes of weights. */
  readonly sourceBytes: number;
  readonly targetBytes: number;
}

/**
 * Converts the model `source` (a folder, a built-in name or a Hub repository) to the new folder `target`, which includes
 * parts stored elsewhere. Throws if `target` exists, if an already quantised model would be quantised again, or
 * if the disk has too little space. On any failure there is no `target`.
 */
export async function convertModel(source: string, target: string, given: ConvertOptions): Promise<ConvertReport> {
  checkModelName(source, "convertModel(source, target, options)");
  checkTarget(target);
  const options = checkOptions("convertModel", convertOptions, given);
  if (options.weights === "bf16" && options.block)
    throw new InputError("Weights in bf16 have no blocks: omit `block` (--block)", { code: "invalid_option" });
  const { detokenizer, autoencoder, signal, onFetch, onWait } = options;
  await refuseExisting(target); // before anything is downloaded
  const model = await openModelAt(source, { detokenizer, autoencoder, signal, onProgress: onFetch, onWait });
  try {
    checkModel(model);
    const parts = planPrecision(model, options);
    refuseSecondRounding(parts, options);
    return await createFolder(target, async (folder) => {
      await checkRoom(folder, parts);
      const tensors = await writeParts(parts, folder, options);
      await copyOtherFiles(parts, folder);
      await writeFile(join(folder, LISTING_FILE), JSON.stringify(await listModelFiles(folder), null, 2));
      return {
        source: model.path,
        target,
        tensors,
        dropped: parts.flatMap((part) => part.dropped.map((name) => join(part.folder, name))),
        sourceBytes: sum(parts.map(sourceBytes)),
        targetBytes: sum(tensors.map(({ bytes }) => bytes)),
      };
    });
  } finally {
    await model.close();
  }
}

function checkTarget(target: unknown): asserts target is string {
  if (typeof target === "string" && target !== "") return;
  throw new InputError(`Expected the name of a new folder to convert into, got ${quote(target)}`);
}

async function writeParts(
  parts: readonly PartPlan[],
  target: string,
  { signal, onProgress, maxShardBytes, weights, block }: z.output<typeof convertOptions>,
): Promise<ConvertedTensor[]> {
  const totalBytes = sum(parts.flatMap(({ tensors }) => tensors.map(writtenBytes)));
  const metadata = { format: "pt", weights, ...(weights !== "bf16" && block && { block: `${block}` }) };
  const memory = new ConvertMemory();
  const converted: ConvertedTensor[] = [];
  let doneBytes = 0;
  for (const { folder, checkpoint, tensors } of parts) {
    await makeFolder(join(target, folder));
    const shapes = new Map(tensors.flatMap(storedTensors));
    const stem = await fileStem(checkpoint.path);
    const writer = await ShardedWriter.create(join(target, folder), stem, shapes, {
      metadata,
      ...(maxShardBytes && { maxShardBytes }),
    });
    try {
      for (const plan of tensors) {
        const name = join(folder, plan.name);
        const onWritten = (bytes: number) => {
          doneBytes += bytes;
          onProgress?.({ tensor: name, doneBytes, totalBytes });
        };
        const sums = await convertTensor(plan, checkpoint, writer, { memory, signal, onWritten });
        converted.push({ name, shape: plan.shape, form: plan.form, bytes: writtenBytes(plan), ...sums });
      }
      await writer.finish();
    } finally {
      await writer.close();
    }
  }
  return converted;
}

/** A second rounding would add to the first one's error. */
function refuseSecondRounding(parts: readonly PartPlan[], { weights }: Precision): void {
  if (weights === "bf16") return;
  for (const { checkpoint } of parts) {
    for (const name of checkpoint.names()) {
      const found = checkpoint.find(name)!;
      if (!isQuantized(found)) continue;
      throw new ModelError(
        `${checkpoint.path} is already quantised (${name} at ${found.bits} bits): convert the original model, or convert to bf16`,
      );
    }
  }
}

/** Besides weights there are configs, a tokenizer, perhaps a README's images. */
async function checkRoom(target: string, parts: readonly PartPlan[]): Promise<void> {
  const copied = await Promise.all((await otherFiles(parts)).map(async ({ from }) => (await stat(from)).size));
  const wanted = sum(copied) + sum(parts.flatMap(({ tensors }) => tensors.map(writtenBytes)));
  const { bavail, bsize } = await statfs(target);
  if (wanted <= bavail * bsize) return;
  throw new InputError(
    `The converted model needs ${formatBytes(wanted)} of disk, and ${dirname(target)} has ${formatBytes(bavail * bsize)}: name a folder on another disk, or make room`,
    { code: "output_refused" },
  );
}

/** The config that makes a folder a model is written last: until then it cannot be loaded. */
async function copyOtherFiles(parts: readonly PartPlan[], target: string): Promise<void> {
  const all = await otherFiles(parts);
  const files = all.filter(({ to }) => to !== "config.json");
  for (const { from, to } of [...files, ...all.filter((file) => !files.includes(file))]) {
    await copyFile(from, join(target, to));
    const copy = await OpenFile.open(join(target, to));
    await copy.sync().finally(() => copy.close());
  }
}

/** A model's files other than weights: source path, and path inside the new folder. */
async function otherFiles(parts: readonly PartPlan[]): Promise<{ readonly from: string; readonly to: string }[]> {
  const isWeights = /\.(safetensors(\.index\.json)?|bin|pt|pth|ckpt|pkl)$/;
  const found = [];
  for (const { folder, checkpoint } of parts) {
    for (const name of await readdir(checkpoint.path)) {
      const from = join(checkpoint.path, name);
      if (name.startsWith(".") || name === LISTING_FILE || isWeights.test(name) || !(await stat(from)).isFile())
        continue;
      found.push({ from, to: join(folder, name) });
    }
  }
  return found;
}

/** "model" of model.safetensors and of model-00001-of-00006.safetensors. */
async function fileStem(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".safetensors") && !isSideFile(name));
  const stems = new Set(names.map((name) => name.replace(/(-\d+-of-\d+)?\.safetensors$/, "")));
  return stems.size === 1 ? [...stems][0]! : "model";
}

/** Bytes on disk: rows never written take none. */
function writtenBytes(plan: TensorPlan): number {
  const all = sum(storedTensors(plan).map(([, tensor]) => tensorBytes(tensor)));
  return plan.rows ? (all * (plan.rows[1] - plan.rows[0])) / plan.shape[0]! : all;
}

function sourceBytes({ checkpoint }: PartPlan): number {
  return sum(
    checkpoint.names().map((name) => {
      const found = checkpoint.find(name)!;
      return isQuantized(found) ? found.values.byteLength + found.scales.byteLength : found.byteLength;
    }),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
