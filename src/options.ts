// What callers may set on the library's long work, and the checks of it. Names are those that users of transformers.js and
// of the OpenAI API know; where both have one, both are read.

import type { ConditionPositions } from "./detokenizer-choice.ts";
import { InputError, quote } from "./errors.ts";
import type { Picture } from "./image/picture.ts";
import type { SamplingOptions } from "./llm/sampling.ts";
import type { PartFolders } from "./model-folder.ts";
import type { Device } from "./runtime/session.ts";
import type { Fusion } from "./vision/tokenizer.ts";

/**
 * Where long work has got to: bytes of a model's files on the disk, steps of opening it, blocks written, steps of the sampler,
 * parts of decoding.
 */
export interface Progress {
  readonly task: "fetch" | "load" | "write" | "draw" | "decode";
  readonly done: number;
  readonly total: number;
}

export interface LoadOptions extends PartFolders {
  readonly device?: Device;
  /** Threads of one operation. */
  readonly threads?: number;
  /**
   * Memory for what was read before: the next turn of a conversation, or another question to the same picture, then pays
   * only for what is new. 512 MiB, or less for small models, if absent; with 0 nothing is kept.
   */
  readonly promptCacheBytes?: number;
  /**
   * Memory that the networks which draw pictures may hold together, 9 GiB if absent. A large model's networks take turns in it, and
   * with less than 8.8 GB (the released transformer while it is opened) weights in bf16 are widened at each step, which takes longer.
   */
  readonly drawingBytes?: number;
  readonly onProgress?: (progress: Progress) => void;
  /** Loads even what does not fit into the memory that is available. */
  readonly ignoreMemory?: boolean;
  /** Told in a sentence what is odd about the model but does not keep it from running. */
  readonly onWarning?: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** Options of long work. */
export interface WorkOptions {
  /** The same seed gives the same result. Whole, from 0 to 2^53 - 1; 0 if absent. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface DrawOptions extends WorkOptions {
  /** Steps of the sampler, 1 to 1000; as the model's generation_config.json says if absent, like `guidance`. */
  readonly steps?: number;
  /** Classifier-free guidance, 0 to 100; 1 is none and costs half. */
  readonly guidance?: number;
  /** Called with the picture as it looks after each step but the last; each costs a run of the decoder. */
  readonly onPreview?: (picture: Picture) => void | Promise<void>;
}

export interface ReconstructOptions extends DrawOptions {
  /**
   * A picture keeps its size and aspect as far as the model's limits let it; otherwise, and if absent, released models see it as a
   * square, as in their recipe (`reconstruct.image_size` of generation_config.json). Not read for codes.
   */
  readonly keepSize?: boolean;
  /** How the embeddings of a position's codes are fused before drawing; as the model's configs say if absent. */
  readonly fusion?: Fusion;
}

/** How tokens and codes are drawn. */
export interface SampleOptions {
  /** 0 takes the likeliest. */
  readonly temperature?: number;
  /** Only so many of the likeliest; 0 for all. */
  readonly topK?: number;
  /** Only the likeliest that together reach this probability, above 0 and at most 1. */
  readonly topP?: number;
  readonly top_k?: number;
  readonly top_p?: number;
}

export interface ChatOptions extends SampleOptions, DrawOptions {
  /** Tokens of text to write at most, 256 if absent. Pictures do not count; the model's context bounds both. */
  readonly maxNewTokens?: number;
  readonly max_new_tokens?: number;
  /**
   * Tokens that one step may guess from the conversation, where the answer repeats it; 0 if absent. The answer is the same,
   * only sooner or, where guesses fail, later. Only the likeliest tokens (temperature 0) are guessed.
   */
  readonly promptLookupNumTokens?: number;
  readonly prompt_lookup_num_tokens?: number;
}

export interface ImagineOptions extends SampleOptions, DrawOptions {
  /** Pictures to draw, 1 to 64, with seeds one after the other; the result is then an array. */
  readonly n?: number;
  /**
   * Where the transformer is told that the codes lie: as in the model's training if absent, or, for models trained by the
   * reference, as its released demo guesses (`demo`), to compare like with like.
   */
  readonly positions?: ConditionPositions;
}

const MAX_STEPS = 1000;
const MAX_GUIDANCE = 100;
const MAX_TEMPERATURE = 100;
const MAX_PICTURES = 64;
const MAX_NEW_TOKENS = 1_000_000;
const MAX_TOP_K = 4_194_304;
const DEFAULT_NEW_TOKENS = 256;
/**
 * The released transformer takes 8.8 GB while it is opened as float32, and 6.1 then. That fits beside a language model of 8 billion
 * weights in 4 bits into 24 GB.
 */
export const DEFAULT_DRAWING_BYTES = 9 * 2 ** 30;
/** More would be wrong nearly always, and each guess costs. */
const MAX_LOOKUP = 64;

export interface Drawing {
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
  /** `training` if absent. */
  readonly positions?: ConditionPositions;
}

/** The checked options of drawing. */
export function readDrawing(options: DrawOptions, defaults: Pick<Drawing, "steps" | "guidance">): Drawing {
  return {
    seed: whole("seed", options.seed ?? 0, 0, Number.MAX_SAFE_INTEGER),
    steps: whole("steps", options.steps ?? defaults.steps, 1, MAX_STEPS),
    guidance: within("guidance", options.guidance ?? defaults.guidance, 0, MAX_GUIDANCE),
  };
}

/** The checked options of sampling. */
export function readSampling(options: SampleOptions, defaults: SamplingOptions): SamplingOptions {
  const topP = options.topP ?? options.top_p ?? defaults.topP;
  if (!(topP > 0 && topP <= 1))
    throw new InputError(`Expected \`topP\` to be above 0 and at most 1, got ${topP}`, { code: "invalid_option" });
  return {
    temperature: within("temperature", options.temperature ?? defaults.temperature, 0, MAX_TEMPERATURE),
    topK: whole("topK", options.topK ?? options.top_k ?? defaults.topK, 0, MAX_TOP_K),
    topP,
  };
}

/** How many tokens of text a conversation may go on for. */
export function readNewTokens({ maxNewTokens, max_new_tokens }: ChatOptions): number {
  return whole("maxNewTokens", maxNewTokens ?? max_new_tokens ?? DEFAULT_NEW_TOKENS, 1, MAX_NEW_TOKENS);
}

/** How many tokens one step of a conversation may guess. */
export function readLookup({ promptLookupNumTokens, prompt_lookup_num_tokens }: ChatOptions): number {
  return whole("promptLookupNumTokens", promptLookupNumTokens ?? prompt_lookup_num_tokens ?? 0, 0, MAX_LOOKUP);
}

/** The checked limits on what stays in memory; the prompt cache's is left to the model where it is not given. */
export function readMemoryLimits({
  promptCacheBytes,
  drawingBytes = DEFAULT_DRAWING_BYTES,
}: LoadOptions): MemoryLimits {
  const bytes = (name: string, value: number) => whole(name, value, 0, Number.MAX_SAFE_INTEGER);
  return {
    promptCacheBytes: promptCacheBytes === undefined ? undefined : bytes("promptCacheBytes", promptCacheBytes),
    drawingBytes: bytes("drawingBytes", drawingBytes),
  };
}

export interface MemoryLimits {
  readonly promptCacheBytes: number | undefined;
  readonly drawingBytes: number;
}

/** How many pictures are wanted. */
export function readCount({ n }: ImagineOptions): number {
  return whole("n", n ?? 1, 1, MAX_PICTURES);
}

/** The checked options of reconstructing; `fusion` is left to the model's configs where it is not given. */
export function readReconstruct({ keepSize = false, fusion }: ReconstructOptions): {
  readonly keepSize: boolean;
  readonly fusion: Fusion | undefined;
} {
  if (typeof keepSize !== "boolean") {
    throw new InputError(`Expected \`keepSize\` to be true or false, got ${quote(keepSize)}`, {
      code: "invalid_option",
    });
  }
  return { keepSize, fusion: fusion === undefined ? undefined : oneOf<Fusion>("fusion", fusion, ["sum", "mean"]) };
}

/** Where codes are said to lie. */
export function readPositions({ positions = "training" }: ImagineOptions): ConditionPositions {
  return oneOf<ConditionPositions>("positions", positions, ["training", "demo"]);
}

function oneOf<T extends string>(name: string, value: T, choices: readonly T[]): T {
  if (choices.includes(value)) return value;
  throw new InputError(`Expected \`${name}\` to be ${choices.join(" or ")}, got ${quote(value)}`, {
    code: "invalid_option",
  });
}

function whole(name: string, value: number, from: number, to: number): number {
  if (Number.isInteger(value) && value >= from && value <= to) return value;
  throw new InputError(`Expected \`${name}\` to be an integer from ${from} to ${to}, got ${value}`, {
    code: "invalid_option",
  });
}

function within(name: string, value: number, from: number, to: number): number {
  if (typeof value === "number" && value >= from && value <= to) return value;
  throw new InputError(`Expected \`${name}\` to be a number from ${from} to ${to}, got ${value}`, {
    code: "invalid_option",
  });
}
