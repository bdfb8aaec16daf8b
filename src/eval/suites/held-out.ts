// The package's held-out drawings, with the judge and floors that several suites share.

import type { RgbImage } from "../../image/rgb.ts";
import { findTrainingDrawings, openTrainingDrawings } from "../floors/training-drawings.ts";
import { type HeldOutImage, openHeldOut } from "../heldout.ts";
import { Judge } from "../judge/judge.ts";
import type { SuiteContext } from "../suite.ts";

/** Known concepts in a held-out style. */
export async function knownConcepts(): Promise<HeldOutImage[]> {
  return (await openHeldOut()).filter(({ isKnownConcept }) => isKnownConcept);
}

export interface Verdict {
  /** Candidate concepts of an image, most likely first. */
  readonly labels: readonly string[];
  readonly name: string;
}

export interface OpenJudge {
  rank(images: readonly RgbImage[]): Promise<Verdict[]>;
  release(): Promise<void>;
}

/** Throws an InputError if there are no training drawings, and a FetchError if the judge's weights are unavailable. */
export async function openJudge({ cacheFolder, log }: SuiteContext, suite: string): Promise<OpenJudge> {
  const drawings = await openTrainingDrawings(cacheFolder, suite);
  const judge = await Judge.open(cacheFolder, drawings, log);
  return {
    rank: async (images) =>
      (await judge.rank(images)).map(({ labels, nearest }) => ({ labels, name: drawings.names[nearest]! })),
    release: () => judge.release(),
  };
}

/** undefined if there are no training drawings: the suite then prints less. */
export async function findJudge(context: SuiteContext, suite: string): Promise<OpenJudge | undefined> {
  const drawings = await findTrainingDrawings(context.cacheFolder);
  return drawings && openJudge(context, suite);
}
