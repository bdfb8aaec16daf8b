// The transformer in parts, the condition's first and then steps, against the whole of it in one graph.

import { afterAll, expect, test } from "vitest";
import { largestDifference, randomTensor, randomWeights, runOnce } from "../../test/random-weights.ts";
import { smallTransformer } from "../../test/released-detokenizer.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { SessionCache } from "../runtime/session-cache.ts";
import { Graph } from "../tensor/graph.ts";
import { diffusionTransformer } from "../train/whole-transformer.ts";
import { attentionBias } from "./condition.ts";
import { parseDitConfig } from "./config.ts";
import { Denoiser } from "./denoiser.ts";
import { computePositions, crossRotaryTables } from "./positions.ts";

const config = parseDitConfig(smallTransformer);
const { inChannels, connectorChannels, captionChannels: C, hiddenSize, numHeads, modelMaxLength } = config;
const [B, L, grid] = [2, 7, [4, 3]] as const;
const E = hiddenSize / numHeads;
const positions = computePositions({
  scheme: "raster",
  latentGrid: grid,
  codeGrid: [1, 5],
  conditionLength: L,
  maxConditionLength: L,
});
const y = randomTensor([B, L, connectorChannels!], 3);
const x = randomTensor([B, inChannels, ...grid], 4);
const mask = Float32Array.from([1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]);

const whole = new Graph();
const table = ({ cos, sin }: { cos: Float32Array; sin: Float32Array }) => ({
  cos: whole.constant(cos, [cos.length / (E / 2), E / 2]),
  sin: whole.constant(sin, [sin.length / (E / 2), E / 2]),
});
const tables = crossRotaryTables(positions, E, config.usePositionScale);
const inputs = {
  x: whole.input("x", x.shape),
  timestep: whole.input("timestep", [B]),
  y: whole.input("y", y.shape),
  bias: whole.input("bias", [B, L]),
  drop: whole.input("drop", [B]),
  rope: { latent: table(tables.latent), condition: table(tables.condition) },
};
whole.output("velocity", diffusionTransformer(whole.params, inputs, config));
const weights = randomWeights(whole);

const sessions = new SessionCache(2 ** 30, { threads: 1 });
const denoiser = new Denoiser(config, memoryWeights(new Map(Object.entries(weights))), sessions);
afterAll(() => sessions.close());

/** The velocity at time 400 from the one graph; `drop` names samples that get the null condition. */
async function expected(drop: readonly number[]) {
  const bias = f32(attentionBias(mask), [B, L]);
  const values = { ...weights, x, y, bias, timestep: f32([400, 400], [B]), drop: f32(drop, [B]) };
  return (await runOnce(whole, values)).velocity!;
}

test("keys and values computed once and then a step give the numbers of the one graph", async () => {
  const rows = y.data as Float32Array;
  const connected = await denoiser.connect(rows); // both samples as one row of conditions: the connector looks at each alone
  const velocity = await denoiser.prepare({ y: connected, mask, batch: B }, grid, positions);
  for (let step = 0; step < 2; step++) {
    const out = f32(await velocity(x.data as Float32Array, 400), x.shape);
    expect(largestDifference(out, await expected([0, 0]))).toBeLessThan(1e-4);
  }
});

test("the null condition is what dropped samples get in training", async () => {
  const connected = await denoiser.connect(y.data as Float32Array);
  const nothing = await denoiser.nullCondition(L);
  const both = Float32Array.from([...nothing.y, ...connected.subarray(L * C)]);
  const velocity = await denoiser.prepare({ y: both, mask, batch: B }, grid, positions);
  const out = f32(await velocity(x.data as Float32Array, 400), x.shape);
  expect(largestDifference(out, await expected([1, 0]))).toBeLessThan(1e-4);
});

test("the null condition of more entries than it has rows is padded and masked", async () => {
  const long = await denoiser.nullCondition(modelMaxLength + 2);
  expect(long.y.subarray(modelMaxLength * C)).toEqual(new Float32Array(2 * C));
  expect([...long.mask.subarray(-3)]).toEqual([1, 0, 0]);
  expect(long.y.subarray(0, C)).toEqual((await denoiser.nullCondition(1)).y);
});

test("one set of weights serves latents of several sizes", async () => {
  const connected = await denoiser.connect((y.data as Float32Array).slice(0, L * connectorChannels!));
  for (const size of [grid, [2, 6], [8, 8]] as const) {
    const own = computePositions({
      scheme: "raster",
      latentGrid: size,
      codeGrid: [1, 5],
      conditionLength: L,
      maxConditionLength: L,
    });
    const velocity = await denoiser.prepare({ y: connected, mask: mask.slice(0, L), batch: 1 }, size, own);
    const noise = randomTensor([inChannels, ...size]).data as Float32Array;
    const out = await velocity(noise, 1000);
    expect(out).toHaveLength(noise.length);
    expect(out.every(Number.isFinite)).toBe(true);
  }
});
