// One attack and its outcome.

import type { Target } from "./target.ts";

/** The outcome of an attack. `held`: the server withstood it. `failed`: it did not. `skipped`: the attack could not be tried. */
export interface Finding {
  readonly verdict: "held" | "failed" | "skipped";
  readonly sentence: string;
}

export interface Attack {
  /** A stable identifier, such as "ssrf". */
  readonly name: string;
  /** What is tried. */
  readonly about: string;
  run(target: Target): Promise<Finding>;
}

export const held = (sentence: string): Finding => ({ verdict: "held", sentence });
export const failed = (sentence: string): Finding => ({ verdict: "failed", sentence });
export const skipped = (sentence: string): Finding => ({ verdict: "skipped", sentence });

/** `failed` with the first complaint, or `held`. */
export function judge(complaints: readonly (string | undefined)[], otherwise: string): Finding {
  const found = complaints.filter((complaint) => complaint !== undefined);
  if (found.length === 0) return held(otherwise);
  return failed(found.length === 1 ? found[0]! : `${found[0]}; and ${found.length - 1} more`);
}
