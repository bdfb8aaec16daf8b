// Every option that a caller may set: its range, default, type and description, said once. The types below, the checks
// (read-options.ts), the command line's flags (cli/option-flags.ts) and the config of a model are read off these schemas.

import * as z from "zod";
import type { PullProgress, PullWait } from "./files/transfer.ts";
import type { HubSettings } from "./hub/settings.ts";
import type { Image } from "./image/image.ts";
import type { MaskInput } from "./image/mask.ts";
import { devices } from "./runtime/backend.ts";
import { fusions } from "./vision/config.ts";

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
export function integer(from: number, to: number) {
  const error = `an integer from ${from} to ${to}`;
  return z.int({ error }).min(from, { error }).max(to, { error });
}

export function number(from: number, to: number) {
  const error = `a number from ${from} to ${to}`;
  return z.number({ error }).min(from, { error }).max(to, { error });
}

export function above(from: number, to: number) {
  const error = `a number above ${from} and at most ${to}`;
  return z.number({ error }).gt(from, { error }).max(to, { error });
}

export function callback<F extends (...args: never[]) => unknown>() {
  return z.custom<F>((value) => typeof value === "function", { error: "a function" });
}

export const text = z.string({ error: "a text" }).min(1, { error: "a text that is not empty" });
export const flag = z.boolean({ error: "true or false" });
const bytes = integer(0, Number.MAX_SAFE_INTEGER);
export const texts = z.array(text, { error: "a list of texts" }).readonly();

/** By what it does: a signal may come from another realm. */
export const signal = z
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

export const seeded = {
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
  /** Whether the image carries what it was drawn with, the prompt included: `image.receipt`, and in a PNG of it. */
  receipt: flag.default(true).describe("keep what the image was drawn with, the prompt included, in a PNG"),
  /** Called with the image as it looks on its way: three times or after every fifth step, more seldom where decoding is slow. */
  onPreview: callback<(image: Image) => void | Promise<void>>().optional(),
};

const sampling = {
  /** 0 always takes the most likely. */
  temperature: ranges.temperature.optional().describe("0 always takes the most likely"),
  /** Sample from this many of the most likely; 0 means all. */
  topK: ranges.topK.optional().describe("sample from the k most likely; 0 means all"),
  /** Sample from the most likely that together reach this probability. */
  topP: ranges.topP.optional().describe("sample from the most likely that together reach this probability"),
};

export const parts = {
  /** Folders of diffusion transformers, in place of those in sub-folders. */
  detokenizer: z.union([text, texts], { error: "a folder's name, or a list of them" }).optional(),
  /** The folder of the autoencoder, in place of one in a sub-folder. */
  autoencoder: text.optional().describe("folder of the autoencoder, if it is elsewhere"),
};

export const fetching = {
  signal,
  onProgress: callback<(progress: PullProgress) => void>().optional(),
  /** Called when another process is fetching the repository, and when the server asks to be left alone for a while. */
  onWait: callback<(wait: PullWait) => void>().optional(),
};

export const machine = {
  /** Threads of one operation; as many as there are cores if absent. */
  threads: integer(1, 256).optional().describe("threads for each operation"),
};

export const DEFAULT_DRAWING_BYTES = 9 * 2 ** 30;

const load = {
  ...parts,
  ...watched,
  ...machine,
  /** A low-rank adapter beside the language model: a folder in PEFT's layout, as `kelix finetune` writes it. */
  adapter: text.optional().describe("folder of a low-rank adapter beside the language model"),
  /** What computes. If absent `cpu`; in browsers `wasm`, or `webgpu` for each network that is measured to be faster there. */
  device: z
    .enum(devices, { error: `one of ${devices.join(", ")}` })
    .optional()
    .describe("where to compute"),
  /**
   * Browsers only: where the two files of ONNX Runtime are that this package's bundle leaves to the page, as the folder of both or
   * as `{ mjs, wasm }`, and as `webgpu` the folder of WebGPU's build. An isolated page then has several threads; others have one.
   */
  wasmPaths: z
    .union([text, z.strictObject({ mjs: text.optional(), wasm: text.optional(), webgpu: text.optional() })], {
      error: "a folder's URL, or { mjs, wasm, webgpu }",
    })
    .optional(),
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
  ignoreMemory: flag.default(false).describe("load a model even if it does not fit into memory"),
  /** Told in a sentence what is odd about the model but does not keep it from running. */
  onWarning: callback<(message: string) => void>().optional(),
};

const cached = {
  /**
   * What earlier calls left in the caches (the KV cache, codes of images) is used by calls with the same key alone. With a key for each user
   * of a server, nobody can tell from the time of an answer what others asked.
   */
  cacheKey: text.optional(),
};

const tokenize = {
  ...cached,
  /** Ends the work before its next step; it then rejects with the signal's reason. */
  signal,
};

const fused = {
  /** How the embeddings of a position's codes are fused; as the model's configs say if absent. */
  fusion: z
    .enum(fusions, { error: fusions.join(" or ") })
    .optional()
    .describe("how the embeddings of a position's codes are fused (default: as the model says)"),
};

const reconstruct = {
  ...drawing,
  ...cached,
  /**
   * An image keeps its size and aspect as far as the model's limits let it; otherwise released models see it as a square, as in
   * their recipe (`reconstruct.image_size` of generation_config.json). Codes have their size already.
   */
  keepSize: flag
    .default(false)
    .describe("keep the image's size and aspect ratio where the model's recipe uses a square"),
  ...fused,
};

const written = {
  ...sampling,
  ...drawing,
  ...cached,
  /**
   * Where the transformer is told that the codes lie: as in the model's training, or, for models trained by the reference, as its
   * released demo guesses (`demo`), to compare like with like.
   */
  positions: z
    .enum(["training", "demo"], { error: "training or demo" })
    .default("training")
    .describe("positions given to the codes: those of training, or those of the released demo"),
};

const imagine = {
  ...written,
  /** Images to draw, with seeds one after the other. */
  n: integer(1, 1000).default(1).describe("number of images, with consecutive seeds"),
};

const edit = {
  ...written,
  /** What is rewritten: see MaskInput. Everything if absent. */
  mask: z
    .custom<MaskInput>((value) => (typeof value === "object" && value !== null) || typeof value === "string", {
      error: "an image that is white where to rewrite, or a list of a value for each position",
    })
    .optional(),
};

const answered = {
  ...sampling,
  ...seeded,
  ...watched,
  ...cached,
  /** Tokens of text to write at most, 256 if absent. Images do not count; the model's context bounds both. */
  maxNewTokens: integer(1, 1_000_000).default(256).describe("maximum number of text tokens in an answer"),
  /** Tokens of text before which the model may not end the answer, 0 if absent; stop strings and the context may. */
  minNewTokens: integer(0, 1_000_000).default(0),
  /** Texts that end the answer where it would spell one; the answer ends before it. */
  stop: z
    .union([text.transform((one) => [one]), z.array(text)], {
      error: "a text that is not empty, or a list of such texts",
    })
    .default([])
    .describe("a text that ends the answer"),
  /**
   * Tokens that one step may guess from the conversation, where the answer repeats it; 0 if absent. The answer is the same,
   * only sooner or, where guesses fail, later: more than 64 would be wrong nearly always, and each guess costs. Only the likeliest
   * tokens (temperature 0) are guessed.
   */
  promptLookupNumTokens: integer(0, 64).default(0),
};

const chat = {
  ...drawing,
  ...answered,
  /** Whether the answer may hold images, where the model can draw; true if absent. */
  mayDraw: flag.default(true),
  /** Tells of each token of text how likely it was, with so many of the most likely in its place; if absent nothing is told. */
  topLogprobs: integer(0, 20).optional(),
};

const describe = {
  ...answered,
  /** What to ask about the image. */
  prompt: text.default("What is this?").describe("what to ask"),
};

const embed = { ...tokenize, ...fused };

const score = { ...tokenize };

const pull = {
  ...fetching,
  /** A branch, a tag or a commit; "main" if absent. May stand in the name instead: "owner/name@revision". */
  revision: text.optional().describe("a branch, tag or commit (default: main)"),
  /** Patterns of files to fetch, such as "vae/*", in place of all that a model needs. */
  include: texts.optional().describe('files to download, such as "vae/*", instead of all that a model needs'),
  /** As the environment says if absent. */
  settings: z
    .custom<HubSettings>((value) => typeof (value as Partial<HubSettings> | null)?.cacheFolder === "string", {
      error: "the settings that `readHubSettings` gives, once they are awaited",
    })
    .optional(),
};

const inspect = { ...parts, ...fetching };

/** The options of each public call, by its name. */
export const optionsOf = {
  load: z.strictObject(load),
  tokenize: z.strictObject(tokenize),
  reconstruct: z.strictObject(reconstruct),
  imagine: z.strictObject(imagine),
  edit: z.strictObject(edit),
  describe: z.strictObject(describe),
  chat: z.strictObject(chat),
  embed: z.strictObject(embed),
  score: z.strictObject(score),
  pullModel: z.strictObject(pull),
  inspectModel: z.strictObject(inspect),
  planModel: z.strictObject(inspect),
  examineMachine: z.strictObject(machine),
};
export type Call = keyof typeof optionsOf;

/** What callers may give: mapped from the shape itself, so that editors show what is written beside each option. */
export type Options<Shape extends z.core.$ZodLooseShape> = {
  readonly [Name in keyof Shape]?: z.input<Shape[Name]> | undefined;
};

export interface LoadOptions extends Options<typeof load> {}
export interface TokenizeOptions extends Options<typeof tokenize> {}
export interface ReconstructOptions extends Options<typeof reconstruct> {}
export interface ImagineOptions extends Options<typeof imagine> {}
export interface EditOptions extends Options<typeof edit> {}
export interface DescribeOptions extends Options<typeof describe> {}
export interface ChatOptions extends Options<typeof chat> {}
export interface EmbedOptions extends Options<typeof embed> {}
export interface ScoreOptions extends Options<typeof score> {}
export interface PullOptions extends Options<typeof pull> {}
export interface InspectOptions extends Options<typeof inspect> {}
export interface MachineOptions extends Options<typeof machine> {}
/** Whose positions a condition is given. */
export type ConditionPositions = z.output<typeof written.positions>;
/** Options of all that draws. */
export interface DrawOptions extends Options<typeof drawing> {}
/** Options of long work. */
export interface WorkOptions extends Options<typeof seeded & typeof watched> {}
/** How tokens and codes are drawn. */
export interface SampleOptions extends Options<typeof sampling> {}
