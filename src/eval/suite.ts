// The interface of a suite: it queries a model and returns measures, item counts, floors and sample images.

import type { RgbImage } from "../image/rgb.ts";
import type { EvalModel } from "./eval-model.ts";
import type { Measure } from "./measure.ts";

export interface SuiteContext {
  readonly model: EvalModel;
  /** Maximum items per kind; by default the suite's own number. */
  readonly limit?: number | undefined;
  readonly seed: number;
  /** Images drawn per prompt. */
  readonly seeds: number;
  /** The folder with drawn training data, the judge's weights and its features. */
  readonly cacheFolder: string;
  /** For `vqa`: a file of questions. */
  readonly dataFile?: string | undefined;
  /** Called before each item; throws to stop. */
  readonly step: (part: string, done: number, total: number) => void;
  /** Reports status to a waiting user. */
  readonly log: (line: string) => void;
}

export interface SampleImage {
  readonly label: string;
  readonly image: RgbImage;
}

/** One item for the report. */
export interface Sample {
  readonly images: readonly SampleImage[];
  readonly text: string;
  readonly isRight?: boolean | undefined;
}

/** Numbers besides the measures, such as shares by kind of question. */
export interface Detail {
  readonly name: string;
  readonly text: string;
}

export interface SuiteResult {
  /** By name, in report order. */
  readonly measures: Readonly<Record<string, Measure>>;
  readonly details: readonly Detail[];
  readonly samples: readonly Sample[];
}

export interface Suite {
  readonly about: string;
  /** Units of measures that are not shares; shares are shown in percent. */
  readonly units?: Readonly<Record<string, "dB" | "count" | "ratio">>;
  run(context: SuiteContext): Promise<SuiteResult>;
}

/** Samples per suite in the report. */
export const MOST_SAMPLES = 24;

/** The requested number of items, or the suite's own. */
export function itemCount({ limit }: SuiteContext, usual: number): number {
  return Math.min(limit ?? usual, usual);
}

/** About `n` items of a list, evenly spaced. */
export function spread<T>(items: readonly T[], n: number): T[] {
  if (n >= items.length) return [...items];
  return Array.from({ length: n }, (_, i) => items[Math.floor((i * items.length) / n)]!);
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Shares of correct items by kind: "colour 98.0 % of 50". */
export function sharesByKind(items: readonly { readonly kind: string; readonly isRight: boolean }[]): Detail[] {
  return [...new Set(items.map(({ kind }) => kind))].map((kind) => {
    const own = items.filter((item) => item.kind === kind);
    return {
      name: kind,
      text: `${percent(own.filter(({ isRight }) => isRight).length / own.length)} of ${own.length}`,
    };
  });
}
