// Training of the diffusion transformer on both of its conditions at once: the tokenizer's fused code embeddings (codes to
// pixels without the language model), and the language model's hidden states over a picture (through the connector).
// Tokenizer, language model and autoencoder are frozen, so what they say about a pool of pictures is computed once.

import { z } from "zod";
import { type Checkpoint, openCheckpoint } from "../../checkpoint/checkpoint.ts";
import { encode } from "../../detokenizer/autoencoder.ts";
import { type DitConfig, parseAutoencoderConfig, parseDitConfig, pixelsPerLatent } from "../../detokenizer/config.ts";
import type { CrossRope } from "../../detokenizer/diffusion-transformer.ts";
import { drawU, timestepIndex, trainingSchedule } from "../../detokenizer/flow-schedule.ts";
import { traceFlowLoss } from "../../detokenizer/flow-training.ts";
import { computePositions, crossRotaryTables } from "../../detokenizer/positions.ts";
import { planesOf } from "../../image/planes.ts";
import { blockVocabulary, type KeyeArConfig, languageModelConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { readBlocks } from "../../llm/model.ts";
import { rowTables } from "../../llm/row-tables.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, i32, joinFloats } from "../../runtime/host-tensor.ts";
import { openSession, type Session } from "../../runtime/session.ts";
import { blockInputs, expandRow } from "../../sequence/blocks.ts";
import { idsFromCodes } from "../../sequence/ids.ts";
import { Graph } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { BatchTokenizer } from "../batch-tokenizer.ts";
import type { RunConfig } from "../config.ts";
import { type Corpus, openCorpus } from "../data/corpus.ts";
import { RowWriter } from "../data/rows.ts";
import type { Stage } from "../stage.ts";
import type { TracedLoss } from "../train-graph.ts";

const dataSchema = z.strictObject({
  cache: z.string().optional(),
  /** Folder of tokenizer.json. */
  tokenizer: z.string(),
  /** Pictures whose codes, hidden states and latents are computed before training. */
  pool: z.int().min(1),
  batch: z.int().min(1),
  /** Share of drawn scenes; the rest is emoji. */
  scenes: z.number().min(0).max(1),
  /** Share of batches conditioned on hidden states; the others on code embeddings. */
  hidden: z.number().min(0).max(1),
});

const modelSchema = z.strictObject({
  /** SanaConfig. */
  config: z.record(z.string(), z.unknown()),
  autoencoder: z.strictObject({ config: z.record(z.string(), z.unknown()), weights: z.string() }),
  languageModel: z.strictObject({ config: z.record(z.string(), z.unknown()), weights: z.string() }),
  visualTokenizer: z.string(),
  flowShift: z.number().positive().default(3),
});

/** What is known of one picture: [positions, C], [positions + 2, D] and [Z, h, w], flat. */
interface PoolItem {
  readonly codes: Float32Array;
  readonly hidden: Float32Array;
  readonly latents: Float32Array;
}

/** Opens the stage: runs the frozen models over the pool. */
export async function openDiffusionStage(run: RunConfig, log: (line: string) => void): Promise<Stage> {
  const data = dataSchema.parse(run.data);
  const model = modelSchema.parse(run.model);
  const config = parseDitConfig(model.config);
  const frozen = await Frozen.open(model, data, run.threads);
  const pool: PoolItem[] = [];
  for (let start = 0; start < data.pool; start += FROZEN_BATCH) {
    pool.push(...(await frozen.describe(run.seed, start)));
    if (pool.length % POOL_LOG_EVERY === 0) log(`pool: ${pool.length} of ${data.pool} pictures`);
  }
  log(describeSpread(pool));
  const { grid, ar } = frozen;
  await frozen.release();
  const B = data.batch;
  const latentShape = [B, config.inChannels, ...grid];
  const schedule = trainingSchedule(undefined, model.flowShift);
  const positions = grid[0] * grid[1];
  const conditions = {
    codes: { length: positions, width: config.captionChannels },
    hidden: { length: positions + 2, width: ar.qwen_config.embed_dim },
  };
  const trace = (kind: "codes" | "hidden") => (graph: Graph) =>
    traceFlow(graph, config, kind, B, conditions[kind], grid);
  return {
    losses: { codes: trace("codes"), hidden: trace("hidden") },
    async batch(step) {
      const random = counterRandom(run.seed, "batch").fork(step);
      const kind = random.uniform(0) < data.hidden ? "hidden" : "codes";
      const items = Array.from({ length: B }, (_, b) => pool[random.fork("item").integer(b, pool.length)]!);
      const draws = random.fork("sigma").sequence();
      const sigmas = Float32Array.from(
        { length: B },
        () => schedule.sigmas[timestepIndex(drawU({ kind: "logit-normal" }, draws))]!,
      );
      const drop = Float32Array.from({ length: B }, (_, b) =>
        random.fork("drop").uniform(b) < config.classDropoutProb ? 1 : 0,
      );
      const noise = random.fork("noise").fillNormal(new Float32Array(latentShape.reduce((a, b) => a * b, 1)));
      const { length, width } = conditions[kind];
      return {
        loss: kind,
        tokens: B * positions,
        feeds: {
          x0: f32(joinFloats(items.map((item) => item.latents)), latentShape),
          noise: f32(noise, latentShape),
          sigma: f32(sigmas, [B]),
          drop: f32(drop, [B]),
          y: f32(joinFloats(items.map((item) => item[kind])), [B, length, width]),
        },
      };
    },
  };
}

function traceFlow(
  graph: Graph,
  config: DitConfig,
  kind: "codes" | "hidden",
  B: number,
  { length, width }: { length: number; width: number },
  grid: readonly [number, number],
): TracedLoss {
  const condition = {
    y: graph.input("y", [B, length, width]),
    bias: graph.constant(new Float32Array(B * length), [B, length]),
    drop: graph.input("drop", [B]),
    isConnected: kind === "codes",
    ...(config.useCrossAttnRope && { rope: crossRope(graph, config, grid, length) }),
  };
  return { loss: traceFlowLoss(graph, [B, config.inChannels, ...grid], condition, config) };
}

function crossRope(graph: Graph, config: DitConfig, grid: readonly [number, number], length: number): CrossRope {
  const latentGrid = [grid[0] / config.patchSize, grid[1] / config.patchSize] as const;
  const positions = computePositions({
    scheme: "raster",
    codeGrid: grid,
    latentGrid,
    conditionLength: length,
    maxConditionLength: length,
  });
  const E = config.hiddenSize / config.numHeads;
  const tables = crossRotaryTables(positions, E, config.usePositionScale);
  const constant = ({ cos, sin }: { cos: Float32Array; sin: Float32Array }) => ({
    cos: graph.constant(cos, [cos.length / (E / 2), E / 2]),
    sin: graph.constant(sin, [sin.length / (E / 2), E / 2]),
  });
  return { latent: constant(tables.latent), condition: constant(tables.condition) };
}

/** Pictures that the frozen models read at a time. */
const FROZEN_BATCH = 16;
/** Pictures between two lines of the log while the pool fills: some seconds. */
const POOL_LOG_EVERY = 32 * FROZEN_BATCH;

interface FrozenParts {
  readonly corpus: Corpus;
  readonly tokenizer: BatchTokenizer;
  readonly writer: RowWriter;
  readonly latents: Session;
  readonly trunk: Session;
  readonly sources: readonly Checkpoint[];
  readonly data: z.infer<typeof dataSchema>;
  /** Blocks of a row. */
  readonly length: number;
}

/** The frozen models together. */
class Frozen {
  readonly grid: readonly [number, number];
  readonly ar: KeyeArConfig;
  readonly #parts: FrozenParts;

  private constructor(grid: readonly [number, number], ar: KeyeArConfig, parts: FrozenParts) {
    this.grid = grid;
    this.ar = ar;
    this.#parts = parts;
  }

  static async open(
    model: z.infer<typeof modelSchema>,
    data: z.infer<typeof dataSchema>,
    threads: number | undefined,
  ): Promise<Frozen> {
    const options = threads === undefined ? {} : { threads };
    const ar = parseKeyeArConfig(model.languageModel.config);
    const config = parseAutoencoderConfig(model.autoencoder.config);
    const side = ar.tokenizer_config.vision_config.image_size;
    const sources = await Promise.all(
      [model.visualTokenizer, model.languageModel.weights, model.autoencoder.weights].map((path) =>
        openCheckpoint(path),
      ),
    );
    const tokenizer = await BatchTokenizer.open(ar.tokenizer_config, sources[0]!, FROZEN_BATCH, threads);
    const writer = new RowWriter(await TextTokenizer.load(data.tokenizer), tokenizer.positions);
    const length = tokenizer.positions + ROOM_FOR_PROMPT;

    const pixels = new Graph();
    const latents = encode(
      pixels.params,
      pixels.input("pixels", [FROZEN_BATCH, config.inChannels, side, side]),
      config,
    );
    pixels.output("latents", latents.mul(config.scalingFactor));
    const blocks = new Graph();
    blocks.output("hidden", traceHidden(blocks, ar, length, tokenizer.positions + 2));
    const grid = [side / pixelsPerLatent(config), side / pixelsPerLatent(config)] as const;
    return new Frozen(grid, ar, {
      corpus: await openCorpus(data.cache, side),
      tokenizer,
      writer,
      latents: await openSession(pixels, sources[2]!, options),
      trunk: await openSession(blocks, sources[1]!, options),
      sources,
      data,
      length,
    });
  }

  /** Items start .. start + FROZEN_BATCH - 1 of the pool. */
  async describe(seed: number, start: number): Promise<PoolItem[]> {
    const { corpus, tokenizer, writer, latents: autoencoder, trunk, data, length } = this.#parts;
    const random = counterRandom(seed, "pool");
    const samples = Array.from({ length: FROZEN_BATCH }, (_, i) =>
      corpus.sample(random.uniform(start + i) < data.scenes ? "scene" : "emoji", "train", seed, start + i),
    );
    const pictures = samples.map(({ picture }) => picture);
    const { codes, embeddings } = await tokenizer.embed(pictures);
    const { latents } = await autoencoder.run({ pixels: planesOf(pictures) });

    const vocabulary = blockVocabulary(this.ar.qwen_config);
    const N = vocabulary.codesPerPatch;
    const M = tokenizer.positions;
    const index = new Int32Array(FROZEN_BATCH * length * N);
    const weight = new Float32Array(index.length);
    const places = new Int32Array(FROZEN_BATCH * (M + 2));
    samples.forEach(({ prompt }, b) => {
      const row = writer.imagining(prompt);
      const ids = Int32Array.from({ length }, (_, t) => row.ids[t] ?? writer.padId);
      const first = ids.indexOf(vocabulary.visionStart);
      if (first + M + 2 > length) throw new Error(`the prompt "${prompt}" has more than ${ROOM_FOR_PROMPT - 2} tokens`);
      const inputs = blockInputs(
        expandRow(ids, idsFromCodes(codes.subarray(b * M * N, (b + 1) * M * N), vocabulary), vocabulary),
        vocabulary,
      );
      index.set(inputs.index, b * length * N);
      weight.set(inputs.weight, b * length * N);
      for (let k = 0; k < M + 2; k++) places[b * (M + 2) + k] = b * length + first + k;
    });
    const shape = [FROZEN_BATCH, length, N];
    const { hidden } = await trunk.run({
      index: i32(index, shape),
      weight: f32(weight, shape),
      places: i32(places, [places.length]),
    });
    return samples.map((_, b) => ({
      codes: part(embeddings, b),
      hidden: part(hidden!.data as Float32Array, b),
      latents: part(latents!.data as Float32Array, b),
    }));
  }

  async release(): Promise<void> {
    const { tokenizer, latents, trunk, sources } = this.#parts;
    await Promise.all([
      tokenizer.release(),
      latents.release(),
      trunk.release(),
      ...sources.map((source) => source.close()),
    ]);
  }
}

/** Tokens around a picture in a request, its end mark included. */
const ROOM_FOR_PROMPT = 36;

function traceHidden(graph: Graph, ar: KeyeArConfig, T: number, perPicture: number): Tensor {
  const language = languageModelConfig(ar);
  const { qwen } = language;
  const shape = [FROZEN_BATCH, T, qwen.n_q_tokens];
  const { decoded } = readBlocks(
    graph.params,
    {
      index: graph.input("index", shape, "i32"),
      weight: graph.input("weight", shape),
      ...rowTables(graph, T, qwen),
    },
    language,
  );
  const places = graph.input("places", [FROZEN_BATCH * perPicture], "i32");
  return decoded.hidden
    .at(-1)!
    .reshape([FROZEN_BATCH * T, qwen.embed_dim])
    .gather(places);
}

function part(all: Float32Array, b: number): Float32Array {
  const size = all.length / FROZEN_BATCH;
  return all.slice(b * size, (b + 1) * size);
}

/** The latents' standard deviation should be near 1: the scaling factor is there for that. */
function describeSpread(pool: readonly PoolItem[]): string {
  let [sum, squares, count] = [0, 0, 0];
  for (const { latents } of pool) {
    for (const value of latents) {
      sum += value;
      squares += value * value;
      count++;
    }
  }
  const mean = sum / count;
  return `latents: mean ${mean.toFixed(3)}, standard deviation ${Math.sqrt(squares / count - mean * mean).toFixed(3)}`;
}
