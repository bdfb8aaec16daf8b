// The demo's page: one HTML file with everything inside it.

import type { ModelInfo } from "../index.ts";

export interface ImageResult {
  /** Data URLs. */
  readonly original: string;
  readonly codes: string;
  readonly reconstruction: string;
  readonly psnr: number;
  /** Bits in the codes. */
  readonly bits: number;
  readonly description: string;
  readonly expected: string;
  /** Whether the model was trained on the concept, in other styles. */
  readonly isKnown: boolean;
  readonly question?: string;
  readonly answer?: string;
  readonly expectedAnswer?: string | undefined;
}

export interface ImaginedResult {
  readonly prompt: string;
  readonly seed: number;
  readonly image: string;
  readonly seconds: number;
}

export interface DemoResults {
  readonly info: ModelInfo;
  readonly images: readonly ImageResult[];
  readonly imagined: readonly ImaginedResult[];
  readonly seconds: number;
}

/** The whole page. */
export function demoPage({ info, images, imagined, seconds }: DemoResults): string {
  const million = Object.values(info.parameters).reduce((a, b) => a + b, 0) / 1e6;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kelix demo</title><style>${STYLE}</style></head><body><main>
<header><h1>Kelix</h1>
<p>Each image below became ${info.codebooks} codes of ${info.codesPerBook} for each position, and nothing else of it was kept. The language model
read those codes to describe it; the diffusion transformer drew it again from them. None of these images was trained on.</p>
<p class="facts">${million.toFixed(1)} M parameters · language model ${info.width} wide, ${info.layers} layers · ${info.codebooks} × ${info.codesPerBook} codes · ${seconds.toFixed(0)} s in all</p></header>
<h2>Read and drawn again</h2><section class="cards">${images.map(imageCard).join("")}</section>
<h2>Imagined</h2><p>The language model wrote the codes for these prompts, block by block; its hidden states were drawn.</p>
<section class="cards small">${imagined.map(imaginedCard).join("")}</section>
</main></body></html>
`;
}

function imageCard(result: ImageResult): string {
  const {
    original,
    codes,
    reconstruction,
    psnr,
    bits,
    description,
    expected,
    isKnown,
    question,
    answer,
    expectedAnswer,
  } = result;
  const known = isKnown ? "" : " · a concept it never saw";
  const asked =
    question === undefined
      ? ""
      : `<dt>${escapeHtml(question)}</dt><dd>${verdict(answer ?? "", expectedAnswer ?? "")}</dd>`;
  return `<article><div class="row">
<figure><img src="${original}" alt="${escapeHtml(expected)}"><figcaption>original</figcaption></figure>
<figure><img class="codes" src="${codes}" alt="its codes as coloured grids"><figcaption>${Math.round(bits)} bits of codes</figcaption></figure>
<figure><img src="${reconstruction}" alt="reconstruction"><figcaption>from codes · ${psnr.toFixed(1)} dB</figcaption></figure></div>
<dl><dt>What is this?</dt><dd>${verdict(description, expected)}${known}</dd>${asked}</dl></article>`;
}

function verdict(said: string, expected: string): string {
  const text = `<strong>${escapeHtml(said) || "(nothing)"}</strong>`;
  return said === expected
    ? `${text} <span class="right">✓</span>`
    : `${text} <span class="wrong">expected: ${escapeHtml(expected)}</span>`;
}

function imaginedCard({ prompt, seed, image, seconds }: ImaginedResult): string {
  return `<article><figure><img src="${image}" alt="${escapeHtml(prompt)}"><figcaption><strong>${escapeHtml(prompt)}</strong><br>seed ${seed} · ${seconds.toFixed(1)} s</figcaption></figure></article>`;
}

function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (c) => names[c]!);
}

const STYLE = `
:root{color-scheme:light dark;--line:#8884;--card:#8881}
body{font:16px/1.5 system-ui,sans-serif;margin:0}
main{max-width:1100px;margin:auto;padding:1.5rem}
h1{font-size:2.2rem;margin:.2rem 0}h2{margin:2rem 0 .5rem}
header p{max-width:48rem}.facts{opacity:.7}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:1rem}
.cards.small{grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}
article{border:1px solid var(--line);background:var(--card);border-radius:12px;padding:.8rem}
.row{display:flex;gap:.5rem;align-items:flex-end;justify-content:space-between}
figure{margin:0;text-align:center;flex:1}
img{width:100%;max-width:150px;border-radius:6px;background:#fff;aspect-ratio:1;object-fit:contain;image-rendering:auto}
img.codes{image-rendering:pixelated;max-width:190px;aspect-ratio:auto}
figcaption{font-size:.78rem;opacity:.8}
dl{margin:.6rem 0 0}dt{font-size:.8rem;opacity:.7}dd{margin:0 0 .3rem}
.right{color:#1a7f37}.wrong{font-size:.8rem;opacity:.75}`;
