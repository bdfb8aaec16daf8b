// Checkpoints of random weights in the layout that quantised checkpoints have, written once into the cache and then opened like
// any other: what is measured is the project's own decoder.

import { rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Checkpoint } from "../../../src/checkpoint/checkpoint.ts";
import { makeFolder } from "../../../src/hub/make-folder.ts";
import type { LanguageModelConfig } from "../../../src/llm/config.ts";
import { generationGraphs } from "../../../src/llm/generation-graphs.ts";
import { matrixForm } from "../../../src/quantize/precision.ts";
import { writeSafetensors } from "../../../src/quantize/safetensors-file.ts";
import { f32, type HostTensor, hostTensor } from "../../../src/runtime/host-tensor.ts";
import { type BlockFormat, isQuantized, scalesName, type WeightSource } from "../../../src/runtime/weight-source.ts";
import { Graph, type Parameter } from "../../../src/tensor/graph.ts";
import { defaultCacheFolder } from "../../../src/train/data/icon-sets.ts";
import { openCheckpointAt } from "../../../src/train/open-checkpoint.ts";
import { fillRandomBytes } from "./random-bytes.ts";
import type { ShapeName } from "./shapes.ts";

export type Block = BlockFormat["block"];
/** How a matrix [out, in] of a path is stored. */
export type FormOf = (path: string, shape: readonly number[]) => BlockFormat | "f32";

/** Every matrix outside the token head at 4 bits, as llama.cpp's files of Q4_0 have it. */
export function allFourBits(block: Block): FormOf {
  return (path, [, width]) => (width! % block === 0 && !path.includes("token_head") ? { bits: 4, block } : "f32");
}

/** As `convert --weights int4` stores it: the layers at 4 bits, the rest at 8. */
export function asConverted(block: Block): FormOf {
  return (path, shape) => {
    const form = matrixForm(path, shape, { weights: "int4", block });
    return typeof form === "string" ? "f32" : form;
  };
}

/** Where benchmarks keep what they make or fetch. */
export function benchCache(): string {
  return join(defaultCacheFolder(), "bench");
}

/** Weights of a shape without images. */
export function textWeightsFolder(shape: ShapeName, block: Block): string {
  return join(benchCache(), `${shape}-int4-b${block}`);
}

const MAX_FILE_BYTES = 2 ** 29;
/** Standard deviations of 16 and of 256 equally likely steps. */
const stepsDeviation: Readonly<Record<BlockFormat["bits"], number>> = { 4: 4.6, 8: 73.9 };

/** Opens `folder`, which is written first if it is not there; what was interrupted is written again. */
export async function openRandomCheckpoint(
  folder: string,
  config: LanguageModelConfig,
  formOf: FormOf,
): Promise<Checkpoint> {
  if (!(await stat(folder).catch(() => undefined))) {
    const partial = `${folder}.partial`;
    await rm(partial, { recursive: true, force: true });
    await makeFolder(partial);
    await makeFolder(dirname(folder));
    await writeShards(partial, randomTensors(declared(config), formOf));
    await rename(partial, folder);
  }
  return openCheckpointAt(folder);
}

async function writeShards(folder: string, tensors: Iterable<readonly [string, HostTensor]>): Promise<void> {
  let shard: (readonly [string, HostTensor])[] = [];
  let bytes = 0;
  let count = 0;
  const write = async () => {
    if (shard.length > 0) await writeSafetensors(join(folder, `part-${count++}.safetensors`), shard);
    [shard, bytes] = [[], 0];
  };
  for (const tensor of tensors) {
    if (bytes + tensor[1].data.byteLength > MAX_FILE_BYTES) await write();
    shard.push(tensor);
    bytes += tensor[1].data.byteLength;
  }
  await write();
}

/** Matrices in their forms, everything else as float32; norms are ones. */
export function* randomTensors(
  parameters: readonly Parameter[],
  formOf: FormOf,
): Generator<readonly [string, HostTensor]> {
  for (const [seed, { path, shape }] of parameters.entries()) {
    const [out, width] = shape;
    const form = shape.length === 2 ? formOf(path, shape) : "f32";
    if (form !== "f32") {
      const { bits, block } = form;
      const blocks = width! / block;
      const values = fillRandomBytes(new Uint8Array((out! * width! * bits) / 8), seed);
      yield [path, hostTensor("u8", values, [out!, blocks, (block * bits) / 8])];
      const scale = 1 / (stepsDeviation[bits] * Math.sqrt(width!));
      yield [scalesName(path), f32(new Float32Array(out! * blocks).fill(scale), [out!, blocks])];
    } else {
      const size = shape.reduce((a, b) => a * b, 1);
      if (shape.length === 1) yield [path, f32(new Float32Array(size).fill(1), shape)];
      else {
        const bytes = fillRandomBytes(new Uint8Array(size), seed);
        yield [
          path,
          f32(
            Float32Array.from(bytes, (byte) => (byte / 128 - 1) / Math.sqrt(width!)),
            shape,
          ),
        ];
      }
    }
  }
}

function declared(config: LanguageModelConfig): Parameter[] {
  const graphs = [new Graph(), new Graph()] as const;
  generationGraphs.trunk(graphs[0], config);
  generationGraphs.text(graphs[1], config, "output");
  const all = new Map(graphs.flatMap((graph) => [...graph.parameters]));
  return [...all.values()];
}

/** Bytes of the weights that one text token reads: all but the table, of which it reads a row, and the visual rows. */
export function bytesPerToken(weights: WeightSource, config: LanguageModelConfig): number {
  const { vocab_size: V, codebook_size: S } = config.qwen;
  let bytes = 0;
  for (const { path } of declared(config)) {
    if (path.endsWith("embed_tokens.weight")) continue;
    const share = path.endsWith("output.weight") ? V / (V + S) : 1;
    const found = weights.find(path)!;
    for (const { shape, dtype } of isQuantized(found) ? [found.values, found.scales] : [found])
      bytes += share * shape.reduce((a, b) => a * b, dtype === "u8" ? 1 : 4);
  }
  return bytes;
}
