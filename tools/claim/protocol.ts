// The protocol of the claim, fixed before any run: arms, lengths, data and decision rules.
// docs/claim.md describes it.

import { glyphCeiling, glyphLevels } from "../../src/train/data/glyph-grid.ts";

/** The continuous twin, and models that see only N codes per position. */
export const armNames = ["C", "1", "2", "4", "8"] as const;
/** Controls: variations of an arm that separate one cause from another. */
export const controlNames = ["1x8192", "2x64", "1x4096", "1d32"] as const;
export type ArmName = (typeof armNames)[number] | (typeof controlNames)[number];

/** The differences between arms. All share the total code width `TOTAL_WIDTH` unless `width` is given. */
export interface Arm {
  readonly name: ArmName;
  /** Codes per position; 0 for continuous features. */
  readonly codes: number;
  /** Total entries of all codebooks. */
  readonly entries: number;
  /** Total width of a position's codes. */
  readonly width: number;
  readonly why: string;
}

export const TOTAL_WIDTH = 256;
const ENTRIES = 2048;

const arm = (name: ArmName, codes: number, why: string, entries = ENTRIES, width = TOTAL_WIDTH): Arm => ({
  name,
  codes,
  entries,
  width,
  why,
});

export const arms: Readonly<Record<ArmName, Arm>> = {
  C: arm("C", 0, "continuous features"),
  "1": arm("1", 1, "one code of 2,048"),
  "2": arm("2", 2, "two codes of 1,024"),
  "4": arm("4", 4, "four codes of 512"),
  "8": arm("8", 8, "eight codes of 256"),
  "1x8192": arm("1x8192", 1, "one code of 8,192: more entries instead of more codes", 8192),
  "2x64": arm("2x64", 2, "two codes of 64: twelve bits in two codes", 128),
  "1x4096": arm("1x4096", 1, "one code of 4,096: twelve bits in one code", 4096),
  "1d32": arm("1d32", 1, "one code of 2,048 that is 32 numbers wide", ENTRIES, 32),
};

/** Capacity of a position's codes in bits. */
export function bitsOf({ codes, entries }: Arm): number {
  return codes === 0 ? Number.POSITIVE_INFINITY : codes * Math.log2(entries / codes);
}

export const suiteNames = [
  ...glyphLevels.map((level) => `glyph-grid ${level}` as const),
  "letters 20 px",
  "words 20 px",
  "letters 12 px",
  "words 12 px",
  "scenes",
  "captions",
] as const;
export type SuiteName = (typeof suiteNames)[number];

/** The suites that decide the capacity question: eight-pixel symbols, black and coloured, their mean. */
export const primarySuites: readonly SuiteName[] = ["glyph-grid 3", "glyph-grid 4"];

/** The ceiling of an arm's share of symbols on a suite; 1 if no bound is known. */
export function ceilingOf(suite: SuiteName, arm: Arm): number {
  const level = glyphLevels.find((one) => suite === `glyph-grid ${one}`);
  return level && arm.codes > 0 ? glyphCeiling(level, bitsOf(arm)) : 1;
}

export interface Protocol {
  readonly name: "full" | "quick";
  /** Updates of the shared warm-up, of each arm's branch, and of the fresh language model. */
  readonly steps: { readonly warmUp: number; readonly branch: number; readonly reader: number };
  readonly batch: number;
  /** Images for k-means. */
  readonly kmeansImages: number;
  /** Questions of a suite on the test seed (captions: all 456 held-out drawings), and on the validation seed. */
  readonly items: { readonly test: number; readonly validation: number };
  readonly seeds: Readonly<Partial<Record<ArmName, number>>>;
}

export const full: Protocol = {
  name: "full",
  steps: { warmUp: 2500, branch: 1500, reader: 5000 },
  batch: 32,
  kmeansImages: 8000,
  items: { test: 4000, validation: 512 },
  seeds: { C: 5, "1": 5, "8": 5, "2": 3, "4": 3, "1x8192": 2, "2x64": 2, "1x4096": 2, "1d32": 2 },
};

/** A smoke test: everything runs, nothing is proved. */
export const quick: Protocol = {
  name: "quick",
  steps: { warmUp: 90, branch: 36, reader: 36 },
  batch: 32,
  kmeansImages: 256,
  items: { test: 100, validation: 32 },
  seeds: { C: 1, "1": 1, "8": 1 },
};

/** C must read this share of the symbols of every level on the validation seed, or the stages of all arms are too short. */
export const PILOT_SHARE = 0.95;

/** H1: the lower bound of acc(8) / acc(C) must reach this. */
export const NON_INFERIOR = 0.99;

/** H2: acc(1) must be within this distance of its ceiling. */
export const CEILING_MARGIN = 0.1;
