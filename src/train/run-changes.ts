// Which settings may change when a run is resumed. The trained parameters, the data and the seed
// may not: the steps before and after would belong to two runs.

import { InputError, quote } from "../errors.ts";
import type { RunConfig } from "./config.ts";

/** Paths, durations and output: may change freely. */
const FREE = [
  ...["description", "folder", "threads", "logEvery", "checkpointEvery", "sampleEvery", "data.cache"],
  // The fingerprint identifies the data, wherever it is.
  ...["data.source.path", "data.source.heldOut", "data.source.skipBad"],
];
/** Tuning: often changed during a run, and reported. */
const TUNED = ["steps", "learningRate", "optimizer", "ema"];

interface Change {
  /** "data.batch" */
  readonly field: string;
  readonly before: unknown;
  readonly after: unknown;
}

/**
 * Returns a sentence for each tuned setting. Throws an InputError if the change would make it another run, unless that is
 * accepted: then these changes are reported too.
 */
export function compareSettings(before: RunConfig, after: RunConfig, acceptChanges = false): string[] {
  const changes = findChanges(before, after).filter(({ field }) => !isAmong(field, FREE));
  const breaking = changes.filter((change) => !isTuned(change));
  if (breaking.length > 0 && !acceptChanges) {
    const more = breaking.length > MAX_CHANGES ? `, and ${breaking.length - MAX_CHANGES} other settings differ` : "";
    throw new InputError(
      `${after.folder} was trained with ${breaking.slice(0, MAX_CHANGES).map(describe).join(", and with ")}${more}: it would not be the same run. Put the old value back, name another folder, or accept the change (--accept-changes)`,
    );
  }
  return changes.map(({ field, before, after }) => `${field} was ${show(before)} and is now ${show(after)}`);
}

const MAX_CHANGES = 3;

function describe({ field, before, after }: Change): string {
  return `${field} ${show(before)}, the config says ${show(after)}`;
}

function show(value: unknown): string {
  return value === undefined ? "absent" : quote(value);
}

/** Whether there is a running average decides which files exist. */
function isTuned({ field, before, after }: Change): boolean {
  const isAboutAverage = field === "ema" && (before === undefined || after === undefined);
  return isAmong(field, TUNED) && !isAboutAverage;
}

function isAmong(field: string, names: readonly string[]): boolean {
  return names.some((name) => field === name || field.startsWith(`${name}.`));
}

function findChanges(before: unknown, after: unknown, path: readonly string[] = []): Change[] {
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => findChanges(before[key], after[key], [...path, key]));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ field: path.join("."), before, after }];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
