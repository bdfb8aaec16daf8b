// Opens the stage that a config names and trains it: what `kelix train` runs.

import { type RunConfig, readRunConfig } from "./config.ts";
import { type LogEntry, type RunOptions, train } from "./run.ts";
import type { Stage } from "./stage.ts";

type Opener = (config: RunConfig, log: (line: string) => void) => Promise<Stage>;

const openers: Readonly<Record<RunConfig["stage"], () => Promise<Opener>>> = {
  autoencoder: async () => (await import("./stages/autoencoder.ts")).openAutoencoderStage,
  diffusion: async () => (await import("./stages/diffusion.ts")).openDiffusionStage,
  "language-model": async () => (await import("./stages/language-model.ts")).openLanguageModelStage,
  tokenizer: async () => (await import("./stages/tokenizer.ts")).openTokenizerStage,
};

/** Trains `stage` by the config file; throws when the file is for another stage. */
export async function startTraining(stage: string, path: string, options: RunOptions = {}): Promise<LogEntry[]> {
  const config = await readRunConfig(path);
  if (config.stage !== stage) throw new Error(`${path} is for the stage ${config.stage}, not ${stage}`);
  const open = await openers[config.stage]();
  return train(config, await open(config, options.log ?? (() => {})), options);
}
