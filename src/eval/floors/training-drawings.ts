// kelix-nano's training drawings in plain view, which nearest-neighbour floors and the judge compare with. They are in the
// cache filled by `kelix data`.

import { InputError } from "../../errors.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { PLAIN_VIEW, renderView } from "../../train/data/augment.ts";
import { type Corpus, openCorpus } from "../../train/data/corpus.ts";

export const DRAWING_SIDE = 96;

export interface TrainingDrawings {
  /** The concept of each drawing. */
  readonly hexcodes: readonly string[];
  readonly names: readonly string[];
  /** The wording of requests for each drawing ("a glossy apple"), without the style. */
  readonly captions: readonly string[];
  /** Drawn anew on each call: some milliseconds. */
  image(index: number): RgbImage;
}

const opened = new Map<string, Promise<TrainingDrawings | undefined>>();

/** undefined if the cache has none. Read once per folder. */
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

/** Like findTrainingDrawings, but throws an InputError that says how to get them. */
export async function openTrainingDrawings(cacheFolder: string, suite: string): Promise<TrainingDrawings> {
  const drawings = await findTrainingDrawings(cacheFolder);
  if (!drawings)
    throw new InputError(
      `${suite} compares with the training drawings, which are not in ${cacheFolder}: run \`kelix data\` first`,
    );
  return drawings;
}
