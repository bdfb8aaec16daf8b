// Trains a low-rank adapter on a frozen model, for `kelix finetune`. The training state is in a run's folder, as with any
// stage; the adapter's folder appears when it is complete.

import { resolveModel } from "../model/find.node.ts";
import { refuseExisting } from "../quantize/atomic-folder.ts";
import { checkOptions } from "../read-options.ts";
import { runSchema } from "./config.ts";
import { type FinetuneOptions, finetuneOptions } from "./finetune-options.ts";
import type { LogEntry } from "./run.ts";
import { startRun } from "./start.ts";

/** Steps between two checkpoints: seconds for a small model, minutes for a large one. */
const CHECKPOINT_EVERY = 20;

/**
 * Trains on `options.data` and writes the adapter to the new folder `out`. `resume` continues an interrupted training with the same
 * losses. Throws an InputError if `out` exists, the data cannot be used, or another process trains there.
 */
export async function finetuneModel(model: string, out: string, given: FinetuneOptions): Promise<LogEntry[]> {
  const options = checkOptions("finetuneModel", finetuneOptions, given);
  const { rank, alpha = 2 * rank, steps, batch, replay, resume, signal, log = () => {} } = options;
  await refuseExisting(out);
  const config = runSchema.parse({
    stage: "adapter",
    description: `an adapter of ${model}`,
    folder: options.run ?? `${out}.run`,
    seed: options.seed,
    steps,
    learningRate: { schedule: "cosine", base: options.rate, warmup: Math.ceil(steps / 20) },
    optimizer: { clipNorm: 1 },
    train: ["lora_"],
    threads: options.threads,
    logEvery: Math.max(1, Math.min(10, Math.floor(steps / 10))),
    checkpointEvery: CHECKPOINT_EVERY,
    data: {
      source: { path: options.data, skipBad: options.skipBad },
      batch,
      replay: Math.min(replay, batch - 1),
      replayImages: options.replayImages,
      replayPath: options.replayData,
      variants: options.variants,
    },
    model: {
      base: await resolveModel(model, { signal }),
      rank,
      alpha,
      strength: options.strength,
      targets: options.targets,
      out,
    },
  });
  return startRun(config, model, { resume, log, ...(signal && { signal }) });
}
