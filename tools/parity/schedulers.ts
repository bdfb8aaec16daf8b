// Parity of schedules: noise levels of training and of three samplers, timestep indices, learning rates.
// The names of the outputs say which shifts and step counts are wanted.

import { z } from "zod";
import { defaultSigmas, demoSigmas, TIMESTEPS } from "../../src/detokenizer/flow-schedule.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { timestepIndex, trainingSchedule } from "../../src/train/flow-schedule.ts";
import { type LrSchedule, learningRateFactor } from "../../src/train/lr-schedule.ts";
import type { ParityCase } from "./case.ts";
import { dpmTimes } from "./dpm-solver.ts";

const configSchema = z.object({
  num_timesteps: z.int().min(1).max(1_000_000),
  lr: z.array(
    z.object({
      name: z.enum(["cosine", "cosine_v2", "constant"]),
      base_lr: z.number(),
      num_warmup_steps: z.number().default(0),
      num_training_steps: z.number().optional(),
      num_decay_steps: z.number().optional(),
      num_stop_steps: z.number().default(0),
      num_cycles: z.number().default(0.5),
      min_lr: z.number().optional(),
      min_lr_rate: z.number().optional(),
      row: z.string(),
    }),
  ),
});
type LrConfig = z.output<typeof configSchema>["lr"][number];

export const schedulersCase: ParityCase = {
  matches: (config) => "num_timesteps" in config && "lr" in config,

  async run(folder) {
    const config = configSchema.parse(folder.config);
    const results = new Map<string, HostTensor>();
    for (const name of folder.outputsPresent) {
      const values = noiseLevels(name, config.num_timesteps);
      if (values) results.set(name, vector(values));
    }
    // How many rates there are and the values u to be mapped are given nowhere but in the outputs.
    const given = folder.outputsPresent.size
      ? await folder.readExtra("outputs.safetensors")
      : new Map<string, HostTensor>();
    for (const lr of config.lr) {
      const schedule = toSchedule(lr);
      const steps = given.get(lr.row)?.data.length ?? 70;
      results.set(
        lr.row,
        hostTensor(
          "f64",
          Float64Array.from({ length: steps }, (_, k) => lr.base_lr * learningRateFactor(schedule, k)),
          [steps],
        ),
      );
    }
    const u = given.get("u");
    if (u?.data instanceof Float32Array && u.data.every((value) => value >= 0 && value <= 1)) {
      const indices = BigInt64Array.from(u.data, (value) => BigInt(timestepIndex(value, config.num_timesteps)));
      results.set("u", u);
      results.set("u_to_index", hostTensor("i64", indices, u.shape));
    }
    return results;
  },

  tolerance: (name) => ({
    relative: name.startsWith("lr.") ? 1e-9 : 1e-6,
    exactWholes: /\.(timesteps|timestep_map)$/.test(name),
  }),
};

/** Values of a name such as `dpm.shift3.0.steps20.t`. */
function noiseLevels(name: string, timesteps: number): Float32Array | undefined {
  const [, kind, shiftText, , stepsText, what] = /^(\w+)\.shift([\d.]+?)(\.steps(\d+))?\.([a-z_]+)$/.exec(name) ?? [];
  const shift = Number(shiftText);
  const steps = Number(stepsText);
  if (kind === "train") {
    const { sigmas, timesteps: told } = trainingSchedule(timesteps, shift);
    return what === "sigmas" ? sigmas : told;
  }
  if (kind === "dpm") return dpmTimes(steps, shift);
  if (kind !== "euler_demo" && kind !== "euler_default") return undefined;
  const sigmas = kind === "euler_demo" ? demoSigmas(steps, shift) : defaultSigmas(steps, shift);
  if (what === "sigmas") return sigmas;
  // What the model is told at each sigma but the last 0, where it is not asked.
  return sigmas.subarray(0, -1).map((sigma) => sigma * TIMESTEPS);
}

function toSchedule(lr: LrConfig): LrSchedule {
  return {
    name: lr.name,
    warmup: lr.num_warmup_steps,
    total: lr.num_training_steps,
    decay: lr.num_decay_steps,
    stop: lr.num_stop_steps,
    minRate: lr.min_lr === undefined ? (lr.min_lr_rate ?? 0) : lr.min_lr / lr.base_lr,
    cycles: lr.num_cycles,
  };
}

function vector(values: Float32Array): HostTensor {
  return hostTensor("f32", values, [values.length]);
}
