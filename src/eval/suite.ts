// What a suite is: it asks a model, and says what it measured, on how many items, above which floors, with some of the images.

import type { RgbImage } from "../image/rgb.ts";
import type { EvalModel } from "./eval-model.ts";
import type { Measure } from "./measure.ts";

export interface SuiteContext {
  readonly model: EvalModel;
  /** Items of one kind at most; the suite's own number if absent. */
  readonly limit?: number | undefined;
  readonly seed: number;
  /** Images drawn for each prompt. */
  readonly seeds: number;
  /** Where drawn training data, the judge's weights and its features lie. */
  readonly cacheFolder: string;
  /** For `vqa`: a file of questions. */
  readonly dataFile?: string | undefined;
  /** Called before each item; throws when the work shall end. */
  readonly step: (part: string, done: number, total: number) => void;
  /** News that somebody who waits should see. */
  readonly log: (line: string) => void;
}

export interface SampleImage {
  readonly label: string;
  readonly image: RgbImage;
}

/** One item as a report shows it. */
export interface Sample {
  readonly images: readonly SampleImage[];
  readonly text: string;
  readonly isRight?: boolean | undefined;
}

/** Numbers beside the measures, such as shares by kind of question. */
export interface Detail {
  readonly name: string;
  readonly text: string;
}

export interface SuiteResult {
  /** By name, in the order of the report. */
  readonly measures: Readonly<Record<string, Measure>>;
  readonly details: readonly Detail[];
  readonly samples: readonly Sample[];
}

export interface Suite {
  readonly about: string;
  /** How measures that are no shares are written; shares are written in percent. */
  readonly units?: Readonly<Record<string, "dB" | "count" | "ratio">>;
  run(context: SuiteContext): Promise<SuiteResult>;
}

/** Samples that a report shows of each suite. */
export const MOST_SAMPLES = 24;

/** The number of items that is asked for, or the suite's own. */
export function itemCount({ limit }: SuiteContext, usual: number): number {
  return Math.min(limit ?? usual, usual);
}

/** About `n` of a list, evenly over it. */
export function spread<T>(items: readonly T[], n: number): T[] {
  if (n >= items.length) return [...items];
  return Array.from({ length: n }, (_, i) => items[Math.floor((i * items.length) / n)]!);
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Shares of right items by kind: "colour 98.0 % of 50". */
export function sharesByKind(items: readonly { readonly kind: string; readonly isRight: boolean }[]): Detail[] {
  return [...new Set(items.map(({ kind }) => kind))].map((kind) => {
    const own = items.filter((item) => item.kind === kind);
    return {
      name: kind,
      text: `${percent(own.filter(({ isRight }) => isRight).length / own.length)} of ${own.length}`,
    };
  });
}
