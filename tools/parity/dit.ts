// Parity of the diffusion transformer: positions, activations, loss, gradients and sampling of the folders `dit` and `dit_plain`.
// What is computed follows from the inputs present and from the names in outputs*.safetensors, not from the folder's name.

import { z } from "zod";
import { attentionBias } from "../../src/detokenizer/condition.ts";
import { type DitConfig, parseDitConfig } from "../../src/detokenizer/config.ts";
import { Denoiser, withNullLength } from "../../src/detokenizer/denoiser.ts";
import { defaultSigmas, demoSigmas } from "../../src/detokenizer/flow-schedule.ts";
import {
  type CrossPositions,
  computePositions,
  crossRotaryTables,
  sinCosPositions,
} from "../../src/detokenizer/positions.ts";
import { guide, type SamplerStep, sampleEuler, type Velocity } from "../../src/detokenizer/samplers.ts";
import { f32, type HostTensor, hostTensor, joinFloats } from "../../src/runtime/host-tensor.ts";
import { SessionCache } from "../../src/runtime/session-cache.ts";
import { Graph } from "../../src/tensor/graph.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { trainingSchedule } from "../../src/train/flow-schedule.ts";
import { flowLoss, noisyLatents, velocityTarget } from "../../src/train/loss/flow-matching.ts";
import { type CrossRope, diffusionTransformer, wholeCondition } from "../../src/train/whole-transformer.ts";
import { type GoldenFolder, type ParityCase, skipUnknown } from "./case.ts";
import { compute } from "./compute.ts";
import { dpmTimes, sampleDpm } from "./dpm-solver.ts";
import { input } from "./input.ts";
import { outputGradients } from "./output-gradients.ts";

const runSchema = z.object({
  flow_shift: z.number().default(3),
  cfg_scale: z.number().default(1),
  steps: z.int().min(1).max(1000).default(4),
  image_size: z.int().min(28).optional(),
  max_condition_length: z.int().min(1).optional(),
  token_embed_lengths: z.array(z.int().min(1)).min(1).optional(),
  grid_hw: z.tuple([z.int().min(1), z.int().min(1)]).optional(),
});
type Run = z.output<typeof runSchema>;

interface Setting {
  readonly folder: GoldenFolder;
  readonly config: DitConfig;
  readonly run: Run;
  readonly wanted: ReadonlySet<string>;
  readonly latents: HostTensor;
  /** [B, L, C0] */
  readonly cond: HostTensor;
  /** [B, L] */
  readonly mask: HostTensor;
  readonly positions: CrossPositions | undefined;
  readonly results: Map<string, HostTensor>;
}

export const ditCase: ParityCase = {
  matches: (config) => config.model_class === "SanaModel" || config.__class__ === "SanaConfig",

  async run(folder) {
    const config = withNullLength(parseDitConfig(folder.config, undefined, skipUnknown), folder.weights);
    const run = runSchema.parse(folder.config.run ?? {});
    const latents = input(folder, "latents");
    const cond = flattenTo3(input(folder, "cond"));
    const mask = { ...input(folder, "mask"), shape: [cond.shape[0]!, cond.shape[1]!] };
    const positions = findPositions(run, latents, config);
    const results = new Map<string, HostTensor>();
    const setting = { folder, config, run, wanted: folder.outputsPresent, latents, cond, mask, positions, results };
    if (positions) addPositions(positions, results);
    await addForward(setting);
    if (folder.inputs.has("noise") && folder.inputs.has("timesteps")) await addLoss(setting);
    if (folder.inputs.has("init_noise")) await addSampling(setting);
    return results;
  },

  tolerance(name, config = {}) {
    if (name.startsWith("grad.")) return { relative: 1e-4, absolute: isZeroGradient(name, config) ? 1e-5 : 0 };
    if (name.startsWith("pos.")) return { exact: true };
    if (/\.(trajectory|result|velocity)$/.test(name)) return { relative: 1e-4 };
    // The last bits of DPM-Solver's times are its processor's.
    if (/\.(sigmas|timesteps|model_input_t|model_timesteps)$/.test(name))
      return { relative: 1e-6, exactWholes: !name.startsWith("dpm.") };
    return { relative: 2e-5 };
  },
};

/** Softmax does not see a bias on the keys, unless a norm or rotary positions follow: the gradient is rounding about 0. */
function isZeroGradient(name: string, config: GoldenFolder["config"]): boolean {
  if (name.endsWith(".cross_attn.to_k.bias")) return !config.cross_norm && !config.use_cross_attn_rope;
  return name.endsWith(".attn.to_k.bias") && !config.qk_norm;
}

function findPositions(run: Run, latents: HostTensor, config: DitConfig): CrossPositions | undefined {
  const { grid_hw: grid, token_embed_lengths: lengths, image_size: imageSize, max_condition_length: longest } = run;
  if (!grid || !lengths || imageSize === undefined || longest === undefined) return undefined;
  return computePositions({
    scheme: "reference",
    latentGrid: [latents.shape[2]! / config.patchSize, latents.shape[3]! / config.patchSize],
    codeGrid: [Math.floor(grid[0] / 2), Math.floor(grid[1] / 2)],
    conditionLength: lengths[0]!,
    maxConditionLength: longest,
    imageSize,
  });
}

function addPositions({ latent, condition, extents }: CrossPositions, results: Map<string, HostTensor>): void {
  const add = (name: string, values: ArrayLike<number>) => {
    const data = BigInt64Array.from(Array.from(values), BigInt);
    results.set(`pos.${name}`, hostTensor("i64", data, [values.length]));
  };
  add("x_input_pos.height", latent.rows);
  add("x_input_pos.width", latent.columns);
  add("cond_input_pos.height", condition.rows);
  add("cond_input_pos.width", condition.columns);
  add("HW", extents);
}

/** A graph of the whole transformer with this folder's sizes, and what to feed it. */
function trace(setting: Setting, timestep: HostTensor, hasRope: boolean) {
  const { config, cond, mask, latents } = setting;
  const graph = new Graph();
  const feeds: Record<string, HostTensor> = {
    timestep: f32(numbers(timestep), timestep.shape),
    y: cond,
    bias: f32(attentionBias(numbers(mask)), mask.shape),
  };
  let rope: CrossRope | undefined;
  if (setting.positions && hasRope && config.useCrossAttnRope) {
    const E = config.hiddenSize / config.numHeads;
    const tables = crossRotaryTables(setting.positions, E, config.usePositionScale);
    const constants = ({ cos, sin }: (typeof tables)["latent"]) => ({
      cos: graph.constant(cos, [cos.length / (E / 2), E / 2]),
      sin: graph.constant(sin, [sin.length / (E / 2), E / 2]),
    });
    rope = { latent: constants(tables.latent), condition: constants(tables.condition) };
  }
  const velocityAt = (x: Tensor) =>
    diffusionTransformer(
      graph.params,
      {
        x,
        timestep: graph.input("timestep", timestep.shape),
        y: graph.input("y", cond.shape),
        bias: graph.input("bias", mask.shape),
        rope,
        // A condition as wide as the connector's output has been through it.
        isConnected: !config.useConnector || cond.shape[2] !== config.connectorChannels,
      },
      config,
    );
  return { graph, feeds, velocityAt, latentShape: latents.shape };
}

async function addForward(setting: Setting): Promise<void> {
  const { folder, config, wanted, latents, cond, results } = setting;
  const timestep = folder.inputs.get("forward_timestep") ?? input(folder, "timestep");
  const { graph, feeds, velocityAt } = trace(setting, timestep, true);
  const out = velocityAt(graph.input("x", latents.shape));
  graph.output("forward", out);
  if (wanted.has("forward_with_dpmsolver")) graph.output("forward_with_dpmsolver", out.slice(1, 0, config.inChannels));
  for (const [path, activation] of graph.activations)
    if (wanted.has(`mid.${path}`)) graph.output(`mid.${path}`, activation);
  if (wanted.has("functional")) {
    const step = Math.fround(0.37); // the argument in float32, as the reference computed it
    const waves = Float32Array.from({ length: count(out.shape) }, (_, i) => Math.sin(Math.fround(step * i)));
    const functional = out.mul(graph.constant(waves, out.shape.map(Number))).sum([0, 1, 2, 3]);
    graph.output("functional", functional);
    outputGradients(graph, functional, wanted, "grad.");
  }
  await runInto(results, folder, graph, { ...feeds, x: latents });
  for (const [name, tensor] of results) {
    // The reference keeps an axis of length 1 in the condition's activations.
    if (/^mid\.(diffusion_connector|y_embedder|attention_y_norm)$/.test(name))
      results.set(name, likeCond(folder, tensor));
  }
  if (wanted.has("forward_no_rope")) {
    const plain = trace(setting, timestep, false);
    plain.graph.output("forward_no_rope", plain.velocityAt(plain.graph.input("x", latents.shape)));
    await runInto(results, folder, plain.graph, { ...plain.feeds, x: latents });
  }
  const forced = folder.inputs.get("force_drop_ids");
  if (forced) {
    const drop = new Graph();
    const isDropped = drop.constant(
      numbers(forced).map((id) => (id === 1 ? 1 : 0)),
      forced.shape,
    );
    wholeCondition(drop.params, { y: drop.input("y", cond.shape), drop: isDropped }, config);
    drop.output("y_embedder_forced_drop", drop.activations.get("y_embedder")!);
    await runInto(results, folder, drop, { y: cond });
    results.set("y_embedder_forced_drop", likeCond(folder, results.get("y_embedder_forced_drop")!));
  }
  if (wanted.has("pos_embed_ms")) {
    const [rows, columns] = [latents.shape[2]! / config.patchSize, latents.shape[3]! / config.patchSize];
    const base = config.inputSize / config.patchSize;
    const table = sinCosPositions(rows, columns, config.hiddenSize, base, config.peInterpolation);
    results.set("pos_embed_ms", f32(table, [1, rows * columns, config.hiddenSize]));
  }
}

async function addLoss(setting: Setting): Promise<void> {
  const { folder, run, wanted, latents, results } = setting;
  const schedule = trainingSchedule(undefined, run.flow_shift);
  const indices = numbers(input(folder, "timesteps"));
  const chosen = (table: Float32Array) =>
    f32(
      Float32Array.from(indices, (index) => table[index]!),
      [indices.length],
    );
  const [sigma, timestep] = [chosen(schedule.sigmas), chosen(schedule.timesteps)];
  const { graph, feeds, velocityAt } = trace(setting, timestep, true);
  const x0 = graph.input("x0", latents.shape);
  const noise = graph.input("noise", latents.shape);
  const x = noisyLatents(x0, noise, graph.input("sigma", sigma.shape));
  const output = velocityAt(x);
  const loss = flowLoss(output, velocityTarget(x0, noise));
  for (const [name, tensor] of Object.entries({ loss, "loss.x_t": x, "loss.model_output": output }))
    graph.output(name, tensor);
  outputGradients(graph, loss, wanted, "grad.");
  await runInto(results, folder, graph, { ...feeds, x0: latents, noise: input(folder, "noise"), sigma });
  results.set("loss.model_timesteps", timestep);
}

async function addSampling({ folder, config, run, cond, mask, positions, results }: Setting): Promise<void> {
  const noise = input(folder, "init_noise");
  const batch = noise.shape[0]!;
  const L = cond.shape[1]!;
  const sessions = new SessionCache(Number.POSITIVE_INFINITY);
  const denoiser = new Denoiser(config, folder.weights, sessions);
  try {
    const width = cond.shape[2]!;
    const hidden = numbers(cond).slice(0, batch * L * width);
    const isConnected = !config.useConnector || width !== config.connectorChannels;
    const y = isConnected ? hidden : await denoiser.connect(hidden);
    const own = numbers(mask).slice(0, batch * L);
    const rows = await denoiser.nullCondition(L);
    const nulls = repeat(rows.y, batch);
    const both = joinFloats([nulls, y]);
    const guided = async (nullMask: Float32Array): Promise<Velocity> => {
      const conditions = { y: both, mask: joinFloats([nullMask, own]), batch: 2 * batch };
      const velocity = await denoiser.prepare(conditions, [noise.shape[2]!, noise.shape[3]!], positions);
      return async (x, timestep) => guide(await velocity(joinFloats([x, x]), timestep), run.cfg_scale);
    };
    const record = () => {
      const [path, velocities, times]: [Float32Array[], Float32Array[], number[]] = [[numbers(noise)], [], []];
      const onStep = ({ latents, velocity }: SamplerStep) => {
        path.push(latents);
        velocities.push(velocity);
      };
      const watch =
        (velocity: Velocity): Velocity =>
        (x, timestep) => {
          times.push(timestep);
          return velocity(x, timestep);
        };
      return { path, velocities, times, onStep, watch };
    };
    const stack = (rows: Float32Array[]) => f32(joinFloats(rows), [rows.length * batch, ...noise.shape.slice(1)]);
    const vector = (values: ArrayLike<number>) => f32(values, [values.length]);

    const euler = await guided(repeat(rows.mask, batch));
    const schedules = {
      euler_demo: demoSigmas(run.steps, run.flow_shift),
      euler_default: defaultSigmas(run.steps, run.flow_shift),
    };
    for (const [name, sigmas] of Object.entries(schedules)) {
      const seen = record();
      await sampleEuler(seen.watch(euler), numbers(noise), sigmas, { onStep: seen.onStep });
      results.set(`${name}.sigmas`, vector(sigmas));
      results.set(`${name}.timesteps`, vector(seen.times));
      results.set(`${name}.trajectory`, stack(seen.path));
      results.set(`${name}.velocity`, stack(seen.velocities));
    }
    // DPM-Solver's guidance gives the null half the condition's mask.
    const dpm = await guided(own);
    const times = dpmTimes(run.steps, run.flow_shift);
    const seen = record();
    const result = await sampleDpm(seen.watch(dpm), numbers(noise), times, { onStep: seen.onStep });
    results.set("dpm.timesteps", vector(times));
    results.set("dpm.model_input_t", vector(seen.times));
    results.set("dpm.trajectory", stack(seen.path));
    results.set("dpm.result", f32(result, noise.shape));
  } finally {
    await sessions.close();
  }
}

async function runInto(
  results: Map<string, HostTensor>,
  folder: GoldenFolder,
  graph: Graph,
  feeds: Record<string, HostTensor>,
) {
  for (const [name, tensor] of await compute(graph, folder.weights, feeds)) results.set(name, tensor);
}

/** [B, 1, L, C] or [B, L, C] as [B, L, C] */
function flattenTo3(tensor: HostTensor): HostTensor {
  return { ...tensor, shape: [tensor.shape[0]!, ...tensor.shape.slice(-2)] };
}

/** Gives an activation [B, L, X] the rank of the folder's condition. */
function likeCond(folder: GoldenFolder, tensor: HostTensor): HostTensor {
  if (input(folder, "cond").shape.length !== 4 || tensor.shape.length === 4) return tensor;
  return { ...tensor, shape: [tensor.shape[0]!, 1, ...tensor.shape.slice(1)] };
}

function numbers({ data }: HostTensor): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data as ArrayLike<number | bigint>, Number);
}

function repeat(rows: Float32Array, times: number): Float32Array {
  return joinFloats(Array.from({ length: times }, () => rows));
}

function count(shape: readonly (number | string)[]): number {
  return shape.reduce<number>((product, n) => product * Number(n), 1);
}
