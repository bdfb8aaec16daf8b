// The model as suites call it. The only place of eval/ that knows Kelix's own calls.

import type { RgbImage } from "../image/rgb.ts";
import type { Kelix } from "../kelix.ts";
import { askAbout } from "./ask.ts";

export interface ImageCodesOf {
  /** [rows, columns] of positions. */
  readonly grid: readonly [number, number];
  /** The books' codes of one position after the other. */
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
  /** The image that the model answers an instruction about an image with; undefined where it answers with words. */
  edit(image: RgbImage, instruction: string, seed: number): Promise<RgbImage | undefined>;
}

const USUAL_TOKENS = 24;

/** Calls of a loaded model; `signal` ends the one that runs. */
export function evalModel(kelix: Kelix, signal?: AbortSignal): EvalModel {
  const watched = signal ? { signal } : {};
  const { codebooks, codesPerBook } = kelix.info();
  return {
    codebooks,
    codesPerBook,
    ask: (image, question, maxNewTokens = USUAL_TOKENS) =>
      askAbout(kelix, image, question, { maxNewTokens, temperature: 0, ...watched }),
    tokenize: (image) => kelix.tokenize(image, watched),
    reconstruct: async (image, seed) => kelix.reconstruct(await kelix.tokenize(image, watched), { seed, ...watched }),
    async imagine(prompt, seed) {
      const image = await kelix.imagine(prompt, { seed, ...watched });
      return { image, codes: image.codes };
    },
    async edit(image, instruction, seed) {
      const content = [
        { type: "image", image },
        { type: "text", text: instruction },
      ] as const;
      for await (const piece of kelix.chat([{ role: "user", content }], {
        seed,
        maxNewTokens: USUAL_TOKENS,
        ...watched,
      }))
        if (typeof piece !== "string" && piece.type === "image") return piece.image;
      return undefined;
    },
  };
}
