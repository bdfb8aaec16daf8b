import { describe, expect, test } from "vitest";
import { blankImage } from "../train/data/shapes.ts";
import { checkSuites, measuresOf, type NamedResult } from "./evaluate.ts";
import { evalReport } from "./report.ts";
import { showResults } from "./show.ts";

const measure = { value: 0.75, low: 0.6, high: 0.85, n: 40, floors: { pixelNeighbour: 0.6 } };
const results: NamedResult[] = [
  {
    suite: "naming",
    seconds: 3,
    measures: { accuracy: measure },
    details: [{ name: "about <these>", text: "nothing" }],
    samples: [{ images: [{ label: "a dog", image: blankImage(8, [1, 2, 3]) }], text: "a <dog>", isRight: false }],
  },
  {
    suite: "reconstruction",
    seconds: 1,
    measures: { psnr: { value: 18.26, low: 18, high: 18.5, n: 40, floors: { residualCodes: 24.05 } } },
    details: [],
    samples: [],
  },
];

describe("results", () => {
  test("as JSON they are measures by suite and name, and nothing else", () => {
    expect(measuresOf(results)).toEqual({
      naming: { accuracy: measure },
      reconstruction: { psnr: { value: 18.26, low: 18, high: 18.5, n: 40, floors: { residualCodes: 24.05 } } },
    });
  });

  test("as text they have intervals, numbers of items and floors in their units", () => {
    const text = showResults(results);
    expect(text).toMatch(/accuracy\s+75\.0 % \(60\.0 to 85\.0; n 40\)\s+pixel neighbour 60\.0 %/);
    expect(text).toMatch(/psnr\s+18\.26 dB \(18\.00 to 18\.50; n 40\)\s+residual codes 24\.05 dB/);
  });

  test("the page holds everything itself and escapes what models say", async () => {
    const facts = { model: "a<b", parameters: 1e6, codebooks: 8, codesPerBook: 256, seed: 0, command: "kelix eval" };
    const page = await evalReport(results, facts);
    expect(page).toContain("a &lt;dog&gt;");
    expect(page).toContain("Evaluation of a&lt;b");
    expect(page).toContain("data:image/png;base64,iVBOR");
    expect(page).toContain("prefers-color-scheme:dark");
    expect(page).not.toMatch(/(src|href)="(?!data:|#)/);
    expect(page).not.toContain("<script");
  });

  test("names that are no suites are rejected, and those that occur twice", () => {
    expect(() => checkSuites(["naming", "names"])).toThrow('got "names"');
    expect(() => checkSuites(["naming", "naming"])).toThrow("each once");
  });
});
