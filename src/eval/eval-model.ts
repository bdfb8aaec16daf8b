// The model's interface for suites. The only place in eval/ that calls Kelix.

import { type RgbImage, readPixels } from "../image/rgb.ts";
import type { Kelix } from "../kelix.ts";

export interface ImageCodesOf {
  /** [rows, columns] of positions. */
  readonly grid: readonly [number, number];
  /** The codes of all codebooks, position by position. */
  readonly codes: ArrayLike<number>;
}

export interface EvalModel {
  readonly codebooks: number;
  readonly codesPerBook: number;
  /** A greedy answer about an image. */
  ask(image: RgbImage, question: string, maxNewTokens?: number): Promise<string>;
  tokenize(image: RgbImage): Promise<ImageCodesOf>;
  /** From the image's codes alone, with the model's own settings. */
  reconstruct(image: RgbImage, seed: number): Promise<RgbImage>;
  imagine(prompt: string, seed: number): Promise<{ readonly image: RgbImage; readonly codes: ImageCodesOf }>;
  /** The image edited as requested. */
  edit(image: RgbImage, instruction: string, seed: number): Promise<RgbImage>;
}

const USUAL_TOKENS = 24;

/** Wraps a loaded model; `signal` aborts the current call. */
export function evalModel(kelix: Kelix, signal?: AbortSignal): EvalModel {
  const watched = signal ? { signal } : {};
  const { codebooks, codesPerBook } = kelix.info();
  return {
    codebooks,
    codesPerBook,
    ask: (image, prompt, maxNewTokens = USUAL_TOKENS) =>
      kelix.describe(image, { prompt, maxNewTokens, temperature: 0, ...watched }),
    tokenize: (image) => kelix.tokenize(image, watched),
    reconstruct: async (image, seed) =>
      readPixels(await kelix.reconstruct(await kelix.tokenize(image, watched), { seed, ...watched })),
    async imagine(prompt, seed) {
      const [image] = await kelix.imagine(prompt, { seed, ...watched });
      return { image: readPixels(image!), codes: image!.codes };
    },
    edit: async (image, instruction, seed) => readPixels(await kelix.edit(image, instruction, { seed, ...watched })),
  };
}
