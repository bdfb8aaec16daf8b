// One step of training a low-rank adapter beside a frozen language model of a released shape, with random weights as they would be
// stored: seconds, and the memory of the process.
//   node --import tsx --conditions=kelix-source tools/bench/lora-step.ts SHAPE FORM [BLOCKS] [STEPS]

import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../../src/hub/make-folder.ts";
import { lowRankAdapters } from "../../src/nn/adapter.ts";
import { matrixForm } from "../../src/quantize/precision.ts";
import type { TensorShape } from "../../src/quantize/safetensors-layout.ts";
import { ShardedWriter } from "../../src/quantize/sharded-writer.ts";
import { f32ToBf16 } from "../../src/quantize/to-bfloat16.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { scalesName } from "../../src/runtime/weight-source.ts";
import { textBlock } from "../../src/sequence/blocks.ts";
import type { Graph } from "../../src/tensor/graph.ts";
import { AdamW } from "../../src/train/adamw.ts";
import { type TrainingSizes, traceLanguageModelLoss, trainingFeeds } from "../../src/train/loss/language-model-loss.ts";
import { openCheckpointAt } from "../../src/train/open-checkpoint.ts";
import { ParameterStore } from "../../src/train/parameter-store.ts";
import { TrainGraph, traceLoss } from "../../src/train/train-graph.ts";
import { fillRandomBytes } from "./decoding/random-bytes.ts";
import { benchCache } from "./decoding/random-checkpoint.ts";
import { decodingConfig, decodingShapes, releasedHead, type ShapeName } from "./decoding/shapes.ts";

const [shape = "toy", form = "bf16", length = "256", steps = "3"] = process.argv.slice(2) as [
  ShapeName,
  string,
  string,
  string,
];
const RANK = 8;
const config = decodingConfig(decodingShapes[shape], 8 * 8192, releasedHead);
const T = Number(length);
const sizes: TrainingSizes = { rows: 1, blocks: T, scoredBlocks: T / 4, labels: T / 2 };
const targets = /layers\.\d+\.(attn\.(q|k|v|output)_proj|mlp\.w[123])$/;

function trace(graph: Graph) {
  graph.adaptLinear = lowRankAdapters((path) => (targets.test(path) ? { rank: RANK, scale: 2 } : undefined));
  return traceLanguageModelLoss(graph, config, sizes);
}

const folder = join(benchCache(), `frozen-${shape}-${form}`);
const { graph } = traceLoss(trace);
const all = [...graph.parameters.values()];
const frozen = all.filter(({ path }) => !path.includes("lora_"));
if (!(await stat(join(folder, "model.safetensors")).catch(() => undefined))) await writeFrozen();
const checkpoint = await openCheckpointAt(folder);
const store = new ParameterStore(all.filter(({ path }) => path.includes("lora_")));
store.initialize(counterRandom(0, "init"));
const before = performance.now();
const training = await TrainGraph.open(trace, store, {}, checkpoint);
const opened = (performance.now() - before) / 1000;
const optimizer = new AdamW(store, { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0 });
const row = Int32Array.from(
  Array.from({ length: T }, (_, t) => [...textBlock(5 + ((37 * t) % 1000), blocksOf())]).flat(),
);
const lossMask = Uint8Array.from({ length: T }, (_, t) => (t >= (3 * T) / 4 ? 1 : 0));
const { feeds } = trainingFeeds([{ blocks: row, lossMask, cuSegments: [0, T] }], config, sizes);
const times: number[] = [];
/** Seconds of all cores together: what a busy machine still tells. */
const cpu: number[] = [];
const losses: number[] = [];
for (let step = 1; step <= Number(steps); step++) {
  const start = performance.now();
  const used = process.cpuUsage();
  const { loss } = await training.run(feeds);
  optimizer.update(step, 1e-3);
  times.push((performance.now() - start) / 1000);
  const { user, system } = process.cpuUsage(used);
  cpu.push((user + system) / 1e6);
  losses.push(Number(loss!.data[0]));
}
const status = await (await import("node:fs/promises")).readFile("/proc/self/status", "utf8");
const megabytes = (name: string) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1000);
console.log(
  JSON.stringify({
    shape,
    form,
    blocks: T,
    trained: store.trainedLength,
    opened,
    bestS: Math.min(...times),
    times,
    cpu,
    losses,
    peakMB: megabytes("VmHWM"),
    anonymousMB: megabytes("RssAnon"),
    fileMB: megabytes("RssFile"),
  }),
);
await training.release();
await checkpoint.close();

function blocksOf() {
  const { qwen } = config;
  return {
    vocabSize: qwen.vocab_size,
    codebookSize: qwen.codebook_size,
    codesPerPatch: qwen.n_q_tokens,
    qEos: qwen.q_eos_token,
    visionStart: qwen.vision_start_token_id,
    visionEnd: qwen.vision_end_token_id,
    imagePad: qwen.image_token_id,
    eos: qwen.eos_token_id,
  };
}

/** The frozen weights, a tensor at a time. */
async function writeFrozen(): Promise<void> {
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await makeFolder(partial);
  const formOf = (path: string, shape: readonly number[]) => {
    if (shape.length !== 2) return "f32" as const;
    return form === "bf16" ? ("bf16" as const) : matrixForm(path, shape, { weights: form as "int4" | "int8" });
  };
  const stored = frozen.flatMap(({ path, shape }): [string, TensorShape][] => {
    const found = formOf(path, shape);
    if (typeof found === "string") return [[path, { dtype: found, shape }]];
    const [out, width] = shape as [number, number];
    const { bits, block } = found;
    return [
      [path, { dtype: "u8", shape: [out, width / block, (block * bits) / 8] }],
      [scalesName(path), { dtype: "f32", shape: [out, width / block] }],
    ];
  });
  const writer = await ShardedWriter.create(partial, "model", new Map(stored), { metadata: { format: "pt" } });
  for (const [seed, { path, shape }] of frozen.entries()) {
    const found = formOf(path, shape);
    const size = shape.reduce((a, b) => a * b, 1);
    if (found === "f32") await writer.write(path, 0, new Float32Array(size).fill(1));
    else if (found === "bf16") {
      const chunk = 2 ** 22;
      const bytes = fillRandomBytes(new Uint8Array(Math.min(chunk, size)), seed);
      const part = f32ToBf16(Float32Array.from(bytes, (byte) => (byte / 128 - 1) / Math.sqrt(shape[1]!)));
      for (let at = 0; at < size; at += chunk)
        await writer.write(path, 2 * at, part.subarray(0, Math.min(chunk, size - at)));
    } else {
      const { bits, block } = found;
      const all = (size * bits) / 8;
      const bytes = fillRandomBytes(new Uint8Array(Math.min(2 ** 22, all)), seed);
      for (let at = 0; at < all; at += bytes.length)
        await writer.write(path, at, bytes.subarray(0, Math.min(bytes.length, all - at)));
      const deviation = bits === 4 ? 4.6 : 73.9;
      await writer.write(
        scalesName(path),
        0,
        new Float32Array(size / block).fill(1 / (deviation * Math.sqrt(shape[1]!))),
      );
    }
  }
  await writer.finish();
  await rename(partial, folder);
}
