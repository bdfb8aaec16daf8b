// Decisions on records whose truth is known.

import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { plotAccuracy } from "./plot.ts";
import { type ArmName, arms, ceilingOf, full, type Protocol, quick, type SuiteName, suiteNames } from "./protocol.ts";
import { describeOutcome, describeProgress, insertResults, LIMITS } from "./report.ts";
import { decide, missingOf, openTest } from "./results.ts";
import type { ArmRecord } from "./run.ts";

const protocol: Protocol = { ...quick, seeds: { C: 5, "1": 5, "2": 3, "4": 3, "8": 5 } };
const ITEMS = 2000;

/** Records in which each arm reads a suite with the given chance; the other items have this share of their parts right. */
function recordsOf(chance: (arm: ArmName, suite: SuiteName) => number, rest = 0): ArmRecord[] {
  return Object.entries(protocol.seeds).flatMap(([name, seeds]) =>
    Array.from({ length: seeds }, (_, i) => {
      const arm = name as ArmName;
      const test = Object.fromEntries(
        suiteNames.map((suite) => {
          // Seeds differ by a few items.
          const right = Math.round(chance(arm, suite) * ITEMS) + ((i + arm.length) % 3) - 1;
          const shares = Array.from({ length: ITEMS }, (_, item) => (item < right ? 1 : rest));
          return [suite, { shares, floor: 0.03 }];
        }),
      );
      return {
        protocol: "quick",
        arm,
        seed: i + 1,
        steps: quick.steps,
        rate: 1e-3,
        warmUp: "",
        validation: Object.fromEntries(suiteNames.map((suite) => [suite, 0])) as ArmRecord["validation"],
        ...(arm !== "C" && { books: { use: 1, perplexity: 200 } }),
        sealed: gzipSync(JSON.stringify(test)).toString("base64"),
      };
    }),
  );
}

/** As the account by capacity has it: everybody reads 97 %, or what the codes can carry. */
const byCapacity = (arm: ArmName, suite: SuiteName) => Math.min(0.97, ceilingOf(suite, arms[arm]) - 0.01);

describe("decide", () => {
  it("finds both hypotheses where they are true", () => {
    const outcome = decide(openTest(protocol, recordsOf(byCapacity)));
    expect(outcome.h1.holds).toBe(true);
    expect(outcome.h2.holds).toBe(true);
    expect(outcome.trend).toBeLessThan(0.01);
    expect(outcome.aboveCeiling).toEqual([]);
  });

  it("does not find eight codes as good where they lose three points", () => {
    const outcome = decide(
      openTest(
        protocol,
        recordsOf((arm, suite) => byCapacity(arm, suite) - (arm === "8" ? 0.03 : 0)),
      ),
    );
    expect(outcome.h1.holds).toBe(false);
  });

  it("says nothing of suites that are saturated", () => {
    const outcome = decide(
      openTest(
        protocol,
        recordsOf(() => 1),
      ),
    );
    expect(outcome.h1.decidedOn).toEqual([]);
    expect(outcome.h1.holds).toBe(false);
  });

  it("judges whole answers where nearly all parts are right", () => {
    const read = (arm: ArmName) => (arm === "8" ? 0.93 : 0.97);
    const { suites, h1 } = decide(openTest(protocol, recordsOf(read, 5 / 6)));
    expect(suites.map((suite) => suite.h1.judged)).toEqual(suiteNames.map(() => "whole answers"));
    expect(suites[0]!.h1.ratio).toBeCloseTo(0.93 / 0.97, 3);
    expect(h1).toMatchObject({ holds: false, decidedOn: suiteNames });
  });

  it("does not find one code behind where all read alike, and calls what is above a ceiling a bug", () => {
    const outcome = decide(
      openTest(
        protocol,
        recordsOf(() => 0.9),
      ),
    );
    expect(outcome.h2.holds).toBe(false);
    expect(outcome.aboveCeiling).toContain("1 on glyph-grid 4");
  });

  it("does not find N = 1 near its ceiling where it reads nothing", () => {
    const outcome = decide(
      openTest(
        protocol,
        recordsOf((arm, suite) => (arm === "1" ? 0.1 : byCapacity(arm, suite))),
      ),
    );
    expect(outcome.h2).toMatchObject({ holds: false, isNearCeiling: false });
  });
});

describe("openTest", () => {
  it("stays sealed while a run is missing", () => {
    const records = recordsOf(byCapacity).slice(1);
    expect(missingOf(protocol, records)).toHaveLength(1);
    expect(() => openTest(protocol, records)).toThrow(/stays sealed/);
  });
});

describe("describeProgress", () => {
  it("shows validation, seed by seed, and no test score", () => {
    const records = recordsOf(byCapacity).filter(({ arm }) => arm === "1" || arm === "C");
    const text = describeProgress(full, records, 11);
    expect(text).toContain("10 runs are finished, 11 are missing");
    expect(text).toContain("| suite | continuous, seeds 1, 2, 3, 4, 5 | N = 1, seeds 1, 2, 3, 4, 5 |");
    expect(text).toContain(
      "| glyph-grid 4 | 0.0 %, 0.0 %, 0.0 %, 0.0 %, 0.0 % | 0.0 %, 0.0 %, 0.0 %, 0.0 %, 0.0 % of ",
    );
    expect(text).not.toMatch(/96|97/);
  });
});

describe("describeOutcome", () => {
  const records = openTest(protocol, recordsOf(byCapacity));
  const outcome = decide(records);

  it("prints the outcome with what it does not show, and stamps a smoke test", () => {
    const text = describeOutcome(protocol, records, outcome);
    expect(text).toContain("Smoke test, proves nothing");
    expect(text).toContain(LIMITS);
    // (69 - 3) / (97 - 3)
    expect(text).toContain("| 69.0 % (0.1) of 70.0 %, G 0.702 |");
    expect(text).toContain("H1, eight codes understand as well as continuous features: holds.");
    const full = describeOutcome({ ...protocol, name: "full" }, records, outcome);
    expect(full).not.toContain("Smoke test");
  });

  it("takes the place of earlier results", () => {
    const page = "# Claim\n\n<!-- results: written by `npm run claim` -->\nold\n<!-- end of results -->\nrest\n";
    const twice = insertResults(insertResults(page, "first"), "second");
    expect(twice).toContain("second");
    expect(twice).not.toMatch(/old|first/);
    expect(twice.endsWith("rest\n")).toBe(true);
  });

  it("draws every arm and its ceiling", async () => {
    const svg = await plotAccuracy(outcome);
    expect(svg).toMatch(/^<svg /);
    expect(svg.match(/<circle/g)).toHaveLength(16); // four arms on four levels
  });
});
