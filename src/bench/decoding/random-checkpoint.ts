// Checkpoints of random 4-bit weights in the layout that quantised checkpoints have, written once into the cache and then
// opened like any other: what is measured is the project's own decoder.

import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Checkpoint, openCheckpoint } from "../../checkpoint/checkpoint.ts";
import { writeSafetensors } from "../../checkpoint/safetensors.ts";
import type { LanguageModelConfig } from "../../llm/config.ts";
import { generationGraphs } from "../../llm/generation-graphs.ts";
import { f32, type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { isQuantized, scalesName, type WeightSource } from "../../runtime/weight-source.ts";
import { Graph, type Parameter } from "../../tensor/graph.ts";
import { defaultCacheFolder } from "../../train/data/icon-sets.ts";
import { fillRandomBytes } from "./random-bytes.ts";
import type { ShapeName } from "./shapes.ts";

export type Block = 32 | 128;

/** Where benchmarks keep what they make or fetch. */
export function benchCache(): string {
  return join(defaultCacheFolder(), "bench");
}

/** Weights of a shape without pictures. */
export function textWeightsFolder(shape: ShapeName, block: Block): string {
  return join(benchCache(), `${shape}-int4-b${block}`);
}

const MAX_FILE_BYTES = 2 ** 29;
/** Standard deviation of 16 equally likely steps. */
const STEPS_DEVIATION = 4.6;

/** Opens `folder`, which is written first if it is not there; what was interrupted is written again. */
export async function openRandomCheckpoint(
  folder: string,
  config: LanguageModelConfig,
  block: Block,
): Promise<Checkpoint> {
  if (!(await stat(folder).catch(() => undefined))) {
    const partial = `${folder}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await mkdir(dirname(folder), { recursive: true });
    await writeShards(partial, randomTensors(config, block));
    await rename(partial, folder);
  }
  return openCheckpoint(folder);
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

/** Matrices outside the token head at 4 bits, everything else as float32; norms are ones. */
function* randomTensors(config: LanguageModelConfig, block: Block): Generator<readonly [string, HostTensor]> {
  for (const [seed, { path, shape }] of declared(config).entries()) {
    const [out, width] = shape;
    if (shape.length === 2 && width! % block === 0 && !path.includes("token_head")) {
      const blocks = width! / block;
      const values = fillRandomBytes(new Uint8Array((out! * width!) / 2), seed);
      yield [path, hostTensor("u8", values, [out!, blocks, block / 2])];
      const scale = 1 / (STEPS_DEVIATION * Math.sqrt(width!));
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
  generationGraphs.slot(graphs[1], config, "output");
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
