// The held-out split, in one place: about an eighth of the concepts in every style,
// and one whole style. Only whole concepts and styles are held out, never single images.

import { counterRandom } from "../../random/counter.ts";

export type Split = "train" | "heldOutStyle" | "heldOutConcept";
export const splits: readonly Split[] = ["train", "heldOutStyle", "heldOutConcept"];

/** Never trained on; its images of known concepts measure generalization to another style. */
export const HELD_OUT_STYLE = "twemoji";

const HELD_OUT_SHARE = 0.12;
const SPLIT_SEED = 20260213;

/** Decided by the code point alone, so that editing the table of concepts changes no other concept's split. */
export function isHeldOutConcept(hexcode: string): boolean {
  return counterRandom(SPLIT_SEED, "concept").fork(hexcode).uniform(0) < HELD_OUT_SHARE;
}

/** A held-out concept in the held-out style counts as a held-out concept. */
export function splitOf(hexcode: string, style: string): Split {
  if (isHeldOutConcept(hexcode)) return "heldOutConcept";
  return style === HELD_OUT_STYLE ? "heldOutStyle" : "train";
}
