// The kinds of images in a batch: shares by kind, drawn for each item.

import * as z from "zod";

/** The corpus's kinds, and `own`: examples from the run's data. */
export const sampleKinds = ["emoji", "scene", "icon", "lettering", "digit", "own"] as const;
export type SampleKind = (typeof sampleKinds)[number];

/** Weights of the kinds; they need not sum to 1. */
export const mixSchema = z
  .partialRecord(z.enum(sampleKinds), z.number().min(0).max(1e6))
  .refine((mix) => Object.values(mix).some((weight) => weight > 0), "expected a weight above 0 for at least one kind");

export type Mix = z.infer<typeof mixSchema>;

/** The kinds with a weight above 0. */
export function kindsOf(...mixes: readonly Mix[]): SampleKind[] {
  return sampleKinds.filter((kind) => mixes.some((mix) => (mix[kind] ?? 0) > 0));
}

/** The kind for a uniform number in [0, 1). */
export function pickKind(mix: Mix, uniform: number): SampleKind {
  const kinds = kindsOf(mix);
  let left = uniform * kinds.reduce((sum, kind) => sum + mix[kind]!, 0);
  for (const kind of kinds) {
    left -= mix[kind]!;
    if (left < 0) return kind;
  }
  return kinds.at(-1)!;
}
