// The drawings that kelix-nano's training saw, shown plainly: what nearest-neighbour floors and the judge compare with. They lie in the
// cache that `kelix data` fills.

import { InputError } from "../../errors.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { PLAIN_VIEW, renderView } from "../../train/data/augment.ts";
import { type Corpus, openCorpus } from "../../train/data/corpus.ts";

export const DRAWING_SIDE = 96;

export interface TrainingDrawings {
  /** The concept of each drawing. */
  readonly hexcodes: readonly string[];
  readonly names: readonly string[];
  /** "a glossy apple": how requests for each of them are worded; without the style. */
  readonly captions: readonly string[];
  /** Each time drawn anew: some milliseconds. */
  image(index: number): RgbImage;
}

const opened = new Map<string, Promise<TrainingDrawings | undefined>>();

/** undefined where the cache holds none. Read once for each folder. */
export function findTrainingDrawings(cacheFolder: string): Promise<TrainingDrawings | undefined> {
  let drawings = opened.get(cacheFolder);
  if (!drawings) {
    drawings = openCorpus(cacheFolder, DRAWING_SIDE).then(drawingsOf, (error: unknown) => {
      if (error instanceof InputError) return undefined;
      throw error;
    });
    opened.set(cacheFolder, drawings);
  }
  return drawings;
}

function drawingsOf(corpus: Corpus): TrainingDrawings {
  const entries = corpus.entries("train");
  return {
    hexcodes: entries.map(({ hexcode }) => hexcode),
    names: entries.map(({ name, style }) => `${name} (${style})`),
    captions: entries.map(({ caption }) => caption),
    image: (index) => renderView(corpus.rgba(entries[index]!), corpus.side, PLAIN_VIEW),
  };
}

/** As findTrainingDrawings. Throws an InputError that says how to get them. */
export async function openTrainingDrawings(cacheFolder: string, suite: string): Promise<TrainingDrawings> {
  const drawings = await findTrainingDrawings(cacheFolder);
  if (!drawings)
    throw new InputError(
      `${suite} compares with the training drawings, which are not in ${cacheFolder}: run \`kelix data\` first`,
    );
  return drawings;
}
