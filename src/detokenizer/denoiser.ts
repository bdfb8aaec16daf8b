// The diffusion transformer at work. One part turns conditions into the keys and values of every block, once an image;
// another answers with a velocity at each step of a sampler. They share no weight and need not be in memory together.

import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import type { WeightSource } from "../runtime/session.ts";
import type { SessionCache, SessionPart } from "../runtime/session-cache.ts";
import { Graph } from "../tensor/graph.ts";
import { countFlop } from "../tensor/products.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { attentionBias, connectCondition, crossMemory, embedCondition, nullCondition, type Rope } from "./condition.ts";
import type { DitConfig, LatentGrid } from "./config.ts";
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
  readonly #weights: WeightSource;
  readonly #sessions: SessionCache;

  /** The null condition's length is the weights', whatever the config says. */
  constructor(declared: DitConfig, weights: WeightSource, sessions: SessionCache) {
    this.config = withNullLength(declared, weights);
    this.#weights = weights;
    this.#sessions = sessions;
  }

  /** Hidden states [L, connector] -> conditions [L, C]; the states themselves where the model has no connector. */
  async connect(hidden: Float32Array): Promise<Float32Array> {
    const { useConnector, connectorChannels } = this.config;
    if (!useConnector) return hidden;
    const width = connectorChannels!;
    const L = hidden.length / width;
    const part = this.#once("connector", () => connectorGraph(this.config), { L });
    const { y } = await this.#sessions.run(part, { hidden: f32(hidden, [1, L, width]) });
    return y!.data as Float32Array;
  }

  /** The null condition as [L, C], its first rows or, where it has fewer than L, padded with zeros, and its own mask [L]. */
  async nullCondition(L: number): Promise<{ y: Float32Array; mask: Float32Array }> {
    const { rows } = await this.#sessions.run(
      this.#once("null condition", () => nullGraph(this.config)),
      {},
    );
    const C = this.config.captionChannels;
    const count = Math.min(L, this.config.modelMaxLength);
    const y = new Float32Array(L * C);
    y.set((rows!.data as Float32Array).subarray(0, count * C));
    return { y, mask: new Float32Array(L).fill(1, 0, count) };
  }

  /** Runs the conditions' part and returns the velocity that a sampler asks, for `batch` latents of one size side by side. */
  async prepare(conditions: ConditionBatch, latentGrid: LatentGrid, positions?: CrossPositions): Promise<Velocity> {
    const { config } = this;
    const B = conditions.batch;
    const L = conditions.mask.length / B;
    const [h, w] = latentGrid;
    const E = config.hiddenSize / config.numHeads;
    const feeds: Record<string, HostTensor> = { bias: f32(attentionBias(conditions.mask), [B, L]) };
    const given: Record<string, HostTensor> = { y: f32(conditions.y, [B, L, config.captionChannels]) };
    if (config.useCrossAttnRope) {
      if (!positions) throw new Error("This model's cross-attention needs `positions`");
      const { latent, condition } = crossRotaryTables(positions, E, config.usePositionScale);
      Object.assign(given, ropeFeeds(condition, L, E));
      Object.assign(feeds, ropeFeeds(latent, (h * w) / config.patchSize ** 2, E));
    }
    const memory = this.#once("condition", () => memoryGraph(config), { B, L });
    Object.assign(feeds, await this.#sessions.run(memory, given));
    const step = this.#part(`velocity ${h} x ${w}`, () => velocityGraph(config, latentGrid), { sizes: { B, L } });
    return async (x, timestep) => {
      const { velocity } = await this.#sessions.run(step, {
        ...feeds,
        x: f32(x, [B, config.inChannels, h, w]),
        timestep: f32(new Float32Array(B).fill(timestep), [B]),
      });
      return velocity!.data as Float32Array;
    };
  }

  /** Operations of one step for a batch of B with L conditions each. */
  stepFlop(latentGrid: LatentGrid, B: number, L: number): number {
    return countFlop(velocityGraph(this.config, latentGrid), { B, L });
  }

  #part(key: string, trace: () => Graph, options: Pick<SessionPart, "sizes" | "runMemory"> = {}): SessionPart {
    return { key, weights: this.#weights, trace, ...options };
  }

  /** A part that runs once an image. */
  #once(key: string, trace: () => Graph, sizes: SessionPart["sizes"] = {}): SessionPart {
    return this.#part(key, trace, { sizes, runMemory: "returned" });
  }
}

/** The config with the length of the null condition that the weights really have: released configs state another. */
export function withNullLength(config: DitConfig, weights: WeightSource): DitConfig {
  const rows = weights.find("y_embedder.y_embedding")?.shape[0];
  return rows === undefined ? config : { ...config, modelMaxLength: rows };
}

/** The graphs of all parts, which together declare every parameter of the transformer. */
export function transformerGraphs(config: DitConfig): Graph[] {
  const { patchSize, useConnector } = config;
  const parts = [nullGraph(config), memoryGraph(config), velocityGraph(config, [patchSize, patchSize])];
  return useConnector ? [connectorGraph(config), ...parts] : parts;
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

/** Keys and values of every block for B conditions y [B, L, C]. */
export function memoryGraph(config: DitConfig): Graph {
  const graph = new Graph();
  const y = graph.input("y", ["B", "L", config.captionChannels]);
  const embedded = embedCondition(graph.params, y, config);
  for (const [l, { k, v }] of crossMemory(graph.params, embedded, config, ropeInputs(graph, config, "L")).entries()) {
    graph.output(`k.${l}`, k);
    graph.output(`v.${l}`, v);
  }
  return graph;
}

/** One step: the velocity of B latents. */
export function velocityGraph(config: DitConfig, [h, w]: LatentGrid): Graph {
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
