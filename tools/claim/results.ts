// Evaluates the two hypotheses, fixed beforehand (docs/claim.md), on the records of all arms and seeds.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { counterRandom } from "../../src/random/counter.ts";
import {
  type Arm,
  type ArmName,
  armNames,
  arms,
  CEILING_MARGIN,
  ceilingOf,
  NON_INFERIOR,
  type Protocol,
  primarySuites,
  type SuiteName,
  suiteNames,
} from "./protocol.ts";
import type { ArmRecord } from "./run.ts";
import { bootstrap, holm, type Interval, lowerBound, mcNemar, mean, pageTest, tInterval, tTest } from "./statistics.ts";

export interface Scores {
  /** Each item's share of correct parts. */
  readonly shares: readonly number[];
  /** Question alone. */
  readonly floor: number;
}

export interface OpenedRecord extends Omit<ArmRecord, "sealed"> {
  readonly test: Readonly<Record<SuiteName, Scores>>;
}

export async function readRecords(folder: string): Promise<ArmRecord[]> {
  const names = await readdir(folder).catch(() => []);
  const files = names.filter((name) => /^seed-\d+-arm-.+\.json$/.test(name)).sort();
  return Promise.all(files.map(async (name) => JSON.parse(await readFile(join(folder, name), "utf8")) as ArmRecord));
}

/** Arms and seeds of the protocol without a record. */
export function missingOf({ seeds }: Protocol, records: readonly ArmRecord[]): string[] {
  return Object.entries(seeds).flatMap(([arm, count]) =>
    Array.from({ length: count }, (_, i) => i + 1)
      .filter((seed) => !records.some((record) => record.arm === arm && record.seed === seed))
      .map((seed) => `arm ${arm}, seed ${seed}`),
  );
}

/** Opens the test scores. Throws unless every run of the protocol is complete: they are never read in part. */
export function openTest(protocol: Protocol, records: readonly ArmRecord[]): OpenedRecord[] {
  const missing = missingOf(protocol, records);
  if (missing.length > 0) throw new Error(`The test stays sealed: ${missing.join("; ")} missing`);
  return records.map(({ sealed, ...record }) => ({
    ...record,
    test: JSON.parse(gunzipSync(Buffer.from(sealed, "base64")).toString("utf8")),
  }));
}

export interface SuiteSummary {
  readonly suite: SuiteName;
  readonly floor: number;
  readonly arms: Readonly<Partial<Record<ArmName, ArmSummary>>>;
  readonly h1: NonInferiority;
}

export interface ArmSummary extends Interval {
  readonly bySeed: readonly number[];
  readonly ceiling: number;
  /** (accuracy - floor) / (accuracy of C - floor) */
  readonly recovered: number;
}

export interface NonInferiority {
  /** Where C reads too many of the parts for a difference to show, whole answers decide: all symbols of a line. */
  readonly judged: "parts" | "whole answers";
  /** acc(8) / acc(C), and the one-sided 95 % lower bound of its mean over seeds. */
  readonly ratio: number;
  readonly bound: number;
  /** p of such ratios if the true one were NON_INFERIOR, also after Holm's correction over the secondary suites. */
  readonly p: number;
  adjusted?: number;
  /** If C is not between its floor + 20 points and 99 %, equality proves nothing. */
  readonly saysNothing: "saturated" | "too low" | undefined;
  readonly holds: boolean;
  /** acc(8) - acc(C) by a bootstrap over seeds and items; McNemar's exact test per seed (whole items). */
  readonly difference: Interval;
  readonly mcNemar: readonly number[];
}

export interface Outcome {
  readonly suites: readonly SuiteSummary[];
  readonly h1: { readonly holds: boolean; readonly decidedOn: readonly SuiteName[] };
  readonly h2: {
    readonly holds: boolean;
    readonly difference: Interval;
    /** Of N = 1 on the primary suites. */
    readonly ceiling: number;
    readonly accuracy: number;
    readonly isNearCeiling: boolean;
  };
  /** p of the order N = 1, 2, 4, 8 on the primary suites (Page). */
  readonly trend: number;
  /** Arms above their codes' capacity, beyond their interval: bugs. */
  readonly aboveCeiling: readonly string[];
}

export function decide(records: readonly OpenedRecord[]): Outcome {
  const of = (arm: ArmName, seed: number) => records.find((record) => record.arm === arm && record.seed === seed);
  const seedsOf = (...wanted: readonly ArmName[]) =>
    [...new Set(records.map(({ seed }) => seed))].sort().filter((seed) => wanted.every((arm) => of(arm, seed)));
  const sharesOf = (arm: ArmName, seed: number, suite: SuiteName) => of(arm, seed)!.test[suite].shares;
  const accuracy = (arm: ArmName, seed: number, suite: SuiteName) => mean(sharesOf(arm, seed, suite));

  const suites = suiteNames.map((suite): SuiteSummary => {
    const floor = mean(records.map(({ test }) => test[suite].floor));
    const continuous = mean(seedsOf("C").map((seed) => accuracy("C", seed, suite)));
    const summaries = Object.fromEntries(
      Object.values(arms).flatMap((arm: Arm) => {
        const bySeed = seedsOf(arm.name).map((seed) => accuracy(arm.name, seed, suite));
        if (bySeed.length === 0) return [];
        const recovered = (mean(bySeed) - floor) / (continuous - floor);
        return [[arm.name, { ...tInterval(bySeed), bySeed, ceiling: ceilingOf(suite, arm), recovered }]];
      }),
    );
    const byParts = nonInferiority(suite, floor, "parts");
    const h1 = byParts.saysNothing === "saturated" ? nonInferiority(suite, floor, "whole answers") : byParts;
    return { suite, floor, arms: summaries, h1 };
  });

  function nonInferiority(suite: SuiteName, floor: number, judged: NonInferiority["judged"]): NonInferiority {
    const scores = (arm: ArmName, seed: number) =>
      judged === "parts" ? sharesOf(arm, seed, suite) : wholeAnswers(sharesOf(arm, seed, suite));
    const pairs = seedsOf("C", "8").map((seed) => ({ a: scores("8", seed), b: scores("C", seed) }));
    const ratios = pairs.map(({ a, b }) => mean(a) / mean(b));
    const continuous = mean(seedsOf("C").map((seed) => mean(scores("C", seed))));
    const bound = lowerBound(ratios);
    return {
      judged,
      ratio: mean(ratios),
      bound,
      p: tTest(ratios.map((ratio) => ratio - NON_INFERIOR)),
      saysNothing: continuous > 0.99 ? "saturated" : continuous < floor + 0.2 ? "too low" : undefined,
      holds: bound >= NON_INFERIOR,
      difference: bootstrap(pairs, counterRandom(1, `bootstrap ${suite}`)),
      mcNemar: pairs.map(({ a, b }) => mcNemar(wholeAnswers(a), wholeAnswers(b))),
    };
  }

  const secondary = suites.filter(({ suite, h1 }) => !primarySuites.includes(suite) && !h1.saysNothing);
  holm(secondary.map(({ h1 }) => h1.p)).forEach((p, i) => {
    secondary[i]!.h1.adjusted = p;
  });
  const decidedOn = suites.filter(({ h1 }) => !h1.saysNothing);

  const primary = (arm: ArmName, seed: number) => mean(primarySuites.map((suite) => accuracy(arm, seed, suite)));
  const difference = tInterval(seedsOf("1", "8").map((seed) => primary("8", seed) - primary("1", seed)));
  const one = mean(seedsOf("1").map((seed) => primary("1", seed)));
  const ceiling = mean(primarySuites.map((suite) => ceilingOf(suite, arms["1"])));
  const isNearCeiling = ceiling - one <= CEILING_MARGIN;
  const ordered = armNames.filter((name) => name !== "C");
  const complete = seedsOf(...ordered);
  return {
    suites,
    h1: {
      holds: decidedOn.length > 0 && decidedOn.every(({ h1 }) => h1.holds),
      decidedOn: decidedOn.map(({ suite }) => suite),
    },
    h2: { holds: difference.low > 0 && isNearCeiling, difference, ceiling, accuracy: one, isNearCeiling },
    trend:
      complete.length > 0 ? pageTest(complete.map((seed) => ordered.map((arm) => primary(arm, seed)))) : Number.NaN,
    aboveCeiling: suites.flatMap(({ suite, arms: summaries }) =>
      Object.entries(summaries)
        .filter(([, { low, mean: centre, ceiling: most }]) => (Number.isNaN(low) ? centre : low) > most)
        .map(([name]) => `${name} on ${suite}`),
    ),
  };
}

/** 1 for an item whose parts are all right, else 0. */
function wholeAnswers(shares: readonly number[]): number[] {
  return shares.map((share) => (share > 0.999 ? 1 : 0));
}
