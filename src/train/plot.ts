// Draws plots with Observable Plot as SVG text, without a browser: for a run's report.html and for pages of docs/.

import type { PlotOptions } from "@observablehq/plot";

/** Draws a plot; callers import `Plot.line`, `Plot.dot` and the other marks from "@observablehq/plot". */
export async function plotSvg(options: PlotOptions): Promise<string> {
  // Loaded on demand, so that only plotting pays for these libraries.
  const [{ plot }, { parseHTML }] = await Promise.all([import("@observablehq/plot"), import("linkedom")]);
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const figure = plot({ ...options, figure: false, document: document as unknown as Document });
  figure.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return figure.outerHTML;
}
