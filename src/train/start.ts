// Opens the stage that a config names and trains it: what `kelix train` runs.

import { InputError, KelixError, MemoryError, ModelError, quote } from "../errors.ts";
import { type RunConfig, readRunConfig, stageNames } from "./config.ts";
import { findInit, resolveLatest } from "./latest.ts";
import { type LogEntry, type RunOptions, train } from "./run.ts";
import type { Stage } from "./stage.ts";

type Opener = (config: RunConfig, log: (line: string) => void, signal?: AbortSignal) => Promise<Stage>;

const openers: Readonly<Record<RunConfig["stage"], () => Promise<Opener>>> = {
  autoencoder: async () => (await import("./stages/autoencoder.ts")).openAutoencoderStage,
  diffusion: async () => (await import("./stages/diffusion.ts")).openDiffusionStage,
  "language-model": async () => (await import("./stages/language-model.ts")).openLanguageModelStage,
  tokenizer: async () => (await import("./stages/tokenizer.ts")).openTokenizerStage,
};

export interface StartOptions extends RunOptions {
  /** Weights to start from in place of the config's `initFrom`: see findInit. */
  readonly init?: string | undefined;
}

/** Trains `stage` by the config file; throws when the file is for another stage. */
export async function startTraining(stage: string, path: string, options: StartOptions = {}): Promise<LogEntry[]> {
  if (!stageNames.some((name) => name === stage))
    throw new InputError(`${quote(stage)} is no stage of training; there are ${stageNames.join(", ")}`);
  const written = await readRunConfig(path);
  if (written.stage !== stage) throw new InputError(`${path} is for the stage ${written.stage}, not ${stage}`);
  const { init } = options;
  const started = init === undefined ? written : { ...written, initFrom: [await findInit(init, written.stage)] };
  const config = await resolveLatest(started);
  const open = await openers[config.stage]();
  const { log = () => {}, signal } = options;
  try {
    return await train(config, () => open(config, log, signal).catch((error: unknown) => refuse(path, error)), options);
  } catch (error) {
    if (!(error instanceof RangeError && /array|allocation/i.test(error.message))) throw error;
    // An array that the engine cannot make: the sizes are the config's.
    throw new MemoryError(`${path}: its sizes need more memory than one array can have; make the batch smaller`, 0, 0);
  }
}

/** What a stage says of its settings does not name their file. */
function refuse(path: string, error: unknown): never {
  if (!(error instanceof KelixError)) throw error;
  const { message, code } = error;
  const Class = error instanceof ModelError ? ModelError : InputError;
  throw new Class(`${path}: ${message}`, { code, cause: error });
}
