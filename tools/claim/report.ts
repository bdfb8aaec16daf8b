// The outcome as text and tables, written between two markers in docs/claim.md.

import {
  type ArmName,
  armNames,
  arms,
  bitsOf,
  ceilingOf,
  controlNames,
  NON_INFERIOR,
  type Protocol,
  primarySuites,
  type SuiteName,
  suiteNames,
} from "./protocol.ts";
import type { OpenedRecord, Outcome, SuiteSummary } from "./results.ts";
import type { ArmRecord } from "./run.ts";
import { mean } from "./statistics.ts";

const START = "<!-- results: written by `npm run claim` -->";
const END = "<!-- end of results -->";

/** The limits of any outcome. */
export const LIMITS =
  "At this scale, trained end to end, on drawn images: the encoder adapts to its bottleneck here. The paper's encoder is pretrained and holds far more than any code, so this neither confirms nor refutes the paper's own numbers.";

/** Inserts the results into the page, replacing earlier ones. Throws if the page has no markers. */
export function insertResults(page: string, results: string): string {
  const [start, end] = [page.indexOf(START), page.indexOf(END)];
  if (start < 0 || end < start) throw new Error("docs/claim.md has lost its markers for results");
  return `${page.slice(0, start + START.length)}\n\n${results.trim()}\n\n${page.slice(end)}`;
}

export function describeOutcome(protocol: Protocol, records: readonly OpenedRecord[], outcome: Outcome): string {
  const stamp =
    protocol.name === "quick"
      ? `**Smoke test, proves nothing**: a few dozen steps, one seed, ${protocol.items.test} questions per suite.\n\n`
      : "";
  const { h1, h2, trend, aboveCeiling } = outcome;
  const runs = Object.entries(protocol.seeds)
    .map(([arm, seeds]) => `${arm} x ${seeds}`)
    .join(", ");
  return `${stamp}Runs (arm x seeds): ${runs}. Steps: ${Object.values(protocol.steps).join(" + ")}, batch ${protocol.batch}.

**H1, eight codes understand as well as continuous features: ${verdictOfH1(outcome)}**
${h1.decidedOn.length > 0 ? `Decided on: ${h1.decidedOn.join(", ")}.` : "No suite is in the range where it can be decided."}

**H2, eight codes read more than one, and one reads what its bits carry: ${h2.holds ? "holds" : "does not hold"}.** On ${primarySuites.join(" and ")}, N = 8 leads N = 1 by ${points(h2.difference.mean)} (95 % interval ${points(h2.difference.low)} to ${points(h2.difference.high)}); N = 1 reads ${share(h2.accuracy)} of a possible ${share(h2.ceiling)}${h2.isNearCeiling ? "" : ", more than 10 points below"}. ${fallOfOne(outcome)}

Order N = 1, 2, 4, 8 on the primary suites: ${Number.isNaN(trend) ? "not all arms were run" : `p = ${small(trend)} (Page)`}. Arms above their ceiling: ${aboveCeiling.length > 0 ? `**${aboveCeiling.join(", ")}: a bug**` : "none"}.

${accuracyTable(outcome)}

In brackets, half of the 95 % interval. G is the gain over the question alone, as a share of the continuous twin's.

${h1Table(outcome)}

${bookTable(records)}

${controlTable(outcome)}

${LIMITS}
`;
}

/** What may be known while runs are missing: the finished arms' shares on the validation stream, which decides nothing. */
export function describeProgress({ items, steps }: Protocol, records: readonly ArmRecord[], missing: number): string {
  const named = ([...armNames, ...controlNames] as const).filter((name) => records.some(({ arm }) => arm === name));
  const of = (name: ArmName) => records.filter(({ arm }) => arm === name);
  const cell = (name: ArmName, suite: SuiteName) => {
    const most = ceilingOf(suite, arms[name]);
    const shares = of(name).map(({ validation }) => share(validation[suite]));
    return shares.join(", ") + (most < 1 ? ` of ${share(most)}` : "");
  };
  return `${records.length} runs are finished, ${missing} are missing; the test stays sealed until then. Steps: ${Object.values(steps).join(" + ")}. Shares of the finished arms on the **validation** stream, seed by seed (${items.validation} questions per suite). They decide nothing.

${table(
  [
    "suite",
    ...named.map((name) => `${labelOf(name)}, ${of(name).length === 1 ? "seed" : "seeds"} ${seedList(of(name))}`),
  ],
  suiteNames.map((suite) => [suite, ...named.map((name) => cell(name, suite))]),
)}

${bookTable(records)}
`;
}

const labelOf = (name: ArmName) => (name === "C" ? "continuous" : `N = ${name}`);
const seedList = (records: readonly ArmRecord[]) => records.map(({ seed }) => seed).join(", ");

function verdictOfH1({ h1, suites }: Outcome): string {
  if (h1.decidedOn.length === 0) return "undecided.";
  if (h1.holds) return "holds.";
  const failing = suites.filter((suite) => !suite.h1.saysNothing && !suite.h1.holds).map(({ suite }) => suite);
  return `does not hold (${failing.join(", ")}).`;
}

/** The protocol requires this statement either way. */
function fallOfOne({ suites }: Outcome): string {
  const [one, most] = [suites.find(({ suite }) => suite === "glyph-grid 3")?.arms["1"], 0.7];
  if (!one) return "";
  return one.mean >= 0.55 && one.mean <= most + 0.01
    ? `On glyph-grid 3, N = 1 falls to ${share(one.mean)}, where capacity says 55 to 70 %.`
    : `On glyph-grid 3, N = 1 reads ${share(one.mean)}; capacity says 55 to 70 %, so capacity does not explain it here.`;
}

const share = (value: number) => `${(100 * value).toFixed(1)} %`;
const points = (value: number) => (Number.isNaN(value) ? "unknown" : `${(100 * value).toFixed(2)} points`);
const small = (p: number) => (p < 1e-4 ? p.toExponential(1) : p.toFixed(4));

function accuracyTable({ suites }: Outcome): string {
  const named = armNames.filter((name) => suites.some(({ arms: of }) => of[name]));
  return table(
    ["suite", "question alone", ...named.map(labelOf)],
    suites.map(({ suite, floor, arms: of }) => [
      suite,
      share(floor),
      ...named.map((name) => withInterval(of[name]) + ceilingNote(of[name]) + gainNote(suite, of[name])),
    ]),
  );
}

type ArmCell = SuiteSummary["arms"][ArmName];

function withInterval(cell: ArmCell): string {
  if (!cell) return "";
  const half = (50 * (cell.high - cell.low)).toFixed(1);
  return share(cell.mean) + (Number.isNaN(cell.low) ? "" : ` (${half})`);
}

const ceilingNote = (cell: ArmCell) => (cell && cell.ceiling < 1 ? ` of ${share(cell.ceiling)}` : "");

const gainNote = (suite: SuiteName, cell: ArmCell) =>
  cell && primarySuites.includes(suite) ? `, G ${cell.recovered.toFixed(3)}` : "";

function h1Table({ suites }: Outcome): string {
  return table(
    [
      "suite",
      "acc(8) / acc(C)",
      "lower bound",
      `at least ${NON_INFERIOR}`,
      "p (Holm)",
      "difference, bootstrap",
      "McNemar by seed",
    ],
    suites.map(({ suite, h1 }) => [
      h1.judged === "parts" ? suite : `${suite}, whole answers`,
      h1.ratio.toFixed(4),
      Number.isNaN(h1.bound) ? "one seed" : h1.bound.toFixed(4),
      h1.saysNothing ? `${h1.saysNothing}, inconclusive` : h1.holds ? "yes" : "no",
      h1.adjusted === undefined || Number.isNaN(h1.adjusted) ? "" : small(h1.adjusted),
      `${points(h1.difference.low)} to ${points(h1.difference.high)}`,
      h1.mcNemar.map(small).join(", "),
    ]),
  );
}

function bookTable(records: readonly Pick<ArmRecord, "arm" | "books">[]): string {
  const named = [...new Set(records.filter(({ books }) => books).map(({ arm }) => arm))];
  return table(
    ["arm", "bits per position", "entries in use, worst book", "perplexity, worst book"],
    named.map((name) => {
      const books = records.filter(({ arm }) => arm === name).map((record) => record.books!);
      const { codes, entries } = arms[name];
      return [
        name,
        bitsOf(arms[name]).toFixed(0),
        share(mean(books.map(({ use }) => use))),
        `${mean(books.map(({ perplexity }) => perplexity)).toFixed(0)} of ${entries / codes}`,
      ];
    }),
  );
}

function controlTable({ suites }: Outcome): string {
  const named = controlNames.filter((name) => suites.some(({ arms: of }) => of[name]));
  if (named.length === 0) return "Controls: none run yet.";
  return table(
    ["control", ...suites.map(({ suite }) => suite)],
    named.map((name) => [
      arms[name].why,
      ...suites.map(({ arms: of }) => withInterval(of[name]) + ceilingNote(of[name])),
    ]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "--:"))), ...rows.map(line)].join("\n");
}
