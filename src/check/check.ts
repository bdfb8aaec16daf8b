// kelix check: runs each part of a model once on bundled images and reports the results in a comparable form.
// If a part is missing or fails, the others still run.

import { fileURLToPath } from "node:url";
import { loadImage } from "../image/image-source.node.ts";
import { type RgbImage, readPixels } from "../image/rgb.ts";
import { type ErrorCode, Kelix, KelixError, type LoadOptions, type ModelInfo } from "../index.ts";
import { describeEnvironment, type Environment } from "./environment.ts";
import { printOfCodes, printOfPixels } from "./fingerprint.ts";
import { withoutPrivate } from "./private.ts";

export const checkParts = ["tokenize", "reconstruct", "answer", "imagine"] as const;
export type CheckPart = (typeof checkParts)[number];

export interface CheckOptions extends LoadOptions {
  /** Parts to skip. */
  readonly skip?: readonly CheckPart[];
  /** Called before each task. */
  readonly onTask?: (what: string) => void;
}

/** One task: its results by name, or why there are none. */
export interface CheckedTask {
  readonly task: string;
  readonly status: "ok" | "failed" | "missing" | "skipped";
  readonly seconds: number;
  readonly results: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string; readonly code?: ErrorCode };
}

export interface CheckReport {
  readonly environment: Environment;
  /** As requested. */
  readonly model: string;
  /** Absent if the model could not be loaded. */
  readonly info?: Omit<ModelInfo, "path" | "files"> & { readonly canImagine: boolean };
  /** Warnings about the model, including unknown fields of its configs. */
  readonly warnings: readonly string[];
  readonly tasks: readonly CheckedTask[];
  readonly peakMemoryBytes: number;
  readonly hasFailed: boolean;
}

/** Few sampler steps: the result is compared, not viewed. */
export const CHECK_STEPS = 2;
const ANSWER_TOKENS = 8;
const SEED = 1;
const QUESTION = "What is this?";
const PROMPT = "two red circles";

const images = ["rocket.png", "dog-face.png", "a-green-square-above-a-red-heart.png"] as const;
const imagesFolder = new URL("../../data/heldout/demo/", import.meta.url);

/** Checks a model by its name. Throws only when its signal aborts. */
export async function checkModel(name: string, options: CheckOptions = {}): Promise<CheckReport> {
  const { skip = [], onTask, ...loadOptions } = options;
  const { signal } = loadOptions;
  const environment = await describeEnvironment(loadOptions.device);
  const warnings: string[] = [];
  const tasks = new Tasks(skip, signal, onTask);
  let kelix: Kelix | undefined;
  await tasks.run("load", async () => {
    const onWarning = (warning: string) => {
      warnings.push(warning);
    };
    kelix = await Kelix.load(name, { ...loadOptions, onWarning });
    return {};
  });
  const info = kelix && describe(kelix);
  try {
    if (kelix) await checkLoaded(kelix, tasks, signal);
  } finally {
    await kelix?.dispose();
  }
  return withoutPrivate({
    environment,
    model: name,
    ...(info && { info }),
    warnings,
    tasks: tasks.done,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    hasFailed: tasks.done.some(({ status }) => status === "failed"),
  });
}

async function checkLoaded(kelix: Kelix, tasks: Tasks, signal: AbortSignal | undefined): Promise<void> {
  const common = { seed: SEED, ...(signal && { signal }) };
  let first: RgbImage | undefined;
  for (const name of images) {
    await tasks.run("tokenize", async () => {
      const image = await loadImage(fileURLToPath(new URL(name, imagesFolder)));
      first ??= image;
      return { image: name, codes: printOfCodes(await kelix.tokenize(image, signal ? { signal } : {})) };
    });
  }
  await tasks.run("reconstruct", async () => {
    first ??= await loadImage(fileURLToPath(new URL(images[0], imagesFolder)));
    const codes = await kelix.tokenize(first, signal ? { signal } : {});
    const pixels = printOfPixels(readPixels(await kelix.reconstruct(codes, { ...common, steps: CHECK_STEPS })));
    return { image: images[0], steps: CHECK_STEPS, seed: SEED, pixels };
  });
  await tasks.run("answer", async () => {
    first ??= await loadImage(fileURLToPath(new URL(images[0], imagesFolder)));
    const text = await kelix.describe(first, { ...common, prompt: QUESTION, maxNewTokens: ANSWER_TOKENS });
    return { image: images[0], question: QUESTION, tokens: ANSWER_TOKENS, text };
  });
  await tasks.run("imagine", async () => {
    const [image] = await kelix.imagine(PROMPT, { ...common, steps: CHECK_STEPS });
    const [codes, pixels] = [printOfCodes(image!.codes), printOfPixels(readPixels(image!))];
    return { prompt: PROMPT, steps: CHECK_STEPS, seed: SEED, codes, pixels };
  });
}

function describe(kelix: Kelix): NonNullable<CheckReport["info"]> {
  const { path: _, files: __, ...info } = kelix.info();
  return { ...info, canImagine: kelix.canImagine };
}

/** Runs tasks one after another and records their results. */
class Tasks {
  readonly done: CheckedTask[] = [];
  readonly #skip: readonly string[];
  readonly #signal: AbortSignal | undefined;
  readonly #onTask: ((what: string) => void) | undefined;

  constructor(skip: readonly string[], signal: AbortSignal | undefined, onTask?: (what: string) => void) {
    this.#skip = skip;
    this.#signal = signal;
    this.#onTask = onTask;
  }

  async run(task: string, work: () => Promise<Readonly<Record<string, unknown>>>): Promise<void> {
    if (this.#skip.includes(task)) {
      this.done.push({ task, status: "skipped", seconds: 0, results: {} });
      return;
    }
    this.#signal?.throwIfAborted();
    this.#onTask?.(task);
    const start = performance.now();
    const seconds = () => Math.round(performance.now() - start) / 1000;
    try {
      const results = await work();
      this.done.push({ task, status: "ok", seconds: seconds(), results });
    } catch (error) {
      this.#signal?.throwIfAborted();
      const code = error instanceof KelixError ? error.code : undefined;
      const status = code === "missing_part" ? "missing" : "failed";
      const { message } = error as Error;
      this.done.push({ task, status, seconds: seconds(), results: {}, error: { message, ...(code && { code }) } });
    }
  }
}
