// Opens the stage that a config names and trains it: what `kelix train` runs.

import { InputError, KelixError, MemoryError, ModelError, quote } from "../errors.ts";
import { type RunConfig, readRunConfig, stageNames } from "./config.ts";
import { OwnData, sourceSchema } from "./data/own-data.ts";
import { withModelFolder } from "./init-model.ts";
import { findInit, resolveLatest } from "./latest.ts";
import { type LogEntry, type RunOptions, train } from "./run.ts";
import { parseSettings } from "./settings.ts";
import type { Stage, StageContext } from "./stage.ts";

type Opener = (config: RunConfig, context: StageContext) => Promise<Stage>;

const openers: Readonly<Record<RunConfig["stage"], () => Promise<Opener>>> = {
  adapter: async () => (await import("./stages/adapter.ts")).openAdapterStage,
  autoencoder: async () => (await import("./stages/autoencoder.ts")).openAutoencoderStage,
  diffusion: async () => (await import("./stages/diffusion.ts")).openDiffusionStage,
  "language-model": async () => (await import("./stages/language-model.ts")).openLanguageModelStage,
  tokenizer: async () => (await import("./stages/tokenizer.ts")).openTokenizerStage,
};

export interface StartOptions extends RunOptions {
  /** Weights to start from instead of the config's `initFrom`: see findInit. */
  readonly init?: string | undefined;
  /** Examples to train on instead of the config's: see docs/data.md. */
  readonly data?: string | undefined;
  /** Examples for samples. */
  readonly heldOut?: string | undefined;
  readonly skipBad?: boolean | undefined;
}

/** Trains `stage` with the config file; throws if the file is for another stage. */
export async function startTraining(stage: string, path: string, options: StartOptions = {}): Promise<LogEntry[]> {
  if (!stageNames.some((name) => name === stage))
    throw new InputError(`${quote(stage)} is not a training stage; there are ${stageNames.join(", ")}`);
  const written = await readRunConfig(path);
  if (written.stage !== stage) throw new InputError(`${path} is for the stage ${written.stage}, not ${stage}`);
  const { init } = options;
  const started = init === undefined ? written : await startFrom(written, init);
  return startRun(withSource(started, options), path, options);
}

/** The config with the weights of `--init`, and with the other parts if that is a model folder. */
async function startFrom(config: RunConfig, init: string): Promise<RunConfig> {
  return { ...(await withModelFolder(config, init)), initFrom: [await findInit(init, config.stage)] };
}

/** Trains with a parsed config; `path` names it in messages. */
export async function startRun(written: RunConfig, path: string, options: RunOptions = {}): Promise<LogEntry[]> {
  const { log = () => {}, signal } = options;
  const { config, own } = await openOwn(await resolveLatest(written), options);
  const open = await openers[config.stage]();
  try {
    const stage = () => open(config, { log, signal, own }).catch((error: unknown) => refuse(path, error));
    return await train(config, stage, options);
  } catch (error) {
    if (!(error instanceof RangeError && /array|allocation/i.test(error.message))) throw error;
    // An array too large for the engine: its size comes from the config.
    throw new MemoryError(`${path}: its sizes exceed the memory of one array; use a smaller batch`, 0, 0);
  } finally {
    await own?.close();
  }
}

/** The parts of `data` that set the kinds of samples. */
const mixes = ["mix", "questions", "requests"];

/** The config with the command line's data: all samples come from it, unless the config already gives it a share. */
function withSource(config: RunConfig, { data: path, heldOut, skipBad }: StartOptions): RunConfig {
  if (path === undefined) {
    if (heldOut === undefined && !skipBad) return config;
    throw new InputError("--held-out and --skip-bad need --data", {
      code: "invalid_option",
    });
  }
  const shares = mixes.flatMap((name) => {
    const mix = config.data[name];
    const isOwn = typeof mix === "object" && mix !== null && "own" in mix;
    return name in config.data && !isOwn ? [[name, { own: 1 }]] : [];
  });
  const source = { path, ...(heldOut !== undefined && { heldOut }), ...(skipBad && { skipBad }) };
  return { ...config, data: { ...config.data, ...Object.fromEntries(shares), source } };
}

/** Opens the run's own examples and writes their fingerprint into the config, so that a resumed run recognises them. */
async function openOwn(
  config: RunConfig,
  options: RunOptions,
): Promise<{ config: RunConfig; own: OwnData | undefined }> {
  if (config.data.source === undefined) return { config, own: undefined };
  const source = parseSettings(sourceSchema, config.data.source, "data.source");
  const own = await OwnData.open(source, { ...options, seed: config.seed });
  const { fingerprint } = own;
  return { config: { ...config, data: { ...config.data, source: { ...source, fingerprint } } }, own };
}

/** A stage's messages about its settings do not name the file. */
function refuse(path: string, error: unknown): never {
  if (!(error instanceof KelixError)) throw error;
  const { message, code } = error;
  const Class = error instanceof ModelError ? ModelError : InputError;
  throw new Class(`${path}: ${message}`, { code, cause: error });
}
