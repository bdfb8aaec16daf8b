// kelix train toy: every stage of a model on scenes of coloured shapes, without a download, in a few minutes; then the model folder
// and a page. Each stage is an ordinary run of its config in configs/toy, so an interrupted toy resumes where it stopped.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { assembleModel } from "../assemble.ts";
import { type RunConfig, readRunConfig } from "../config.ts";
import { corpusTexts, openCorpus } from "../data/corpus.ts";
import { resolveLatest } from "../latest.ts";
import type { RunOptions } from "../run.ts";
import { startRun } from "../start.ts";
import { latestCheckpoint } from "../training-state.ts";
import { writeVocabulary } from "../vocabulary.ts";
import { writeToyPage } from "./page.ts";

/** In training order; each uses the ones before it. */
export const toyRuns = ["autoencoder", "vision", "tokenizer", "language-model", "diffusion"] as const;
export type ToyRun = (typeof toyRuns)[number];

/** The configs' name for the folder that everything is written into. */
const PLACEHOLDER = "kelix-toy/";
const VOCABULARY = { size: 512, maxLength: 512 };
const SENTENCES = 1500;

export interface ToyOptions {
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** A fraction of each run's steps and images, for tests. */
  readonly share?: number;
}

/** Trains into `folder`, resuming what is there; returns the model's folder and the page. */
export async function trainToy(folder: string, options: ToyOptions = {}): Promise<{ model: string; page: string }> {
  const { log = () => {}, signal, share = 1 } = options;
  const vocabulary = join(folder, "vocabulary");
  const configs = new Map<ToyRun, RunConfig>();
  for (const name of toyRuns) configs.set(name, await readToyConfig(name, folder, share));
  if (!existsSync(join(vocabulary, "tokenizer.json"))) {
    const corpus = await openCorpus(undefined, SIDE, ["scene"]);
    const tokens = await writeVocabulary(vocabulary, corpusTexts(corpus, ["scene"], SENTENCES), VOCABULARY);
    log(`vocabulary: ${tokens} tokens`);
  }
  for (const [i, name] of toyRuns.entries()) {
    signal?.throwIfAborted();
    const config = configs.get(name)!;
    const last = await latestCheckpoint(config.folder);
    if (last && last.step >= config.steps) continue;
    log(`stage ${i + 1} of ${toyRuns.length}: ${name}`);
    await startRun(config, `configs/toy/${name}.json`, runOptions(options, last !== undefined));
    signal?.throwIfAborted();
  }
  const model = join(folder, "model");
  if (!existsSync(model)) await assembleToy(model, configs, vocabulary, log);
  const page = await writeToyPage(folder, { model, side: SIDE, runs: [...configs.values()] }, log, signal);
  return { model, page };
}

const SIDE = 40;

function runOptions({ log, signal }: ToyOptions, resume: boolean): RunOptions {
  return { resume, ...(log && { log: (line: string) => log(`  ${line}`) }), signal };
}

/** The config of a run in `folder`. */
async function readToyConfig(name: ToyRun, folder: string, share: number): Promise<RunConfig> {
  const config = await readRunConfig(`configs/toy/${name}.json`);
  const placed = JSON.parse(
    JSON.stringify(config, (_, value: unknown) =>
      typeof value === "string" && value.startsWith(PLACEHOLDER)
        ? join(folder, value.slice(PLACEHOLDER.length))
        : value,
    ),
  ) as RunConfig; // the same except for its paths
  const { warmup } = config.learningRate;
  const steps = Math.max(2, Math.round(config.steps * share));
  const { pool } = placed.data;
  const data = typeof pool === "number" ? { ...placed.data, pool: Math.ceil(pool * share) } : placed.data;
  return {
    ...placed,
    steps,
    data,
    learningRate: { ...placed.learningRate, warmup: Math.min(warmup, Math.floor(steps / 4)) },
  };
}

async function assembleToy(
  model: string,
  configs: ReadonlyMap<ToyRun, RunConfig>,
  vocabulary: string,
  log: (line: string) => void,
): Promise<void> {
  const diffusion = configs.get("diffusion")!;
  const parts = (await resolveLatest({ ...diffusion, initFrom: [`${diffusion.folder}@latest`] })) as RunConfig;
  const { config, autoencoder, languageModel, visualTokenizer } = parts.model as unknown as DiffusionParts;
  const files = { ...settings };
  for (const name of ["tokenizer.json", "tokenizer_config.json"])
    files[name] = await readFile(join(vocabulary, name), "utf8");
  await assembleModel(
    model,
    {
      ar: languageModel.config,
      visualTokenizer,
      languageModel: languageModel.weights,
      dit: { config, weights: parts.initFrom[0]! },
      vae: autoencoder,
      files,
    },
    log,
  );
}

/** `model` of a diffusion run's config, already checked by its stage. */
interface DiffusionParts {
  readonly config: Record<string, unknown>;
  readonly autoencoder: { readonly config: Record<string, unknown>; readonly weights: string };
  readonly languageModel: { readonly config: Record<string, unknown>; readonly weights: string };
  readonly visualTokenizer: string;
}

const CHAT_TEMPLATE = `{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}{% if part.type == "image" %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
`;

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;

/** The model's files besides weights and vocabulary: images of 40 x 40 pixels, or as many pixels in another shape. */
const settings: Record<string, string> = {
  "chat_template.jinja": CHAT_TEMPLATE,
  "preprocessor_config.json": json({
    patch_size: 4,
    merge_size: 2,
    temporal_patch_size: 1,
    min_pixels: SIDE ** 2,
    max_pixels: SIDE ** 2 + 63,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  }),
  "generation_config.json": json({
    positions: "raster",
    reconstruct: { steps: 4, guidance: 1 },
    imagine: { steps: 8, guidance: 1, temperature: 1, top_k: 0, top_p: 1, grid: [5, 5] },
  }),
};
