// Trains the diffusion transformer on both of its conditions: the tokenizer's fused code embeddings (codes to
// pixels without the language model), and the language model's hidden states over an image (through the connector).
// Tokenizer, language model and autoencoder are frozen, so their outputs for a pool of images are computed once.

import { type DitConfig, parseDitConfig } from "../../detokenizer/config.ts";
import { computePositions, crossRotaryTables } from "../../detokenizer/positions.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, joinFloats } from "../../runtime/host-tensor.ts";
import type { Graph } from "../../tensor/graph.ts";
import { parseSection, type RunConfig } from "../config.ts";
import { drawU, timestepIndex, trainingSchedule } from "../flow-schedule.ts";
import { traceFlowLoss } from "../loss/flow-loss.ts";
import type { Stage, StageContext } from "../stage.ts";
import type { TracedLoss } from "../train-graph.ts";
import type { CrossRope } from "../whole-transformer.ts";
import {
  type DiffusionData,
  dataSchema,
  describeSpread,
  FROZEN_BATCH,
  FrozenModels,
  modelSchema,
  type PoolItem,
} from "./diffusion-pool.ts";
import { showDrawings } from "./diffusion-samples.ts";

/** Images between two log lines while the pool fills: a few seconds. */
const POOL_LOG_EVERY = 32 * FROZEN_BATCH;

/** Opens the stage: runs the frozen models over the pool. */
export async function openDiffusionStage(
  run: RunConfig,
  { log = () => {}, signal, own }: StageContext = {},
): Promise<Stage> {
  const data = parseSection(dataSchema, run, "data");
  const model = parseSection(modelSchema, run, "model");
  const config = parseDitConfig(model.config, "model.config");
  log("opening the frozen models");
  const frozen = await FrozenModels.open(model, data, { threads: run.threads, own });
  log(`pool: the frozen models read ${data.pool} images before the first step (data.pool)`);
  const pools = new Pools(frozen, run.seed, data, log, signal);
  log(describeSpread(await pools.at(0)));
  const { grid, ar } = frozen;
  const shown = await frozen.describe(run.seed, 0, "heldOutStyle");
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
      const pool = await pools.at(step);
      const items = Array.from({ length: B }, (_, b) => pool[random.fork("item").integer(b, pool.length)]!);
      const draws = random.fork("sigma").sequence();
      const sigmas = Float32Array.from({ length: B }, () => schedule.sigmas[timestepIndex(drawU(draws))]!);
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
    samples: (transformer, folder, step) =>
      showDrawings(
        shown,
        { transformer, config, autoencoder: model.autoencoder, grid },
        `${folder}/drawings-${step}.png`,
      ),
    release: () => frozen.release(),
  };
}

/** The pool of each range of steps: a function of the range, so that a resumed run finds the same images. */
class Pools {
  #stretch = -1;
  #items: PoolItem[] = [];
  readonly #frozen: FrozenModels;
  readonly #seed: number;
  readonly #data: DiffusionData;
  readonly #log: (line: string) => void;
  readonly #signal: AbortSignal | undefined;

  constructor(
    frozen: FrozenModels,
    seed: number,
    data: DiffusionData,
    log: (line: string) => void,
    signal?: AbortSignal,
  ) {
    this.#frozen = frozen;
    this.#seed = seed;
    this.#data = data;
    this.#log = log;
    this.#signal = signal;
  }

  async at(step: number): Promise<readonly PoolItem[]> {
    const { pool: size, renewEvery } = this.#data;
    const stretch = renewEvery === undefined ? 0 : Math.floor(step / renewEvery);
    if (stretch === this.#stretch) return this.#items;
    const first = stretch * Math.ceil(size / FROZEN_BATCH) * FROZEN_BATCH;
    this.#items = [];
    for (let done = 0; done < size; done += FROZEN_BATCH) {
      this.#signal?.throwIfAborted();
      this.#items.push(...(await this.#frozen.describe(this.#seed, first + done)));
      if (this.#items.length % POOL_LOG_EVERY === 0) this.#log(`pool: ${this.#items.length} of ${size} images`);
    }
    this.#stretch = stretch;
    return this.#items;
  }
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
