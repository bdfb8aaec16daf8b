// kelix demo: a tour on bundled images that the model was not trained on. Tokenizes, reconstructs, describes,
// answers, imagines, and writes the images with one page that shows them.

import type { Command } from "commander";
import { type DemoImage, listDemoImages } from "../eval/heldout.ts";
import { encodePng, type Kelix, loadImage, type RgbImage } from "../index.ts";
import { pixelError } from "../train/metrics.ts";
import { drawCodes } from "./code-image.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { DemoFolder } from "./demo-folder.ts";
import { demoPage, type ImageResult, type ImaginedResult } from "./demo-page.ts";
import { interrupted, note, printJson } from "./terminal.ts";

const prompts = [
  "a red circle",
  "two blue squares",
  "three green triangles",
  "a yellow star above a purple heart",
  "four orange diamonds",
  "a strawberry",
  "a pumpkin",
  "a panda",
];

export function define(command: Command): void {
  command
    .option("-o, --output <folder>", "where to write", "kelix-demo")
    .addHelpText("after", "\nExample:\n  kelix demo && open kelix-demo/index.html")
    .action(async ({ output }: { output: string }, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      const start = performance.now();
      const list = await listDemoImages();
      const names = [PAGE, ...list.flatMap((_, i) => imageNames(i)), ...prompts.map((_, i) => imaginedName(i))];
      const inputs = list.map(({ path }) => path);
      const folder = await DemoFolder.open(output, names, inputs);
      const show = async (kelix: Kelix) => {
        const images = await showImages(kelix, list, folder);
        const imagined = await imagineImages(kelix, folder);
        const seconds = (performance.now() - start) / 1000;
        const page = demoPage({ info: kelix.info(), images, imagined, seconds });
        const path = await folder.writeText(PAGE, page);
        if (globals.json) printJson({ page: path, images: images.length, imagined: imagined.length, seconds });
        else
          process.stdout.write(
            `${path}: ${images.length} images and ${imagined.length} imagined ones in ${seconds.toFixed(0)} s. Open it in a browser.\n`,
          );
      };
      await withModel(globals, show, folder.outputs);
    });
}

const PAGE = "index.html";
const two = (i: number) => String(i + 1).padStart(2, "0");
const imaginedName = (i: number) => `imagined-${two(i)}.png`;
const imageNames = (i: number) =>
  ["", "-codes", "-reconstructed"].map((what) => `image-${two(i)}${what}.png`) as [string, string, string];

async function showImages(kelix: Kelix, list: readonly DemoImage[], folder: DemoFolder): Promise<ImageResult[]> {
  const results: ImageResult[] = [];
  for (const [i, { path, caption, isKnown, question, answer }] of list.entries()) {
    interrupted.signal.throwIfAborted();
    note(`image ${i + 1}/${list.length}`);
    const original = await loadImage(path);
    const codes = await kelix.tokenize(original);
    const reconstruction = await loadImage(await kelix.reconstruct(codes, { seed: i, signal: interrupted.signal }));
    const code = drawCodes(codes, kelix.info().codesPerBook);
    const [originalName, codesName, reconstructedName] = imageNames(i);
    await folder.writePng(originalName, original);
    await folder.writePng(codesName, code);
    await folder.writePng(reconstructedName, reconstruction);
    results.push({
      original: await dataUrl(original),
      codes: await dataUrl(code),
      reconstruction: await dataUrl(reconstruction),
      psnr: pixelError([original], [reconstruction]).psnr,
      bits: codes.codes.length * Math.log2(kelix.info().codesPerBook),
      description: await ask(kelix, original, "What is this?"),
      expected: caption,
      isKnown,
      ...(question !== undefined && { question, answer: await ask(kelix, original, question), expectedAnswer: answer }),
    });
  }
  return results;
}

async function imagineImages(kelix: Kelix, folder: DemoFolder): Promise<ImaginedResult[]> {
  const results: ImaginedResult[] = [];
  for (const [i, prompt] of prompts.entries()) {
    note(`imagining ${i + 1}/${prompts.length}: ${prompt}`);
    const started = performance.now();
    const [drawn] = await kelix.imagine(prompt, { seed: i, signal: interrupted.signal });
    const image = await loadImage(drawn!);
    await folder.writePng(imaginedName(i), image);
    results.push({ prompt, seed: i, image: await dataUrl(image), seconds: (performance.now() - started) / 1000 });
  }
  return results;
}

function ask(kelix: Kelix, image: RgbImage, prompt: string): Promise<string> {
  return kelix.describe(image, { prompt, maxNewTokens: 32, signal: interrupted.signal });
}

async function dataUrl(image: RgbImage): Promise<string> {
  return `data:image/png;base64,${Buffer.from(await encodePng(image)).toString("base64")}`;
}
