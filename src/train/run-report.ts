// A run's page: report.html in its folder, with every logged number over the steps and the samples over time. It is
// self-contained: plots are SVG, images are embedded.

import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Markish } from "@observablehq/plot";
import { readJsonIfPresent } from "../checkpoint/json-file.ts";
import { fileAt } from "../files/folder.node.ts";
import { replaceFile, writeAll } from "../output/atomic-file.ts";
import { plotSvg } from "./plot.ts";
import { formatNumber } from "./progress.ts";
import { type RunLogEntry, readRunLog } from "./run-log.ts";

/** Maximum points of a curve; longer logs are averaged over ranges of steps. */
const MOST_POINTS = 600;
/** Samples shown per name, spread over the run. */
const MOST_SAMPLES = 8;

/** Writes report.html for the current state of the run in `folder`; returns its path. */
export async function writeRunReport(folder: string): Promise<string> {
  const path = join(folder, "report.html");
  const page = await runReport(folder);
  await replaceFile(path, (file) => writeAll(file, new TextEncoder().encode(page)));
  return path;
}

/** A plot of a run's loss over its steps, as HTML for another page. */
export async function lossCurve(folder: string): Promise<string> {
  const log = await readRunLog(join(folder, "log.jsonl"));
  return log.length === 0 ? "" : curve(thin(log), "loss", "log");
}

async function runReport(folder: string): Promise<string> {
  const config = (await readJsonIfPresent(...fileAt(join(folder, "config.json")))) as
    | { readonly stage?: string; readonly description?: string; readonly steps?: number }
    | undefined;
  const log = await readRunLog(join(folder, "log.jsonl"));
  const numbers = await readRunLog(join(folder, "samples", "numbers.jsonl"));
  const { stage = "training", description = "", steps } = config ?? {};
  const state = `Step ${log.at(-1)?.step ?? 0}${steps === undefined ? "" : ` of ${steps}`}`;
  const losses = namesIn(log).filter((name) => /loss/i.test(name));
  const others = namesIn(log).filter((name) => !/loss/i.test(name));
  const curves = await section("Losses", thin(log), losses, "log");
  const rates = await section("Other numbers of a step", thin(log), others, "linear");
  const held = await section("On held-out data", numbers, namesIn(numbers), "linear");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(stage)}: ${escapeHtml(folder)}</title>
<style>${STYLE}</style>
<h1>${escapeHtml(stage)}</h1>
<p>${escapeHtml(description)}</p>
<p>${state}. Folder: <code>${escapeHtml(folder)}</code></p>
${held}
${curves}
${rates}
${await samples(join(folder, "samples"))}
<h2>Settings</h2>
<pre>${escapeHtml(JSON.stringify(config ?? {}, null, 2))}</pre>
</html>
`;
}

const STYLE = `body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #1f2328; background: white }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top }
figcaption { font-size: 13px }
img { max-width: 100%; image-rendering: pixelated }
pre { background: #f6f8fa; padding: 1rem; overflow: auto; max-height: 30rem }
table { border-collapse: collapse } td, th { border: 1px solid #d0d7de; padding: .2rem .6rem; text-align: left }`;

/** All names except the step, in order of first occurrence. */
function namesIn(entries: readonly RunLogEntry[]): string[] {
  return [...new Set(entries.flatMap((entry) => Object.keys(entry)))].filter((name) => name !== "step");
}

/** Means over ranges of consecutive entries, at most MOST_POINTS. */
export function thin(entries: readonly RunLogEntry[], most = MOST_POINTS): RunLogEntry[] {
  const size = Math.ceil(entries.length / most);
  if (size <= 1) return [...entries];
  return Array.from({ length: Math.ceil(entries.length / size) }, (_, i) => {
    const part = entries.slice(i * size, (i + 1) * size);
    const means = namesIn(part).flatMap((name) => {
      const values = part.map((entry) => entry[name]).filter((value) => typeof value === "number");
      return values.length === 0 ? [] : [[name, values.reduce((a, b) => a + b, 0) / values.length]];
    });
    return { ...Object.fromEntries(means), step: part.at(-1)!.step };
  });
}

/** One small plot per name. */
async function section(
  title: string,
  entries: readonly RunLogEntry[],
  names: readonly string[],
  scale: "linear" | "log",
): Promise<string> {
  if (names.length === 0) return "";
  const plots: string[] = [];
  for (const name of names) plots.push(await curve(entries, name, scale));
  return `<h2>${title}</h2>\n${plots.join("\n")}`;
}

async function curve(entries: readonly RunLogEntry[], name: string, scale: "linear" | "log"): Promise<string> {
  const points = entries.flatMap((entry) => {
    const value = entry[name];
    return typeof value === "number" ? [{ step: entry.step, value }] : [];
  });
  const isLog = scale === "log" && points.every(({ value }) => value > 0);
  const { dot, lineY } = await import("@observablehq/plot");
  const channels = { x: "step", y: "value", stroke: "#1f6feb" };
  const marks: Markish[] = [lineY(points, channels)];
  if (points.length <= MAX_DOTS) marks.push(dot(points, channels));
  const svg = await plotSvg({
    width: 340,
    height: 200,
    marginLeft: 50,
    x: { label: "step", ticks: 4 },
    y: { label: null, type: isLog ? "log" : "linear", grid: true, ticks: 5 },
    marks,
  });
  const last = points.at(-1);
  const caption = last ? `${escapeHtml(name)}: ${formatNumber(last.value)} at step ${last.step}` : escapeHtml(name);
  return `<figure>${svg}<figcaption>${caption}</figcaption></figure>`;
}

/** Dots on curves of few points. */
const MAX_DOTS = 40;

/** Files that stages write into samples/, NAME-STEP.png and NAME-STEP.md: some of each name, newest first. */
async function samples(folder: string): Promise<string> {
  const files = (await readdir(folder).catch(() => [])).flatMap((file) => {
    const match = /^(.+)-(\d+)\.(png|md)$/.exec(file);
    return match ? [{ file, name: match[1]!, step: Number(match[2]) }] : [];
  });
  const parts: string[] = [];
  for (const name of [...new Set(files.map((each) => each.name))].sort()) {
    const all = files.filter((each) => each.name === name).sort((a, b) => b.step - a.step);
    const stride = Math.max(1, Math.ceil(all.length / MOST_SAMPLES));
    parts.push(`<h2>Samples: ${escapeHtml(name)}</h2>`);
    for (const { file, step } of all.filter((_, i) => i % stride === 0)) {
      const bytes = await readFile(join(folder, file));
      const shown =
        extname(file) === ".png"
          ? `<img alt="${escapeHtml(name)} at step ${step}" src="data:image/png;base64,${bytes.toString("base64")}">`
          : `<details${step === all[0]!.step ? " open" : ""}><summary>${all.length > 1 ? "rows" : "all"}</summary>${tableOf(bytes.toString("utf8"))}</details>`;
      parts.push(`<h3>Step ${step}</h3>\n${shown}`);
    }
  }
  return parts.join("\n");
}

/** A Markdown table as HTML. */
function tableOf(markdown: string): string {
  const rows = markdown
    .split("\n")
    .filter((line) => line.startsWith("|") && !/^[|\s:-]+$/.test(line))
    .map((line) => line.slice(1, line.lastIndexOf("|")).split("|"));
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell) => `<${tag}>${escapeHtml(cell.trim())}</${tag}>`).join("");
  return `<table>${rows.map((row, i) => `<tr>${cells(row, i === 0 ? "th" : "td")}</tr>`).join("")}</table>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
