// The report of an evaluation: one self-contained HTML file, for light and dark screens.

import { encodePng } from "../image/codec.node.ts";
import type { NamedResult } from "./evaluate.ts";
import type { Measure } from "./measure.ts";
import { floorName, showInterval, showNumber, type Unit, unitOf } from "./show.ts";
import type { Sample } from "./suite.ts";
import { suites } from "./suites/all.ts";

export interface ReportFacts {
  /** The model's name, as given. */
  readonly model: string;
  readonly parameters: number;
  readonly codebooks: number;
  readonly codesPerBook: number;
  readonly seed: number;
  /** The command, to repeat the evaluation. */
  readonly command: string;
}

/** The whole page. */
export async function evalReport(results: readonly NamedResult[], facts: ReportFacts): Promise<string> {
  const sections: string[] = [];
  for (const result of results) sections.push(await section(result));
  const { model, parameters, codebooks, codesPerBook, seed, command } = facts;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kelix: evaluation of ${escapeHtml(model)}</title><style>${STYLE}</style></head><body><main>
<header><h1>Evaluation of ${escapeHtml(model)}</h1>
<p>${(parameters / 1e6).toFixed(1)} M parameters, ${codebooks} × ${codesPerBook} codes a position, seed ${seed}. <code>${escapeHtml(command)}</code></p>
<p class="key"><span class="bar"><i class="range" style="left:30%;width:30%"></i><i class="value" style="left:45%"></i></span> value in its 95 % interval
<span class="bar"><i class="floor" style="left:40%"></i></span> floors and references, by name in the last column</p></header>
<nav>${results.map(({ suite }) => `<a href="#${suite}">${suite}</a>`).join("")}</nav>
${sections.join("\n")}
</main></body></html>
`;
}

async function section({ suite, measures, details, samples, seconds }: NamedResult): Promise<string> {
  const rows = Object.entries(measures).map(([name, measure]) => measureRow(suite, name, measure));
  const facts = details.map(({ name, text }) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(text)}</dd>`);
  const cards = await Promise.all(samples.map(card));
  return `<section id="${suite}"><h2>${suite}</h2><p>${escapeHtml(suites[suite]?.about ?? "")} · ${seconds.toFixed(0)} s</p>
<div class="scroll"><table><colgroup><col style="width:8rem"><col style="width:6rem"><col style="width:9rem"><col style="width:4rem"><col style="width:12rem"><col></colgroup><thead><tr><th>measure</th><th>value</th><th>95 % interval</th><th>n</th><th></th><th>compare</th></tr></thead>
<tbody>${rows.join("")}</tbody></table></div>
${facts.length > 0 ? `<dl>${facts.join("")}</dl>` : ""}
<div class="cards">${cards.join("")}</div></section>`;
}

function measureRow(suite: string, name: string, measure: Measure): string {
  const unit = unitOf(suite, name);
  const floors = Object.entries(measure.floors).map(
    ([floor, value]) => `${escapeHtml(floorName(floor))} ${showNumber(value, unit)}`,
  );
  return `<tr><th>${name}</th><td class="number"><b>${showNumber(measure.value, unit)}</b></td>
<td class="number">${showInterval(measure, unit)}</td><td class="number">${measure.n}</td><td>${bar(measure, unit)}</td><td>${floors.join("<br>")}</td></tr>`;
}

/** The positions of value, interval and floors between 0 and the end of the scale. */
function bar({ value, low, high, floors }: Measure, unit: Unit): string {
  const marks = Object.values(floors);
  const finite = [value, high, ...marks].filter(Number.isFinite);
  const end = unit === "share" || unit === "ratio" ? 1 : 1.1 * Math.max(...finite, 1e-9);
  const at = (x: number) => `${(100 * Math.min(1, Math.max(0, x / end))).toFixed(2)}%`;
  const isKnown = Number.isFinite(low) && Number.isFinite(high);
  const [from, to] = isKnown ? [Math.max(0, low), Math.min(end, high)] : [value, value];
  const floorMarks = Object.entries(floors).map(
    ([name, x]) => `<i class="floor" style="left:${at(x)}" title="${escapeHtml(floorName(name))}"></i>`,
  );
  return `<span class="bar"><i class="range" style="left:${at(from)};width:${at(to - from)}"></i>${floorMarks.join("")}<i class="value" style="left:${at(value)}"></i></span>`;
}

async function card({ images, text, isRight }: Sample): Promise<string> {
  const figures = await Promise.all(
    images.map(async ({ label, image }) => {
      const png = Buffer.from(await encodePng(image)).toString("base64");
      return `<figure><img src="data:image/png;base64,${png}" alt="${escapeHtml(label)}"><figcaption>${escapeHtml(label)}</figcaption></figure>`;
    }),
  );
  const mark = isRight === undefined ? "" : isRight ? '<b class="right">✓</b> ' : '<b class="wrong">✗</b> ';
  return `<article>${figures.join("")}<p>${mark}${escapeHtml(text) || "(nothing)"}</p></article>`;
}

function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (c) => names[c]!);
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2230;--soft:#5a6475;--paper:#fff;--card:#f5f6f8;--line:#d9dde4;--accent:#3056d3;--range:#3056d355;--floor:#b0561f;--right:#1a7f37;--wrong:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa4b5;--paper:#14171d;--card:#1d2129;--line:#333a46;--accent:#8ea8ff;--range:#8ea8ff55;--floor:#f0a870;--right:#5fd07f;--wrong:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;margin:.2rem 0}h2{margin:2.5rem 0 0;font-size:1.25rem}
header p,section>p{color:var(--soft);margin:.25rem 0}
code{font-size:.85em;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:1rem 0}
a{color:var(--accent)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;min-width:44rem;table-layout:fixed;margin:.6rem 0;font-size:.92rem}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{color:var(--soft);font-weight:500}tbody th{font-weight:500}
.number{white-space:nowrap;font-variant-numeric:tabular-nums}
.bar{position:relative;display:inline-block;width:170px;height:14px;background:var(--card);border:1px solid var(--line);border-radius:3px;vertical-align:middle}
.bar i{position:absolute;top:0;bottom:0}
.range{background:var(--range)}.value{width:2px;margin-left:-1px;background:var(--accent)}.floor{width:2px;margin-left:-1px;background:var(--floor)}
.key{font-size:.85rem}.key .bar{width:70px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;font-size:.88rem;margin:.6rem 0}dt{color:var(--soft)}dd{margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:.7rem;margin-top:.8rem}
article{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem;display:flex;flex-wrap:wrap;gap:.5rem;align-content:flex-start}
article p{margin:0;font-size:.85rem;width:100%;overflow-wrap:anywhere}
figure{margin:0;flex:1 1 80px;min-width:80px}
img{width:100%;max-width:180px;display:block;border-radius:4px;background:#fff}
figcaption{font-size:.78rem;color:var(--soft);overflow-wrap:anywhere}
.right{color:var(--right)}.wrong{color:var(--wrong)}`;
