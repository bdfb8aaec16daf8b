// The held-out drawings that lie in the package, with the judge and the floors that several suites print beside them.

import type { RgbImage } from "../../image/rgb.ts";
import { findTrainingDrawings, openTrainingDrawings } from "../floors/training-drawings.ts";
import { type HeldOutImage, openHeldOut } from "../heldout.ts";
import { Judge } from "../judge/judge.ts";
import type { SuiteContext } from "../suite.ts";

/** Known concepts, drawn in a style that training never saw. */
export async function knownConcepts(): Promise<HeldOutImage[]> {
  return (await openHeldOut()).filter(({ isKnownConcept }) => isKnownConcept);
}

export interface Verdict {
  /** Concepts that an image may show, likeliest first. */
  readonly labels: readonly string[];
  readonly name: string;
}

export interface OpenJudge {
  rank(images: readonly RgbImage[]): Promise<Verdict[]>;
  release(): Promise<void>;
}

/** Throws an InputError where there are no training drawings, and a FetchError where the judge's weights cannot be had. */
export async function openJudge({ cacheFolder, log }: SuiteContext, suite: string): Promise<OpenJudge> {
  const drawings = await openTrainingDrawings(cacheFolder, suite);
  const judge = await Judge.open(cacheFolder, drawings, log);
  return {
    rank: async (images) =>
      (await judge.rank(images)).map(({ labels, nearest }) => ({ labels, name: drawings.names[nearest]! })),
    release: () => judge.release(),
  };
}

/** undefined where there are no training drawings: the suite then prints less. */
export async function findJudge(context: SuiteContext, suite: string): Promise<OpenJudge | undefined> {
  const drawings = await findTrainingDrawings(context.cacheFolder);
  return drawings && openJudge(context, suite);
}
