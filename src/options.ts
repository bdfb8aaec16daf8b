// Every option that a caller may set: its range, default, type and description, said once. The types below, the checks
// (read-options.ts), the command line's flags (cli/option-flags.ts) and the config of a model are read off these schemas.

import { z } from "zod";
import type { PullProgress, PullWait } from "./hub/fetch-files.ts";
import type { HubSettings } from "./hub/settings.ts";
import type { Picture } from "./image/picture.ts";
import { devices } from "./runtime/backend.ts";

/**
 * Where long work has got to: bytes of a model's files on the disk, steps of opening it, blocks written, steps of the sampler,
 * parts of decoding.
 */
export interface Progress {
  readonly task: "fetch" | "load" | "write" | "draw" | "decode";
  readonly done: number;
  readonly total: number;
}

/** The message of each check says what is wanted, in words that follow "Expected `name` to be". */
function integer(from: number, to: number) {
  const error = `an integer from ${from} to ${to}`;
  return z.int({ error }).min(from, { error }).max(to, { error });
}

function number(from: number, to: number) {
  const error = `a number from ${from} to ${to}`;
  return z.number({ error }).min(from, { error }).max(to, { error });
}

function above(from: number, to: number) {
  const error = `a number above ${from} and at most ${to}`;
  return z.number({ error }).gt(from, { error }).max(to, { error });
}

function callback<F extends (...args: never[]) => unknown>() {
  return z.custom<F>((value) => typeof value === "function", { error: "a function" });
}

const text = z.string({ error: "a text" }).min(1, { error: "a text that is not empty" });
const flag = z.boolean({ error: "true or false" });
const bytes = integer(0, Number.MAX_SAFE_INTEGER);
const texts = z.array(text, { error: "a list of texts" }).readonly();

/** By what it does: a signal may come from another realm. */
const signal = z
  .custom<AbortSignal>(
    (value) => {
      const { aborted, throwIfAborted, addEventListener } = (value ?? {}) as Partial<AbortSignal>;
      return (
        typeof aborted === "boolean" && typeof throwIfAborted === "function" && typeof addEventListener === "function"
      );
    },
    { error: "an AbortSignal, such as the `signal` of an AbortController" },
  )
  .optional();

/** The ranges that a model's generation_config.json shares with the options. */
export const ranges = {
  steps: integer(1, 1000),
  guidance: number(0, 100),
  temperature: number(0, 100),
  topK: integer(0, 4_194_304),
  topP: above(0, 1),
};

const seeded = {
  /** The same seed gives the same result. 0 if absent. */
  seed: integer(0, Number.MAX_SAFE_INTEGER).default(0).describe("the same seed gives the same result"),
};

const watched = {
  /** Ends the work at its next step, which then throws the signal's reason. */
  signal,
  onProgress: callback<(progress: Progress) => void>().optional(),
};

const drawing = {
  ...seeded,
  ...watched,
  /** Steps of the sampler; as the model's generation_config.json says if absent, like `guidance`. */
  steps: ranges.steps.optional().describe("steps of the sampler"),
  /** Classifier-free guidance; 1 is none and costs half. */
  guidance: ranges.guidance.optional().describe("classifier-free guidance; 1 is none"),
  /** Called with the image as it looks after a step: after each but the last, or more seldom where decoding is slow. */
  onPreview: callback<(picture: Picture) => void | Promise<void>>().optional(),
};

const sampling = {
  /** 0 takes the likeliest. */
  temperature: ranges.temperature.optional().describe("0 takes the likeliest"),
  /** Only so many of the likeliest; 0 for all. */
  topK: ranges.topK.optional().describe("only the k likeliest; 0 for all"),
  /** Only the likeliest that together reach this probability. */
  topP: ranges.topP.optional().describe("only the likeliest that reach this probability together"),
};

const parts = {
  /** Folders of diffusion transformers, in place of those in sub-folders. */
  detokenizer: z.union([text, texts], { error: "a folder's name, or a list of them" }).optional(),
  /** The folder of the autoencoder, in place of one in a sub-folder. */
  autoencoder: text.optional().describe("folder of the autoencoder, if it lies elsewhere"),
};

const fetching = {
  signal,
  onProgress: callback<(progress: PullProgress) => void>().optional(),
  /** Called when another process is fetching the repository, and when the server asks to be left alone for a while. */
  onWait: callback<(wait: PullWait) => void>().optional(),
};

const machine = {
  /** Threads of one operation; as many as there are cores if absent. */
  threads: integer(1, 256).optional().describe("threads of one operation"),
};

export const DEFAULT_DRAWING_BYTES = 9 * 2 ** 30;

export const loadOptions = z.strictObject({
  ...parts,
  ...watched,
  ...machine,
  /** What computes; `cpu` if absent. */
  device: z
    .enum(devices, { error: `one of ${devices.join(", ")}` })
    .optional()
    .describe("what computes"),
  /**
   * Memory for the KV cache of earlier calls: the next turn of a conversation, or another question about the same image, then
   * pays only for what is new. 512 MiB, or less for small models, if absent; with 0 nothing is kept.
   */
  promptCacheBytes: bytes.optional(),
  /**
   * Memory that the networks which draw images may hold together, 9 GiB if absent: the released transformer takes 8.8 GB while
   * it is opened as float32, which fits beside a language model of 8 billion weights in 4 bits into 24 GB. A large model's
   * networks take turns in it, and with less than 8.8 GB weights in bf16 are widened at each step, which takes longer.
   */
  drawingBytes: bytes.default(DEFAULT_DRAWING_BYTES),
  /** Loads even what does not fit into the memory that is available. */
  ignoreMemory: flag.default(false).describe("load even what does not fit into memory"),
  /** Told in a sentence what is odd about the model but does not keep it from running. */
  onWarning: callback<(message: string) => void>().optional(),
});

export const tokenizeOptions = z.strictObject({ signal });

export const reconstructOptions = z.strictObject(drawing);

export const imagineOptions = z.strictObject({
  ...sampling,
  ...drawing,
  /** Images to draw, with seeds one after the other; the result is then an array. */
  n: integer(1, 1000).optional().describe("how many, with seeds one after the other"),
});

export const chatOptions = z.strictObject({
  ...sampling,
  ...drawing,
  /** Blocks to write at most, 256 if absent: a token of text or a position of an image each. */
  maxNewTokens: integer(1, 1_000_000).default(256).describe("length of an answer at most"),
  /**
   * Tokens that one step may guess from the conversation, where the answer repeats it; 0 if absent. The answer is the same,
   * only sooner or, where guesses fail, later: more than 64 would be wrong nearly always, and each guess costs. Only the likeliest
   * tokens (temperature 0) are guessed.
   */
  promptLookupNumTokens: integer(0, 64).default(0),
});

export const pullOptions = z.strictObject({
  ...fetching,
  /** A branch, a tag or a commit; "main" if absent. May stand in the name instead: "owner/name@revision". */
  revision: text.optional().describe("a branch, tag or commit; main if absent"),
  /** Patterns of files to fetch, such as "vae/*", in place of all that a model needs. */
  include: texts.optional().describe('files to fetch, such as "vae/*", in place of all that a model needs'),
  /** As the environment says if absent. */
  settings: z
    .custom<HubSettings>((value) => typeof value === "object" && value !== null, {
      error: "the settings that `readHubSettings` gives",
    })
    .optional(),
});

export const inspectOptions = z.strictObject({ ...parts, ...fetching });

export const machineOptions = z.strictObject(machine);

export const evalOptions = z.strictObject({
  /** Divides the number of images of each part; for a quick look. */
  every: integer(1, 100).default(1).describe("only every n-th image, for a quick look"),
  /** Images imagined for each prompt: one is drawn at random, so more of them tell two models apart better. */
  seeds: integer(1, 1000)
    .default(1)
    .describe("images imagined for each prompt: more of them tell two models apart better"),
});

export type LoadOptions = z.input<typeof loadOptions>;
export type TokenizeOptions = z.input<typeof tokenizeOptions>;
export type ReconstructOptions = z.input<typeof reconstructOptions>;
export type ImagineOptions = z.input<typeof imagineOptions>;
export type ChatOptions = z.input<typeof chatOptions>;
export type PullOptions = z.input<typeof pullOptions>;
export type InspectOptions = z.input<typeof inspectOptions>;
export type MachineOptions = z.input<typeof machineOptions>;
export type EvalOptions = z.input<typeof evalOptions>;
/** Options of all that draws. */
export type DrawOptions = Pick<ChatOptions, keyof typeof drawing>;
/** Options of long work. */
export type WorkOptions = Pick<DrawOptions, keyof typeof seeded | keyof typeof watched>;
/** How tokens and codes are drawn. */
export type SampleOptions = Pick<ChatOptions, keyof typeof sampling>;

/** The options of each public call, by its name. */
export const optionsOf = {
  load: loadOptions,
  tokenize: tokenizeOptions,
  reconstruct: reconstructOptions,
  imagine: imagineOptions,
  chat: chatOptions,
  pullModel: pullOptions,
  inspectModel: inspectOptions,
  planModel: inspectOptions,
  examineMachine: machineOptions,
};
export type Call = keyof typeof optionsOf;
