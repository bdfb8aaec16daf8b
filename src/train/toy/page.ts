// The toy's page: its model's answers and drawings, the losses of its runs, and what to try next. One self-contained HTML file.

import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { RgbImage } from "../../image/rgb.ts";
import { encodePng, Kelix, type RawImage } from "../../index.ts";
import { replaceFile, writeAll } from "../../output/atomic-file.ts";
import type { RunConfig } from "../config.ts";
import { openCorpus } from "../data/corpus.ts";
import { lossCurve } from "../run-report.ts";

const SHOWN = 8;
/** Far from the seeds of training. */
const SEED = 7;
const prompts = [
  ...["a red circle", "two blue squares", "a green triangle", "three yellow circles"],
  ...[
    "a purple star",
    "an orange square",
    "a red square above a blue circle",
    "a black circle to the left of a green square",
  ],
];

interface Described {
  readonly image: string;
  readonly reconstruction: string;
  readonly said: string;
  readonly wanted: string;
  readonly question: string;
  readonly answer: string;
  readonly wantedAnswer: string;
}

/** Writes index.html into `folder`; returns its path. */
export async function writeToyPage(
  folder: string,
  { model, side, runs }: { readonly model: string; readonly side: number; readonly runs: readonly RunConfig[] },
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  log("page: describing and imagining");
  const kelix = await Kelix.load(model);
  const described: Described[] = [];
  const imagined: { prompt: string; image: string }[] = [];
  try {
    const corpus = await openCorpus(undefined, side, ["scene"]);
    for (let i = 0; i < SHOWN; i++) {
      signal?.throwIfAborted();
      const { image, caption, question } = corpus.sample("scene", "heldOutStyle", SEED, i);
      const codes = await kelix.tokenize(image);
      described.push({
        image: await dataUrl(image),
        reconstruction: await dataUrl(await kelix.reconstruct(codes, { seed: 1 })),
        said: await ask(kelix, image, "What is this?"),
        wanted: caption,
        question: question!.question,
        answer: await ask(kelix, image, question!.question),
        wantedAnswer: question!.answer,
      });
    }
    for (const prompt of prompts) {
      signal?.throwIfAborted();
      const [image] = await kelix.imagine(prompt, { seed: 1 });
      imagined.push({ prompt, image: await dataUrl(image!) });
    }
  } finally {
    await kelix.dispose();
  }
  const page = join(folder, "index.html");
  const curves = await Promise.all(runs.map(readCurve));
  await replaceFile(page, (file) => writeAll(file, Buffer.from(toyPage(model, described, imagined, curves))));
  return page;
}

/** Longer than any answer. */
const MAX_TOKENS = 32;

function ask(kelix: Kelix, image: RgbImage, prompt: string): Promise<string> {
  return kelix.describe(image, { prompt, maxNewTokens: MAX_TOKENS, temperature: 0 });
}

async function dataUrl(image: RawImage): Promise<string> {
  return `data:image/png;base64,${Buffer.from(await encodePng(image)).toString("base64")}`;
}

interface Curve {
  readonly name: string;
  readonly about: string;
  /** The losses over the steps, as SVG. */
  readonly svg: string;
  /** The last sheet of samples, as a data URL, if the stage makes any. */
  readonly sheet?: string;
}

async function readCurve({ folder, description }: RunConfig): Promise<Curve> {
  const svg = await lossCurve(folder);
  const names = await readdir(join(folder, "samples")).catch(() => []);
  const stepOf = (name: string) => Number(/-(\d+)\.png$/.exec(name)?.[1]);
  const last = names
    .filter((name) => name.endsWith(".png"))
    .sort((a, b) => stepOf(a) - stepOf(b))
    .at(-1);
  const sheet = last && (await readFile(join(folder, "samples", last))).toString("base64");
  return { name: basename(folder), about: description, svg, ...(sheet && { sheet: `data:image/png;base64,${sheet}` }) };
}

function toyPage(
  model: string,
  described: readonly Described[],
  imagined: readonly { prompt: string; image: string }[],
  curves: readonly Curve[],
): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kelix toy</title><style>${STYLE}</style></head><body><main>
<h1>A toy model, trained here</h1>
<p>Every stage of Kelix on scenes of coloured shapes, small enough for a few minutes. It is far from good; the same commands with larger configs
train kelix-nano.</p>
<h2>Described</h2><p>Scenes that were not trained on; beside each what the diffusion transformer draws from its codes alone.</p>
<section>${described.map(describedCard).join("")}</section>
<h2>Imagined</h2><p>After such short training, at best it draws blobs in about the right number: writing images is learned last. More steps of language-model and diffusion help most.</p>
<section>${imagined.map(({ prompt, image }) => `<figure><img src="${image}" alt=""><figcaption>${escapeHtml(prompt)}</figcaption></figure>`).join("")}</section>
<h2>What to try next</h2>
<pre>kelix describe IMAGE.png --model ${escapeHtml(model)}
kelix imagine "two red squares" --model ${escapeHtml(model)} -o squares.png
kelix train autoencoder --config configs/nano/autoencoder.json --data MY-IMAGES    # your own images: docs/data.md
kelix data                                                                        # draws kelix-nano's corpus</pre>
<p>Each stage is a run of configs/toy/*.json. Copy one, raise its steps or its sizes, and train it with kelix train STAGE --config FILE.</p>
<h2>The runs</h2>
${curves.map(({ name, about, svg, sheet }) => `<h3><a href="runs/${escapeHtml(name)}/report.html">${escapeHtml(name)}</a></h3><p>${escapeHtml(about)}</p>${svg}${sheet ? `<p><img class="sheet" src="${sheet}" alt="samples: originals beside reconstructions"></p>` : ""}`).join("")}
</main></body></html>
`;
}

function describedCard({ image, reconstruction, said, wanted, question, answer, wantedAnswer }: Described): string {
  const mark = (got: string, right: string) =>
    `<b class="${got === right ? "right" : "wrong"}">${escapeHtml(got)}</b>${got === right ? "" : ` (${escapeHtml(right)})`}`;
  return `<figure><img src="${image}" alt=""> <img src="${reconstruction}" alt="">
<figcaption>${mark(said, wanted)}<br>${escapeHtml(question)} ${mark(answer, wantedAnswer)}</figcaption></figure>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

const STYLE = `body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: #fafafa; color: #1b1b1b }
main { max-width: 1000px; margin: auto; padding: 24px }
section { display: flex; flex-wrap: wrap; gap: 16px }
figure { margin: 0; width: 220px }
figure img { width: 96px; height: 96px; image-rendering: pixelated; border: 1px solid #ddd }
figcaption { font-size: 14px }
.right { color: #1a7f37 } .wrong { color: #d1242f }
pre { background: #eee; padding: 12px; overflow-x: auto }
.sheet { max-width: 100%; image-rendering: pixelated } svg { max-width: 100%; height: auto }`;
