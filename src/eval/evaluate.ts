// Runs suites on a model, one after another.

import { InputError, quote } from "../errors.ts";
import type { Kelix } from "../kelix.ts";
import { checkOptions } from "../read-options.ts";
import { defaultCacheFolder } from "../train/data/icon-sets.ts";
import { evalModel } from "./eval-model.ts";
import type { Measure } from "./measure.ts";
import { type SuiteOptions, suiteOptions } from "./options.ts";
import type { SuiteContext, SuiteResult } from "./suite.ts";
import { suites } from "./suites/all.ts";

export interface NamedResult extends SuiteResult {
  readonly suite: string;
  readonly seconds: number;
}

/**
 * Runs the named suites. Throws an InputError for unknown names, and if a suite needs training drawings that are
 * missing; a FetchError if the judge's network cannot be downloaded.
 */
export async function evaluateSuites(
  kelix: Kelix,
  names: readonly string[],
  given: SuiteOptions = {},
): Promise<NamedResult[]> {
  const { signal, limit, seed, seeds, data, onProgress, onNote, cacheFolder } = checkOptions(
    "evaluateSuites",
    suiteOptions,
    given,
  );
  checkSuites(names);
  const context: SuiteContext = {
    model: evalModel(kelix, signal),
    limit,
    seed,
    seeds,
    cacheFolder: cacheFolder ?? defaultCacheFolder(),
    dataFile: data,
    step: (part, done, total) => {
      signal?.throwIfAborted();
      onProgress?.(part, done, total);
    },
    log: (line) => onNote?.(line),
  };
  const results: NamedResult[] = [];
  for (const suite of names) {
    const startMs = performance.now();
    const result = await suites[suite]!.run(context);
    const seconds = (performance.now() - startMs) / 1000;
    results.push({ suite, ...result, seconds });
    if (names.length > 1) onNote?.(`${suite}: done after ${seconds.toFixed(0)} s`);
  }
  return results;
}

/** Throws an InputError for an unknown or repeated name. */
export function checkSuites(names: readonly string[]): void {
  for (const [i, name] of names.entries()) {
    if (!Object.hasOwn(suites, name) || names.indexOf(name) !== i)
      throw new InputError(`Expected suites among ${Object.keys(suites).join(", ")}, each once, got ${quote(name)}`, {
        code: "invalid_option",
      });
  }
}

/** The measures by suite and name, as `--json` prints them: { SUITE: { MEASURE: { value, low, high, n, floors } } } */
export function measuresOf(results: readonly NamedResult[]): Record<string, Record<string, Measure>> {
  const plain = ({ value, low, high, n, floors }: Measure): Measure => ({ value, low, high, n, floors });
  return Object.fromEntries(
    results.map(({ suite, measures }) => [
      suite,
      Object.fromEntries(Object.entries(measures).map(([name, measure]) => [name, plain(measure)])),
    ]),
  );
}
