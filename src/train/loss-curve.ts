// Draws a run's losses over its steps as an SVG file to look at, from log.jsonl.

import { join } from "node:path";
import { replaceFile, writeAll } from "../files/atomic-file.ts";
import { type RunLogEntry, readRunLog } from "./run-log.ts";

const WIDTH = 720;
const HEIGHT = 360;
const MARGIN = 48;
const COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"];

/** Writes loss.svg into the run's folder: every logged loss on a logarithmic axis. */
export async function drawLossCurve(run: string): Promise<void> {
  const entries = await readRunLog(join(run, "log.jsonl"));
  const names = [...new Set(entries.flatMap((entry) => Object.keys(entry)))].filter((name) =>
    /^[\w.]*loss[\w.]*$/.test(name),
  );
  const svg = lossCurve(entries, names);
  await replaceFile(join(run, "loss.svg"), (file) => writeAll(file, new TextEncoder().encode(svg)));
}

function lossCurve(entries: readonly RunLogEntry[], names: readonly string[]): string {
  const values = entries.flatMap((entry) => names.map((name) => entry[name] ?? Number.NaN)).filter((v) => v > 0);
  const low = Math.log10(values.reduce((a, b) => Math.min(a, b), 1));
  const high = Math.log10(values.reduce((a, b) => Math.max(a, b), 1.1));
  const last = Math.max(entries.at(-1)?.step ?? 1, 1);
  const x = (step: number) => MARGIN + ((WIDTH - 2 * MARGIN) * step) / last;
  const y = (value: number) =>
    HEIGHT - MARGIN - ((HEIGHT - 2 * MARGIN) * (Math.log10(value) - low)) / Math.max(high - low, 1e-6);
  const lines = names.map((name, i) => {
    const points = entries
      .filter((entry) => (entry[name] ?? 0) > 0)
      .map((entry) => `${x(entry.step!).toFixed(1)},${y(entry[name]!).toFixed(1)}`);
    const colour = COLOURS[i % COLOURS.length];
    const label = `<text x="${WIDTH - MARGIN - 130}" y="${MARGIN + 16 * i}" fill="${colour}">${name}</text>`;
    return `<polyline fill="none" stroke="${colour}" points="${points.join(" ")}"/>${label}`;
  });
  const ticks = Array.from({ length: 5 }, (_, i) => 10 ** (low + ((high - low) * i) / 4)).map(
    (value) =>
      `<text x="4" y="${y(value).toFixed(1)}">${value.toPrecision(3)}</text><line x1="${MARGIN}" x2="${WIDTH - MARGIN}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>${ticks.join("")}${lines.join("")}<text x="${WIDTH / 2}" y="${HEIGHT - 10}">step (last: ${last})</text></svg>\n`;
}
