// Plots by Observable Plot as SVG text, without a browser: for report.html of a run and for the pages of docs/.

import type { PlotOptions } from "@observablehq/plot";

/** Draws a plot; `Plot.line`, `Plot.dot` and the other marks come from "@observablehq/plot", imported where they are used. */
export async function plotSvg(options: PlotOptions): Promise<string> {
  // Only what plots pays for the libraries.
  const [{ plot }, { parseHTML }] = await Promise.all([import("@observablehq/plot"), import("linkedom")]);
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const figure = plot({ ...options, figure: false, document: document as unknown as Document });
  figure.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return figure.outerHTML;
}
