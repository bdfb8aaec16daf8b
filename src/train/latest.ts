// "runs/nano/tokenizer@latest" in a config: another run's latest weights, without naming their step.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError, quote } from "../errors.ts";
import type { RunConfig } from "./config.ts";
import { latestCheckpoint } from "./training-state.ts";

const SUFFIX = "@latest";

/** The config with such names replaced by files, in `initFrom` and anywhere in `model`. Throws if a run has no checkpoint. */
export async function resolveLatest(config: RunConfig): Promise<RunConfig> {
  const [initFrom, model] = await Promise.all([resolve(config.initFrom), resolve(config.model)]);
  return { ...config, initFrom: initFrom as string[], model: model as RunConfig["model"] }; // of the same shape
}

/**
 * The weights of a stage named by `--init`: a file, a checkpoint, a run (its latest checkpoint), or a model folder (the
 * part that the stage trains).
 */
export async function findInit(name: string, stage: RunConfig["stage"]): Promise<string> {
  if (name.endsWith(SUFFIX)) return findWeights(name);
  if (existsSync(join(name, "checkpoints"))) return findWeights(`${name}${SUFFIX}`);
  const part = { adapter: "", autoencoder: "vae", diffusion: "dit", tokenizer: "", "language-model": "" }[stage];
  const candidates = [join(name, "average.safetensors"), ...(part ? [join(name, part)] : [])];
  return candidates.find((path) => existsSync(path)) ?? name;
}

async function resolve(value: unknown): Promise<unknown> {
  if (typeof value === "string") return value.endsWith(SUFFIX) ? findWeights(value) : value;
  if (Array.isArray(value)) return Promise.all(value.map(resolve));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(async ([key, inner]) => [key, await resolve(inner)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** The running average if the run keeps one, as used for its samples. */
async function findWeights(name: string): Promise<string> {
  const checkpoint = await latestCheckpoint(name.slice(0, -SUFFIX.length));
  if (!checkpoint) throw new InputError(`${quote(name)}: this run has no checkpoint yet; train it first`);
  const average = join(checkpoint.folder, "average.safetensors");
  return existsSync(average) ? average : join(checkpoint.folder, "model.safetensors");
}
