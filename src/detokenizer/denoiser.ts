// The diffusion transformer, loaded: two sessions that share no weight. The first turns conditions into keys and values,
// once a picture; the second answers with a velocity at each step of a sampler.

import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { attentionBias, connectCondition, crossMemory, embedCondition, nullCondition, type Rope } from "./condition.ts";
import type { DitConfig } from "./config.ts";
import { predictVelocity } from "./diffusion-transformer.ts";
import { type CrossPositions, crossRotaryTables } from "./positions.ts";
import type { Velocity } from "./samplers.ts";

/** Conditions of a batch, after the connector. */
export interface ConditionBatch {
  /** [B, L, C] */
  readonly y: Float32Array;
  /** [B, L] of 0 and 1. */
  readonly mask: Float32Array;
  readonly batch: number;
}

export class Denoiser {
  readonly config: DitConfig;
  /** Rows and columns of latents. */
  readonly latentGrid: readonly [number, number];
  readonly #connector: Session | undefined;
  readonly #memory: Session;
  readonly #velocity: Session;
  readonly #nullRows: Float32Array;

  private constructor(
    config: DitConfig,
    latentGrid: readonly [number, number],
    sessions: { connector: Session | undefined; memory: Session; velocity: Session },
    nullRows: Float32Array,
  ) {
    this.config = config;
    this.latentGrid = latentGrid;
    this.#connector = sessions.connector;
    this.#memory = sessions.memory;
    this.#velocity = sessions.velocity;
    this.#nullRows = nullRows;
  }

  /** Loads the transformer for latents of one size. The null condition's length is the weights', whatever the config says. */
  static async open(
    declared: DitConfig,
    weights: WeightSource,
    latentGrid: readonly [number, number] = [declared.inputSize, declared.inputSize],
    options: SessionOptions = {},
  ): Promise<Denoiser> {
    const config = withNullLength(declared, weights);
    const sessions: Session[] = [];
    const open = async (graph: Graph) => {
      const session = await openSession(graph, weights, options);
      sessions.push(session);
      return session;
    };
    try {
      const { rows } = await (await open(nullGraph(config))).run({});
      await sessions.pop()!.release();
      const connector = config.useConnector ? await open(connectorGraph(config)) : undefined;
      const [memory, velocity] = [await open(memoryGraph(config)), await open(velocityGraph(config, latentGrid))];
      return new Denoiser(config, latentGrid, { connector, memory, velocity }, rows!.data as Float32Array);
    } catch (error) {
      await Promise.all(sessions.map((session) => session.release()));
      throw error;
    }
  }

  /** Elements of one picture's latents, in * h * w. */
  get latentLength(): number {
    return this.config.inChannels * this.latentGrid[0] * this.latentGrid[1];
  }

  /** Hidden states [L, connector] -> conditions [L, C]; the states themselves where the model has no connector. */
  async connect(hidden: Float32Array): Promise<Float32Array> {
    if (!this.#connector) return hidden;
    const width = this.config.connectorChannels!;
    const { y } = await this.#connector.run({ hidden: f32(hidden, [1, hidden.length / width, width]) });
    return y!.data as Float32Array;
  }

  /** The null condition as [L, C], its first rows or, where it has fewer than L, padded with zeros, and its own mask [L]. */
  nullCondition(L: number): { y: Float32Array; mask: Float32Array } {
    const C = this.config.captionChannels;
    const rows = Math.min(L, this.config.modelMaxLength);
    const y = new Float32Array(L * C);
    y.set(this.#nullRows.subarray(0, rows * C));
    return { y, mask: new Float32Array(L).fill(1, 0, rows) };
  }

  /** Runs the conditions' part and returns the velocity that a sampler asks, for `batch` latents side by side. */
  async prepare(conditions: ConditionBatch, positions?: CrossPositions): Promise<Velocity> {
    const { config } = this;
    const { batch } = conditions;
    const L = conditions.mask.length / batch;
    const [h, w] = this.latentGrid;
    const E = config.hiddenSize / config.numHeads;
    const feeds: Record<string, HostTensor> = { bias: f32(attentionBias(conditions.mask), [batch, L]) };
    const tables: Record<string, HostTensor> = {};
    if (config.useCrossAttnRope) {
      if (!positions) throw new Error("This model's cross-attention needs `positions`");
      const { latent, condition } = crossRotaryTables(positions, E, config.usePositionScale);
      Object.assign(tables, ropeFeeds(condition, L, E));
      Object.assign(feeds, ropeFeeds(latent, (h * w) / config.patchSize ** 2, E));
    }
    const C = config.captionChannels;
    const memories: Record<string, HostTensor>[] = [];
    for (let b = 0; b < batch; b++) {
      const y = f32(conditions.y.subarray(b * L * C, (b + 1) * L * C), [1, L, C]);
      memories.push(await this.#memory.run({ ...tables, y }));
    }
    Object.assign(feeds, stack(memories));
    return async (x, timestep) => {
      const step = {
        x: f32(x, [batch, config.inChannels, h, w]),
        timestep: f32(new Float32Array(batch).fill(timestep), [batch]),
      };
      const { velocity } = await this.#velocity.run({ ...feeds, ...step });
      return velocity!.data as Float32Array;
    };
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#connector, this.#memory, this.#velocity].map((session) => session?.release()));
  }
}

/** The config with the length of the null condition that the weights really have: released configs state another. */
export function withNullLength(config: DitConfig, weights: WeightSource): DitConfig {
  const rows = weights.find("y_embedder.y_embedding")?.shape[0];
  return rows === undefined ? config : { ...config, modelMaxLength: rows };
}

function nullGraph(config: DitConfig): Graph {
  const graph = new Graph();
  graph.output("rows", nullCondition(graph.params, config));
  return graph;
}

/** The connector: hidden [1, L, connector] -> y [1, L, C]. */
export function connectorGraph(config: DitConfig): Graph {
  const graph = new Graph();
  const hidden = graph.input("hidden", [1, "L", config.connectorChannels!]);
  graph.output("y", connectCondition(graph.params, hidden, config));
  return graph;
}

/** Keys and values of every block for one condition y [1, L, C]. */
export function memoryGraph(config: DitConfig): Graph {
  const graph = new Graph();
  const y = graph.input("y", [1, "L", config.captionChannels]);
  const embedded = embedCondition(graph.params, y, config, { isConnected: true });
  for (const [l, { k, v }] of crossMemory(graph.params, embedded, config, ropeInputs(graph, config, "L")).entries()) {
    graph.output(`k.${l}`, k);
    graph.output(`v.${l}`, v);
  }
  return graph;
}

/** One step: the velocity of B latents. */
export function velocityGraph(config: DitConfig, [h, w]: readonly [number, number]): Graph {
  const graph = new Graph();
  const { hiddenSize: D, numHeads: H, inChannels } = config;
  const memory = Array.from({ length: config.depth }, (_, l) => ({
    k: graph.input(`k.${l}`, ["B", H, "L", D / H]),
    v: graph.input(`v.${l}`, ["B", H, "L", D / H]),
  }));
  const x = graph.input("x", ["B", inChannels, h, w]);
  const timestep = graph.input("timestep", ["B"]);
  const bias = graph.input("bias", ["B", "L"]);
  const rope = ropeInputs(graph, config, (h * w) / config.patchSize ** 2);
  const out = predictVelocity(graph.params, { x, timestep, memory, bias, rope }, config);
  graph.output("velocity", config.predSigma ? out.slice(1, 0, inChannels) : out); // the sigma is no part of the flow
  return graph;
}

function ropeInputs(graph: Graph, config: DitConfig, n: number | string): Rope | undefined {
  if (!config.useCrossAttnRope) return undefined;
  const half = config.hiddenSize / config.numHeads / 2;
  const table = (name: string): Tensor => graph.input(name, [n, half]);
  return { cos: table("cos"), sin: table("sin") };
}

function ropeFeeds(table: { cos: Float32Array; sin: Float32Array }, n: number, E: number): Record<string, HostTensor> {
  return { cos: f32(table.cos, [n, E / 2]), sin: f32(table.sin, [n, E / 2]) };
}

/** Tensors [1, ..] of the same names as [B, ..]. */
function stack(samples: readonly Record<string, HostTensor>[]): Record<string, HostTensor> {
  const [first] = samples;
  if (samples.length === 1) return first!;
  const names = Object.keys(first!);
  return Object.fromEntries(
    names.map((name) => {
      const { shape, data } = first![name]!;
      const joined = new Float32Array(samples.length * data.length);
      for (const [b, sample] of samples.entries()) joined.set(sample[name]!.data as Float32Array, b * data.length);
      return [name, f32(joined, [samples.length, ...shape.slice(1)])];
    }),
  );
}
