// Best of n (rejection sampling): draws several images for the name of each training concept and keeps the one that a judge
// recognises best, as training data. Names that no image fits are left out.
//
//   OUT/captions.jsonl   the kept images with their captions: a folder for `kelix train --data`
//   OUT/images/N.png
//   OUT/best-of.json     every prompt that is done, so that an interrupted call resumes

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { InputError } from "../errors.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { encodePng } from "../image/codec.node.ts";
import type { RgbImage } from "../image/rgb.ts";
import { replaceFile, writeAll } from "../output/atomic-file.ts";
import type { TrainingDrawings } from "./floors/training-drawings.ts";

export interface BestOfPrompt {
  readonly caption: string;
  readonly hexcode: string;
}

/** The most likely concepts of each image, and how near it is to a training drawing. */
export interface Chooser {
  rank(
    images: readonly RgbImage[],
  ): Promise<readonly { readonly labels: readonly string[]; readonly cosine: number }[]>;
}

export interface BestOfOptions {
  /** Names the model in the record, so that another model's images do not join these. */
  readonly model: string;
  readonly n: number;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number, kept: number) => void;
}

const doneSchema = z.strictObject({
  caption: z.string(),
  /** How many of the n images show the concept. */
  right: z.int().min(0),
  /** The kept image's file below the folder. */
  image: z.string().optional(),
});
const recordSchema = z.strictObject({ model: z.string(), n: z.int(), seed: z.int(), done: z.array(doneSchema) });

export type BestOfRecord = z.infer<typeof recordSchema>;

/** The names of the training concepts, each once: none of a held-out concept. */
export function trainingPrompts({
  captions,
  hexcodes,
}: Pick<TrainingDrawings, "captions" | "hexcodes">): BestOfPrompt[] {
  const prompts = new Map<string, BestOfPrompt>();
  hexcodes.forEach((hexcode, i) => {
    if (!prompts.has(hexcode)) prompts.set(hexcode, { caption: captions[i]!, hexcode });
  });
  return [...prompts.values()];
}

/**
 * Draws n images for each prompt and keeps the best in the folder `out`, which is continued if this function made it with the same
 * options. `draw` returns n images for a caption from a first seed. Throws an InputError if the folder was made otherwise.
 */
export async function bestOf(
  prompts: readonly BestOfPrompt[],
  draw: (caption: string, seed: number) => Promise<readonly RgbImage[]>,
  judge: Chooser,
  out: string,
  { model, n, seed, signal, onProgress }: BestOfOptions,
): Promise<BestOfRecord> {
  const record = (await readRecord(out, { model, n, seed })) ?? { model, n, seed, done: [] };
  await makeFolder(join(out, "images"));
  const kept = () => record.done.filter(({ image }) => image !== undefined);
  for (const [i, { caption, hexcode }] of prompts.entries()) {
    onProgress?.(i, prompts.length, kept().length);
    if (i < record.done.length) {
      if (record.done[i]!.caption !== caption)
        throw new InputError(`${out} was made from other prompts: name a new folder, or remove it`);
      continue;
    }
    signal?.throwIfAborted();
    const images = await draw(caption, seed + i * n);
    const verdicts = await judge.rank(images);
    const right = [...verdicts.keys()].filter((k) => verdicts[k]!.labels[0] === hexcode);
    const best = right.sort((a, b) => verdicts[b]!.cosine - verdicts[a]!.cosine)[0];
    const image = `images/${i}.png`;
    if (best !== undefined) await write(join(out, image), await encodePng(images[best]!));
    record.done.push({ caption, right: right.length, ...(best !== undefined && { image }) });
    const lines = kept().map((one) => `${JSON.stringify({ image: one.image, caption: one.caption })}\n`);
    // The record comes last: what it counts as done is complete.
    await write(join(out, "captions.jsonl"), Buffer.from(lines.join("")));
    await write(join(out, RECORD), Buffer.from(`${JSON.stringify(record)}\n`));
  }
  onProgress?.(prompts.length, prompts.length, kept().length);
  return record;
}

const RECORD = "best-of.json";

/** What was kept in the folder `out`, if it exists. Throws an InputError if it cannot be continued with these options. */
export async function readRecord(out: string, wanted: Omit<BestOfRecord, "done">): Promise<BestOfRecord | undefined> {
  const path = join(out, RECORD);
  if (!existsSync(path)) {
    if (existsSync(out)) throw new InputError(`${out} exists and has no ${RECORD}: name a new folder`);
    return undefined;
  }
  const parsed = recordSchema.safeParse(await readFile(path, "utf8").then(JSON.parse, () => undefined));
  if (!parsed.success) throw new InputError(`${path} cannot be read: name a new folder, or remove it`);
  const { done, ...made } = parsed.data;
  const other = Object.entries(wanted).find(([name, value]) => made[name as keyof typeof made] !== value);
  if (other) {
    const [name, value] = other;
    const before = String(made[name as keyof typeof made]);
    throw new InputError(`${out} was made with ${name} ${before}, not ${value}: use that, or name a new folder`);
  }
  return parsed.data;
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await replaceFile(path, (file) => writeAll(file, bytes));
}
