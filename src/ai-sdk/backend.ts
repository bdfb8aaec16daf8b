// What the provider's models ask of Kelix, in this process (in-process.ts) or behind a server (remote.ts).

import type { ImageModelV3Usage, JSONObject, LanguageModelV3Usage, SharedV3Warning } from "@ai-sdk/provider";

/** An image that is given: a file's bytes, or the same as base64. */
export type GivenImage = Uint8Array | string;

export type AskedPart =
  | { readonly type: "text"; readonly text: string }
  /** `codes` are read in place of the image: those of one that the model drew earlier. */
  | { readonly type: "image"; readonly image: GivenImage; readonly codes?: JSONObject };

export interface AskedMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: readonly AskedPart[];
}

/** Undefined where the model's own choice holds. */
export interface Sampling {
  readonly seed: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly topK: number | undefined;
  readonly steps: number | undefined;
  readonly guidance: number | undefined;
}

export interface AskedAnswer extends Sampling {
  readonly messages: readonly AskedMessage[];
  readonly mayDraw: boolean;
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
}

export interface AskedImages extends Sampling {
  readonly prompt: string;
  readonly n: number;
  /** Width and height as "96x96"; must be what the model draws. */
  readonly size: string | undefined;
  /** To be edited. */
  readonly image?: GivenImage;
  /** What to rewrite of it: where the mask is transparent, or, without transparency, white. */
  readonly mask?: GivenImage;
}

/** A PNG as bytes or base64, and what is known of it: its seed, its codes, its receipt. */
export interface DrawnPiece {
  readonly data: Uint8Array | string;
  readonly facts: JSONObject;
}

/** Images of one call. Positions of the grid count as tokens. */
export interface Drawn {
  readonly pieces: readonly DrawnPiece[];
  readonly usage: ImageModelV3Usage | undefined;
}

/** A vector for each image, and what reading them took. */
export interface Vectors {
  readonly vectors: number[][];
  readonly tokens: number | undefined;
}

export type AnswerPiece =
  | { readonly type: "text"; readonly text: string }
  | ({ readonly type: "image" } & DrawnPiece)
  | { readonly type: "end"; readonly finishReason: string; readonly usage: LanguageModelV3Usage };

export interface CallSetting {
  readonly signal: AbortSignal | undefined;
  readonly headers: Readonly<Record<string, string | undefined>> | undefined;
}

/** Calls throw an APICallError, or the signal's reason. */
export interface Backend {
  answer(model: string, asked: AskedAnswer, setting: CallSetting): AsyncIterable<AnswerPiece>;
  draw(model: string, asked: AskedImages, setting: CallSetting): Promise<Drawn>;
  /** Of images that are given as data: URLs. */
  embed(model: string, images: readonly string[], setting: CallSetting): Promise<Vectors>;
}

/** How counts of Kelix are told. */
export function usageOf(prompt: number, cached: number, completion: number): LanguageModelV3Usage {
  return {
    inputTokens: { total: prompt, noCache: prompt - cached, cacheRead: cached, cacheWrite: undefined },
    outputTokens: { total: completion, text: undefined, reasoning: undefined },
  };
}

/** Options of this provider, under `providerOptions.kelix`. */
export interface KelixOptions {
  /** Whether an answer may hold images; true if absent. */
  readonly images?: boolean;
  /** Steps of the sampler that decodes images. */
  readonly steps?: number;
  /** Classifier-free guidance; 1 is none. */
  readonly guidance?: number;
}

/** The options that were given to this provider. */
export function kelixOptions(options: Readonly<Record<string, JSONObject>> | undefined): KelixOptions {
  return (options?.kelix ?? {}) as KelixOptions;
}

export function unsupported(feature: string, details?: string): SharedV3Warning {
  return { type: "unsupported", feature, ...(details !== undefined && { details }) };
}
