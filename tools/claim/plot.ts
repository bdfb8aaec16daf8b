// Plots accuracy against the number of codes, with the capacity ceilings and the continuous twin as a line.

import { dot, line, link, ruleY, text } from "@observablehq/plot";
import { glyphLevels } from "../../src/train/data/glyph-grid.ts";
import { plotSvg } from "../../src/train/plot.ts";
import { armNames } from "./protocol.ts";
import type { Outcome } from "./results.ts";

/** One panel per level of glyph-grid; whiskers are 95 % intervals over seeds. */
export async function plotAccuracy({ suites }: Outcome): Promise<string> {
  const levels = glyphLevels.flatMap((level) => suites.filter(({ suite }) => suite === `glyph-grid ${level}`));
  const points = levels.flatMap(({ suite, arms }) =>
    armNames.flatMap((name) => {
      const arm = arms[name];
      if (name === "C" || !arm) return [];
      return [{ suite, codes: Number(name), ...arm }];
    }),
  );
  const continuous = levels.flatMap(({ suite, arms: { C } }) => (C ? [{ suite, accuracy: C.mean }] : []));
  const panel = { fx: "suite" } as const;
  return plotSvg({
    width: 900,
    height: 320,
    marginLeft: 50,
    style: { background: "white" },
    x: { type: "log", base: 2, ticks: [1, 2, 4, 8], tickFormat: "d", label: "codes per position" },
    y: { domain: [0, 1], tickFormat: "%", grid: true, label: "symbols read" },
    fx: { label: null },
    marks: [
      ruleY(continuous, { ...panel, y: "accuracy", stroke: "#1a7f37", strokeDasharray: "4 3" }),
      line(points, { ...panel, x: "codes", y: "ceiling", stroke: "#999" }),
      line(points, { ...panel, x: "codes", y: "mean", stroke: "#1f6feb" }),
      link(
        points.filter(({ low }) => !Number.isNaN(low)),
        { ...panel, x1: "codes", x2: "codes", y1: "low", y2: "high", stroke: "#1f6feb" },
      ),
      dot(points, { ...panel, x: "codes", y: "mean", fill: "#1f6feb" }),
      text(
        levels.slice(0, 1).map(({ suite }) => ({ suite, x: 2, y: 0.05 })),
        {
          ...panel,
          x: "x",
          y: "y",
          text: () => "blue: read, grey: ceiling, green: continuous",
        },
      ),
    ],
  });
}
