// One attack, and what came of it.

import type { Target } from "./target.ts";

/** What came of an attack, in a sentence; `skipped` where it could not be tried. */
export interface Finding {
  readonly verdict: "held" | "failed" | "skipped";
  readonly sentence: string;
}

export interface Attack {
  /** Stable, for programs: "ssrf". */
  readonly name: string;
  /** What is tried. */
  readonly about: string;
  run(target: Target): Promise<Finding>;
}

export const held = (sentence: string): Finding => ({ verdict: "held", sentence });
export const failed = (sentence: string): Finding => ({ verdict: "failed", sentence });
export const skipped = (sentence: string): Finding => ({ verdict: "skipped", sentence });

/** The first complaint as a failure, or what held. */
export function judge(complaints: readonly (string | undefined)[], otherwise: string): Finding {
  const found = complaints.filter((complaint) => complaint !== undefined);
  if (found.length === 0) return held(otherwise);
  return failed(found.length === 1 ? found[0]! : `${found[0]}; and ${found.length - 1} more like it`);
}
