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
  /** Weights to start from in place of the config's `initFrom`: see findInit. */
  readonly init?: string | undefined;
  /** Examples to train on in place of the config's: see docs/data.md. */
  readonly data?: string | undefined;
  /** Examples that samples are made of. */
  readonly heldOut?: string | undefined;
  readonly skipBad?: boolean | undefined;
}

/** Trains `stage` by the config file; throws when the file is for another stage. */
export async function startTraining(stage: string, path: string, options: StartOptions = {}): Promise<LogEntry[]> {
  if (!stageNames.some((name) => name === stage))
    throw new InputError(`${quote(stage)} is no stage of training; there are ${stageNames.join(", ")}`);
  const written = await readRunConfig(path);
  if (written.stage !== stage) throw new InputError(`${path} is for the stage ${written.stage}, not ${stage}`);
  const { init } = options;
  const started = init === undefined ? written : await startFrom(written, init);
  return startRun(withSource(started, options), path, options);
}

/** The config with the weights of `--init`, and with the parts around them where that is a model folder. */
async function startFrom(config: RunConfig, init: string): Promise<RunConfig> {
  return { ...(await withModelFolder(config, init)), initFrom: [await findInit(init, config.stage)] };
}

/** Trains by a config that is read already; `path` names it in messages. */
export async function startRun(written: RunConfig, path: string, options: RunOptions = {}): Promise<LogEntry[]> {
  const { log = () => {}, signal } = options;
  const { config, own } = await openOwn(await resolveLatest(written), options);
  const open = await openers[config.stage]();
  try {
    const stage = () => open(config, { log, signal, own }).catch((error: unknown) => refuse(path, error));
    return await train(config, stage, options);
  } catch (error) {
    if (!(error instanceof RangeError && /array|allocation/i.test(error.message))) throw error;
    // An array that the engine cannot make: the sizes are the config's.
    throw new MemoryError(`${path}: its sizes need more memory than one array can have; make the batch smaller`, 0, 0);
  } finally {
    await own?.close();
  }
}

/** Which parts of `data` say what kinds of samples are drawn. */
const mixes = ["mix", "questions", "requests"];

/** The config with the data of the command line: all samples are drawn from it, unless the config gives it a share already. */
function withSource(config: RunConfig, { data: path, heldOut, skipBad }: StartOptions): RunConfig {
  if (path === undefined) {
    if (heldOut === undefined && !skipBad) return config;
    throw new InputError("--held-out and --skip-bad are about the examples that --data names", {
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

/** Opens the run's own examples and writes their fingerprint into the config, by which a resumed run knows them again. */
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

/** What a stage says of its settings does not name their file. */
function refuse(path: string, error: unknown): never {
  if (!(error instanceof KelixError)) throw error;
  const { message, code } = error;
  const Class = error instanceof ModelError ? ModelError : InputError;
  throw new Class(`${path}: ${message}`, { code, cause: error });
}
