// Reads the repository's held-out images (data/heldout): emoji in a style held out from training.
// One sheet of equal squares with an index, and a few single images for the demo.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { KelixError } from "../errors.ts";
import { decodeImage } from "../image/codec.node.ts";
import type { RgbImage } from "../image/rgb.ts";

export interface HeldOutImage {
  readonly image: RgbImage;
  readonly name: string;
  /** The right answer to "What is this?", for known concepts. */
  readonly caption: string;
  readonly hexcode: string;
  /** Whether training saw the concept in other styles. */
  readonly isKnownConcept: boolean;
}

export interface DemoImage {
  readonly path: string;
  readonly caption: string;
  /** Whether the model was trained on the concept (or on scenes of this kind). */
  readonly isKnown: boolean;
  /** Another question that the image answers. */
  readonly question?: string;
  readonly answer?: string;
}

/** The package's root is two folders up, both from src/eval and from dist/eval. */
const defaultFolder = fileURLToPath(new URL("../../data/heldout/", import.meta.url));

/** Every held-out image: known concepts first, then concepts held out in every style. */
export async function openHeldOut(folder = defaultFolder): Promise<HeldOutImage[]> {
  const index = (await readJson(join(folder, "index.json"))) as {
    side: number;
    columns: number;
    images: Omit<HeldOutImage, "image">[];
  };
  const path = join(folder, "sheet.png");
  const sheet = await decodeImage(await read(path), path);
  const rows = Math.ceil(index.images.length / index.columns);
  if (sheet.width !== index.columns * index.side || sheet.height !== rows * index.side) {
    throw new KelixError(
      `${path} is ${sheet.width} x ${sheet.height}, its index expects ${index.columns} x ${rows} squares of ${index.side}`,
    );
  }
  return index.images.map((entry, i) => ({ ...entry, image: cutSquare(sheet, i, index) }));
}

/** The demo's images, in its order. */
export async function listDemoImages(folder = join(defaultFolder, "demo")): Promise<DemoImage[]> {
  const index = (await readJson(join(folder, "index.json"))) as (Omit<DemoImage, "path"> & { file: string })[];
  return index.map(({ file, ...entry }) => ({ ...entry, path: join(folder, file) }));
}

function cutSquare(sheet: RgbImage, i: number, { side, columns }: { side: number; columns: number }): RgbImage {
  const data = new Uint8Array(side * side * 3);
  const start = (Math.floor(i / columns) * side * sheet.width + (i % columns) * side) * 3;
  for (let y = 0; y < side; y++) {
    const from = start + y * sheet.width * 3;
    data.set(sheet.data.subarray(from, from + side * 3), y * side * 3);
  }
  return { width: side, height: side, data };
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(new TextDecoder().decode(await read(path)));
}

async function read(path: string): Promise<Uint8Array> {
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new KelixError(`${path}: cannot be read (${cause.code}). \`npm run heldout\` recreates it`, { cause });
  });
}
