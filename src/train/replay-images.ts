// The images that a model describes for its replay (replay.ts): codes that come with it, a user's codes, or a user's images.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { readCodes as readCodeFile } from "../corpus/code-files.ts";
import { InputError } from "../errors.ts";
import { preparationOf } from "../model/config.ts";
import type { OpenedModel } from "../model/open.ts";
import { codeLimits, type ImageCodes, readCodes } from "../vision/image-codes.ts";
import { OwnData, type OwnDataOptions } from "./data/own-data.ts";
import type { ExampleRows } from "./example-rows.ts";

/** In a model's folder: codes of images that it was trained on. */
const REPLAY_FILE = "replay.codes";
/** So many images are described if nobody says how many and no codes are given. */
export const DEFAULT_IMAGES = 96;

export interface ReplayImages {
  /** How many to describe if nobody says. */
  readonly count: number;
  readonly image: (i: number) => Promise<ImageCodes>;
  readonly close?: () => Promise<void>;
}

/**
 * Opens the images of `path`, or the codes in the model's folder; undefined if neither is there. Throws an InputError for codes that
 * the model cannot have made, and for data that cannot be used.
 */
export async function openReplayImages(
  path: string | undefined,
  model: OpenedModel,
  examples: ExampleRows,
  options: OwnDataOptions,
): Promise<ReplayImages | undefined> {
  const own = join(model.path, REPLAY_FILE);
  const file = path ?? (existsSync(own) ? own : undefined);
  if (file === undefined) return undefined;
  if (/\.(codes|safetensors)$/i.test(file)) {
    const images = await codesOf(file, model, options.signal);
    if (images.length === 0) throw new InputError(`${file}: holds no codes`, { code: "invalid_codes" });
    return { count: images.length, image: async (i) => images[i % images.length]! };
  }
  const data = await OwnData.open({ path: file, skipBad: false }, options);
  const image = (i: number) => data.draw(i, (example) => examples.image(example));
  return { count: DEFAULT_IMAGES, image, close: () => data.close() };
}

async function codesOf(file: string, model: OpenedModel, signal: AbortSignal | undefined): Promise<ImageCodes[]> {
  const limits = codeLimits(model.tokenizer, preparationOf(model.preprocessor));
  return (await readCodeFile(file, signal)).map((stored, i) => {
    try {
      return readCodes(stored, limits);
    } catch (cause) {
      if (!(cause instanceof InputError)) throw cause;
      throw new InputError(`${file}: image ${i}: ${cause.message}`, { code: cause.code, cause });
    }
  });
}
