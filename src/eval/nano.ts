// The suite `nano`: kelix-nano on held-out images. Emoji in a style held out from training
// (known concepts for captions, all for reconstruction), and newly drawn scenes.

import type * as z from "zod";
import { type RgbImage, readPixels } from "../image/rgb.ts";
import type { Kelix } from "../kelix.ts";
import { counterRandom } from "../random/counter.ts";
import { checkOptions } from "../read-options.ts";
import { withArticle } from "../train/data/concepts.ts";
import { askAboutScene, parseScenePrompt, questionOnlyFloor, type SceneQuestion } from "../train/data/scene-text.ts";
import { colours, drawScene, sampleScene } from "../train/data/scenes.ts";
import { shapes } from "../train/data/shapes.ts";
import { pixelError } from "../train/metrics.ts";
import { openHeldOut } from "./heldout.ts";
import { type EvalOptions, evalOptions } from "./options.ts";
import { judgeScene } from "./scene-judge.ts";

export interface NanoResults {
  /** PSNR in dB from codes alone, and the share of each codebook in use. */
  readonly reconstruction: { readonly psnr: number; readonly bookUse: readonly number[]; readonly n: number };
  /** Share of images with the concept named exactly. */
  readonly caption: { readonly accuracy: number; readonly n: number };
  /** Share of right answers on colour, shape and count; and without seeing the image. */
  readonly scenes: { readonly accuracy: number; readonly questionOnly: number; readonly n: number };
  /** Share of imagined images with the requested colour and shape. */
  readonly imagine: { readonly accuracy: number; readonly n: number };
}

type NanoSettings = z.output<typeof evalOptions>;

/** Seed of the evaluation's scenes, which no training config uses. */
const SCENE_SEED = 900_913;
const SCENE_QUESTIONS = 600;
const IMAGINE_PROMPTS = 100;
const CAPTION_QUESTION = "What is this?";

/** Runs the whole suite. */
export async function evaluateNano(kelix: Kelix, given: EvalOptions = {}): Promise<NanoResults> {
  const options = checkOptions("evaluateNano", evalOptions, given);
  return {
    reconstruction: await measureReconstruction(kelix, options),
    caption: await measureCaptions(kelix, options),
    scenes: await measureScenes(kelix, options),
    imagine: await measureImagination(kelix, options),
  };
}

/** Reconstructs images from their codes. */
async function measureReconstruction(kelix: Kelix, options: NanoSettings): Promise<NanoResults["reconstruction"]> {
  const images = (await openHeldOut()).filter((_, i) => i % options.every === 0);
  const used: Set<number>[] = [];
  let psnr = 0;
  for (const [i, { image }] of images.entries()) {
    step(options, "reconstruction", i, images.length);
    const codes = await kelix.tokenize(image);
    const books = codes.codes.length / (codes.grid[0] * codes.grid[1]);
    codes.codes.forEach((code, k) => {
      used[k % books] ??= new Set();
      used[k % books]!.add(code);
    });
    psnr += pixelError([image], [readPixels(await kelix.reconstruct(codes, { seed: i }))]).psnr / images.length;
  }
  const { codesPerBook } = kelix.info();
  return { psnr, bookUse: used.map((codes) => codes.size / codesPerBook), n: images.length };
}

/** Asks for the concept of each held-out image of a known concept, in the canonical form. */
async function measureCaptions(kelix: Kelix, options: NanoSettings): Promise<NanoResults["caption"]> {
  const images = (await openHeldOut())
    .filter(({ isKnownConcept }) => isKnownConcept)
    .filter((_, i) => i % options.every === 0);
  let right = 0;
  for (const [i, { image, caption }] of images.entries()) {
    step(options, "captions", i, images.length);
    if ((await answer(kelix, image, CAPTION_QUESTION)) === caption) right++;
  }
  return { accuracy: right / images.length, n: images.length };
}

/** Questions on colour, shape and count in equal parts. */
async function measureScenes(kelix: Kelix, options: NanoSettings): Promise<NanoResults["scenes"]> {
  const wanted = Math.ceil(SCENE_QUESTIONS / options.every);
  const asked: { image: RgbImage; question: SceneQuestion }[] = [];
  for (let index = 0; asked.length < wanted; index++) {
    const scene = sampleScene(SCENE_SEED, index);
    const question = askAboutScene(scene, counterRandom(SCENE_SEED, "question").fork(index));
    if (["colour", "shape", "count"].includes(question.about)) asked.push({ image: drawScene(scene), question });
  }
  let right = 0;
  for (const [i, { image, question }] of asked.entries()) {
    step(options, "scenes", i, asked.length);
    if ((await answer(kelix, image, question.question)) === question.answer) right++;
  }
  return {
    accuracy: right / asked.length,
    questionOnly: questionOnlyFloor(asked.map(({ question }) => question)),
    n: asked.length,
  };
}

/** Draws prompts such as "two red circles" and judges the pixels. */
async function measureImagination(kelix: Kelix, options: NanoSettings): Promise<NanoResults["imagine"]> {
  const prompts = scenePrompts(Math.ceil(IMAGINE_PROMPTS / options.every));
  const n = prompts.length * options.seeds;
  let right = 0;
  for (let seed = 0; seed < n; seed++) {
    step(options, "imagine", seed, n);
    const prompt = prompts[seed % prompts.length]!;
    const [image] = await kelix.imagine(prompt, { seed });
    const verdict = judgeScene(readPixels(image!), parseScenePrompt(prompt)!);
    if (verdict.isColourRight && verdict.isShapeRight) right++;
  }
  return { accuracy: right / n, n };
}

/** Colours, shapes and counts in turn: "a red circle", "two green squares", .. */
export function scenePrompts(n: number): string[] {
  const numbers = ["a", "two", "three", "four"] as const;
  return Array.from({ length: n }, (_, i) => {
    const [colour, shape, number] = [
      colours[i % colours.length]!,
      shapes[(i + Math.floor(i / colours.length)) % shapes.length]!,
      numbers[i % numbers.length]!,
    ];
    if (number !== "a") return `${number} ${colour} ${shape}s`;
    return withArticle(`${colour} ${shape}`);
  });
}

function answer(kelix: Kelix, image: RgbImage, question: string): Promise<string> {
  return kelix.describe(image, { prompt: question, maxNewTokens: 24, temperature: 0 });
}

function step({ onProgress, signal }: NanoSettings, part: string, done: number, total: number): void {
  signal?.throwIfAborted();
  onProgress?.(part, done, total);
}
