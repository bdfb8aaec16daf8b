// Writes the repository's held-out sample: the held-out style as one PNG sheet with an index,
// a few single images for the demo, and the licences. Evaluation and demo need nothing else (eval/heldout.ts reads it).

import { join } from "node:path";
import { makeFolder } from "../../hub/make-folder.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { replaceFile, writeAll } from "../../output/atomic-file.ts";
import { writePng } from "../../output/write-image.ts";
import type { Corpus, Sample } from "./corpus.ts";
import type { License } from "./icon-sets.ts";
import { HELD_OUT_STYLE } from "./split.ts";

const COLUMNS = 24;

/** The demo's images: clear drawings of known concepts, two unknown concepts, and scenes by index. */
const demoConcepts = ["dog face", "rocket", "sunflower", "guitar", "octopus", "hamburger", "umbrella", "strawberry"];
const demoUnknown = ["red apple", "zipper face"];
const demoScenes = 2;
const DEMO_SCENE_SEED = 404;

/** Writes sheet.png, index.json, LICENSES.md and demo/ into `folder`; the same corpus gives the same files. */
export async function writeHeldOut(
  folder: string,
  corpus: Corpus,
  licenses: Readonly<Record<string, License>>,
): Promise<number> {
  await makeFolder(join(folder, "demo"));
  const known = corpus.entries("heldOutStyle").map((_, i) => corpus.sample("emoji", "heldOutStyle", 0, i));
  const unknown = corpus
    .entries("heldOutConcept")
    .map((_, i) => corpus.sample("emoji", "heldOutConcept", 0, i))
    .filter(({ concept }) => concept?.style === HELD_OUT_STYLE);
  const samples = [...known, ...unknown];
  await writePng(
    join(folder, "sheet.png"),
    arrange(
      samples.map(({ image }) => image),
      corpus.side,
    ),
  );
  const images = samples.map(({ caption, concept }, i) => ({
    name: concept!.name,
    caption,
    hexcode: concept!.hexcode,
    isKnownConcept: i < known.length,
  }));
  await writeJson(join(folder, "index.json"), { style: HELD_OUT_STYLE, side: corpus.side, columns: COLUMNS, images });
  await writeDemo(join(folder, "demo"), corpus, known, unknown);
  await writeText(join(folder, "LICENSES.md"), describeLicenses(licenses));
  return samples.length;
}

async function writeDemo(
  folder: string,
  corpus: Corpus,
  known: readonly Sample[],
  unknown: readonly Sample[],
): Promise<void> {
  const scenes = Array.from({ length: demoScenes }, (_, i) =>
    corpus.sample("scene", "heldOutStyle", DEMO_SCENE_SEED, i),
  );
  const chosen = [
    ...known.filter(({ concept }) => demoConcepts.includes(concept!.name)),
    ...scenes,
    ...unknown.filter(({ concept }) => demoUnknown.includes(concept!.name)),
  ];
  const index = [];
  for (const sample of chosen) {
    const name = sample.concept?.name ?? sample.caption;
    const file = `${name.replace(/[^a-z]+/gi, "-").toLowerCase()}.png`;
    await writePng(join(folder, file), sample.image);
    const { question, caption } = sample;
    const isKnown = !unknown.includes(sample);
    index.push({ file, caption, isKnown, ...(question && { question: question.question, answer: question.answer }) });
  }
  await writeJson(join(folder, "index.json"), index);
}

/** Images row by row on one white sheet. */
function arrange(images: readonly RgbImage[], side: number): RgbImage {
  const rows = Math.ceil(images.length / COLUMNS);
  const width = COLUMNS * side;
  const data = new Uint8Array(width * rows * side * 3).fill(255);
  for (const [i, image] of images.entries()) {
    const start = (Math.floor(i / COLUMNS) * side * width + (i % COLUMNS) * side) * 3;
    for (let y = 0; y < side; y++) {
      data.set(image.data.subarray(y * side * 3, (y + 1) * side * 3), start + y * width * 3);
    }
  }
  return { width, height: rows * side, data };
}

function describeLicenses(licenses: Readonly<Record<string, License>>): string {
  const row = ([style, { title, author, url }]: [string, License]) => `| ${style} | ${author} | ${title} | ${url} |`;
  return `# Licences of the images

The images in this folder are drawings of Twemoji (${licenses[HELD_OUT_STYLE]!.url}), copyright Twitter, Inc and other
contributors, under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). They were drawn at 96 x 96 pixels, a little
smaller than the frame, on white. The scenes of coloured shapes are drawn by this project and are under its own licence.

kelix-nano was trained on drawings of the other sets below, which are not in this repository; names come from emojibase-data
(MIT). \`kelix data\` fetches all of them from npm as \`@iconify-json/<set>\`.

| set | author | licence | source |
|---|---|---|---|
${Object.entries(licenses).map(row).join("\n")}
`;
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeText(path, `${JSON.stringify(value, null, 1)}\n`);
}

async function writeText(path: string, text: string): Promise<void> {
  await replaceFile(path, (file) => writeAll(file, Buffer.from(text)));
}
